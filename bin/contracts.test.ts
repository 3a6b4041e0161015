import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allContracts } from "../contracts/index.ts";
import { FROZEN } from "../lib/compatibility.ts";
import { runCommand } from "../tests/support/process.ts";

let folder: string;
/** Commits what is in the folder, and gives the commit this tag. */
function commit(tag: string): void {
	const git = (...args: string[]) => execFileSync("git", args, { cwd: folder, env: gitEnv() });
	git("add", "--all");
	git("commit", "--quiet", "--allow-empty", "--message", tag);
	git("tag", tag);
}
/** A repository of the test's own; nothing of the machine's or the caller's configuration. */
const gitEnv = () => ({
	PATH: process.env["PATH"],
	HOME: folder,
	GIT_DIR: join(folder, ".git"),
	GIT_CONFIG_NOSYSTEM: "1",
	...Object.fromEntries(
		["AUTHOR", "COMMITTER"].flatMap(role => [
			[`GIT_${role}_NAME`, "Ada"],
			[`GIT_${role}_EMAIL`, "ada@example.com"]
		])
	)
});
const contracts = (...args: string[]) =>
	runCommand("bin/contracts.ts", args, { GIT_DIR: join(folder, ".git") });

interface Fields {
	readonly properties: Record<string, unknown>;
}
interface Changeable {
	readonly name: string;
	readonly actions: Record<string, { readonly params: Fields; readonly result: Fields }>;
	readonly events: Record<string, { readonly data: Fields }>;
	readonly failures: Record<string, { status: number }>;
}
/** The contracts as they are now, with promises that nobody keeps and without some that are kept. */
function otherContracts(): string {
	const all = JSON.parse(JSON.stringify(allContracts)) as Changeable[];
	const contractOf = (name: string) => all.find(contract => contract.name === name)!;
	const text = { type: "string" };
	contractOf("orders").events["order.created.v1"]!.data.properties["colour"] = text;
	contractOf("orders").failures["CART_EMPTY"]!.status = 400;
	contractOf("products").actions["lookup"]!.params.properties["colour"] = text;
	contractOf("users-events").actions["status"]!.result.properties["colour"] = text;
	delete contractOf("inventory").actions["get"];
	delete contractOf("notifications").events["notification.sent.v1"];
	delete contractOf("products").actions["list"]!.params.properties["q"];
	return JSON.stringify(all);
}

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "valence-"));
	execFileSync("git", ["init", "--quiet", folder], { env: gitEnv() });
	commit("empty");
	mkdirSync(join(folder, "docs"));
	writeFileSync(join(folder, FROZEN), JSON.stringify(allContracts));
	commit("same");
	writeFileSync(join(folder, FROZEN), otherContracts());
	commit("other");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("npm run contracts -- diff", () => {
	it("finds nothing where nothing has changed", async () => {
		const { code, output } = await contracts("diff", "same");
		expect(output).toBe("Every promise of same is kept.\n\nNothing is new.\n");
		expect(code).toBe(0);
	});

	it("tells programs what breaks whom, and what is new", async () => {
		const { code, output } = await contracts("diff", "other", "--json");
		expect(JSON.parse(output)).toEqual({
			breaking: [
				{
					change: "products.lookup params.colour has been removed",
					kind: "action",
					subject: "products.lookup",
					affects: [{ who: "orders", how: "calls products.lookup" }]
				},
				{
					change: "users-events.status result.colour has been removed",
					kind: "action",
					subject: "users-events.status",
					affects: [{ who: "gateway", how: "calls users-events.status" }]
				},
				{
					change: "order.created.v1.colour has been removed",
					kind: "event",
					subject: "order.created.v1",
					affects: [
						{ who: "catalog: inventory", how: "handles it" },
						{ who: "gateway: gateway", how: "watches it" },
						{ who: "orders", how: "records it" }
					]
				},
				{
					change: "orders.CART_EMPTY was 400 and is 409",
					kind: "failure",
					subject: "orders.CART_EMPTY",
					affects: [{ who: "REST clients", how: "POST /api/v1/checkout" }]
				}
			],
			added: [
				{ kind: "field", subject: "products.list params.q" },
				{ kind: "action", subject: "inventory.get" },
				{ kind: "event", subject: "notification.sent.v1" }
			]
		});
		expect(code).toBe(1);
	});

	it("tells people", async () => {
		const { code, output } = await contracts("diff", "other");
		expect(output).toContain(`
event    order.created.v1.colour has been removed
           catalog: inventory  handles it
           gateway: gateway    watches it
           orders              records it
`);
		expect(output).toMatch(/New, and harmless:[^]*\nevent {4}notification\.sent\.v1\n/);
		expect(code).toBe(1);
	});

	it.each([
		["a commit that nobody knows", ["nowhere"], /no commit 'nowhere'.*git fetch/],
		["a commit from before there were contracts", ["empty"], /no docs\/contracts\.json at 'empty'/],
		["no commit", [], /missing required argument 'ref'/]
	])("refuses %s, and not as if something broke", async (_, args, message) => {
		const { code, output } = await contracts("diff", ...args);
		expect(output).toMatch(message);
		expect(output).not.toMatch(/\n\s+at /);
		expect(code).toBe(2);
	});
});

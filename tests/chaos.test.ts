/** The chaos run itself, as a developer starts it. */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, launch } from "./support/process.ts";

const SEED = 1;
const running: ReturnType<typeof launch>[] = [];
let folder: string;

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "valence-test-"));
	// For the database server, which may run as another user.
	chmodSync(folder, 0o755);
});
afterEach(async () => {
	for (const child of running.splice(0)) await child.stop("SIGKILL");
	await eventually("the guard has cleared up", () => readdirSync(folder).length === 0);
	rmSync(folder, { recursive: true });
});

function chaos(...args: string[]) {
	const child = launch("bin/chaos.ts", ["--profile", "small", ...args], { TMPDIR: folder });
	running.push(child);
	return child;
}

it("loses nothing and does nothing twice, whatever breaks", async () => {
	const child = chaos("--seed", String(SEED), "--json");
	const code = await child.ended;
	const line = child
		.output()
		.split("\n")
		.find(text => text.startsWith("{"));
	// With all that it said, which is what helps when it fails.
	expect({ code, output: child.output() }).toEqual({ code: 0, output: expect.any(String) });
	const result = JSON.parse(line!) as Record<string, unknown>;
	expect(Object.keys(result)).toEqual([
		"seed",
		"faults",
		"attempts",
		"acknowledged",
		"lost",
		"phantom",
		"double",
		"outOfOrder",
		"absorbed",
		"quiescedMs",
		"valid"
	]);
	expect(result).toMatchObject({
		seed: SEED,
		lost: 0,
		phantom: 0,
		double: 0,
		outOfOrder: 0,
		valid: true
	});
	for (const figure of ["faults", "attempts", "acknowledged", "absorbed"])
		expect(result[figure]).toBeGreaterThan(0);
	expect(readdirSync(folder)).toEqual([]);
}, 240_000);

it.each([
	["SIGINT", 130],
	["SIGKILL", null]
] as const)(
	"leaves nothing behind after %s",
	async (signal, code) => {
		const child = chaos();
		await child.says(/the load begins/);
		expect(readdirSync(folder)).toHaveLength(1);
		expect(await child.stop(signal)).toBe(code);
		// Which the guard removes when nothing runs any more that has its data there.
		await eventually("the folder is gone", () => readdirSync(folder).length === 0);
	},
	90_000
);

import { somebody, startTestNode, testConfig, type TestNode } from "../tests/support/node.ts";
import { databaseUrl, type Config } from "./config.ts";
import { Database, requireDurableCommits } from "./database.ts";
import { migrate } from "./migrations.ts";
import { startNode } from "./node.ts";
import { createSigningKeys } from "./signing-keys.ts";
import { StartupError } from "./startup-error.ts";

describe("a node", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());
	it("answers", async () => {
		expect(await node.call("users-events.status", {}, somebody())).toMatchObject({
			database: "up",
			unpublished: 0
		});
	});
});

describe("a database that may forget what it has confirmed", () => {
	const refusal = /^The database of the group users has synchronous_commit = off/;
	const prepare = async (): Promise<{ config: Config; url: string }> => {
		const config = testConfig({ AUTH_KEYS: await createSigningKeys() });
		const url = databaseUrl(config, "users");
		await migrate("users", url);
		return { config, url };
	};
	const setUp = async (url: string, sql: string) => {
		const database = new Database("users", url, { poolSize: 1 });
		await database.query(sql.replace("$name", `"${new URL(url).pathname.slice(1)}"`));
		await database.close();
	};

	it("is refused at the start of a node, with what to do", async () => {
		const { config, url } = await prepare();
		await setUp(url, "ALTER DATABASE $name SET synchronous_commit = off");
		const start = () => startNode(config, { units: ["users"] });
		await expect(start()).rejects.toThrow(refusal);
		await expect(start()).rejects.toThrow(StartupError);
		const advice = await start().catch((error: Error) => error.message);
		const [, command] = /`(.+)`/.exec(advice as string)!;
		await setUp(url, command!);
		await (await start()).stop();
	});

	it.each([
		["on", /^$/],
		["local", /^$/],
		["off", refusal]
	])("is known by what its URL sets: %s", async (setting, expected) => {
		const { url } = await prepare();
		const set = `${url}?options=${encodeURIComponent(`-c synchronous_commit=${setting}`)}`;
		const database = new Database("users", set, { poolSize: 1 });
		const refused = await requireDurableCommits(database).catch((error: Error) => error.message);
		expect(refused ?? "").toMatch(expected);
		await database.close();
	});
});

import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { Api } from "../tests/support/api.ts";
import { testConfig } from "../tests/support/node.ts";
import { runCommand, startOneProcess, type Running } from "../tests/support/process.ts";

const config = testConfig();
let system: Running;
let api: Api;
let database: Database;
beforeAll(async () => {
	system = await startOneProcess({ DATABASE_URL: config.DATABASE_URL!, DEMO_DATA: "false" });
	api = new Api(system.urls);
	database = new Database("users", databaseUrl(config, "users"));
}, 60_000);
afterAll(async () => {
	await database.close();
	await system.stop();
	system.cleanUp();
});

const audit = (...args: string[]) => runCommand("bin/audit.ts", args, { DATA_DIR: system.dataDir });

it("verifies the record against a head that was written down, and finds what was changed", async () => {
	await api.newCustomer();
	const head = (await audit("head")).output.trim();
	expect(head).toMatch(/^2:[0-9a-f]{64}$/);
	const { username } = await api.newCustomer();
	expect(await audit("verify", "--head", head)).toEqual({
		code: 0,
		output: expect.stringMatching(
			/^4 entries, 0 of them .*: no flaw\. It still holds the entry 2 .*\nHead 4:[0-9a-f]{64}\n$/
		)
	});
	expect((await audit("verify")).output).toContain("only a head that was written down tells");

	const { output } = await audit("list", username);
	expect(output).toMatch(
		/^ENTRY +AT +WHAT +NOTE +USER +BY +ADDRESS +DEVICE\n +4 +\S+ +signed-in +password +[^]*\n +3 +\S+ +registered /
	);
	const all = JSON.parse((await audit("list", "-n", "3", "--json")).output) as { items: object[] };
	expect(all.items).toMatchObject([{ position: 4 }, { position: 3 }, { position: 2 }]);

	await database.query("UPDATE security_event SET type = 'signed-out' WHERE position = 2");
	expect(await audit("verify")).toEqual({
		code: 1,
		output: expect.stringMatching(/The record was changed:\n {2}entry 2 was changed\n.*runbooks/)
	});
	const verdict = await audit("verify", "--head", `2:${"0".repeat(64)}`, "--json");
	expect({ code: verdict.code, ...(JSON.parse(verdict.output) as object) }).toMatchObject({
		code: 1,
		entries: 4,
		flaws: ["entry 2 was changed", "entry 2 has another hash than you wrote down"]
	});
}, 60_000);

it("says in one line what is wrong, with exit code 1", async () => {
	for (const [args, message] of [
		[["verify", "--head", "12"], /<position>:<hash>/],
		[["list", "nobody-at-all"], /^There is no user with this address or username\.$/]
	] as const) {
		const { code, output } = await audit(...args);
		expect({ args, code, output: output.trim() }).toEqual({
			args,
			code: 1,
			output: expect.stringMatching(message)
		});
		expect(output.trim().split("\n")).toHaveLength(1);
	}
}, 60_000);

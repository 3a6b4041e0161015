import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { Api, PASSWORD } from "../tests/support/api.ts";
import { testConfig } from "../tests/support/node.ts";
import { newDataDir, runCommand, startOneProcess, type Running } from "../tests/support/process.ts";
import { until } from "../tests/support/until.ts";

const config = testConfig();
// By libxcrypt, of the password that all tests use.
const BCRYPT = "$2y$08$abcdefghijklmnopqrstuuwezlW09AGl.Qc8oiYvHEzrpumH/GaSu";
let system: Running;
let api: Api;
let database: Database;
let folder: string;
beforeAll(async () => {
	system = await startOneProcess({ DATABASE_URL: config.DATABASE_URL!, DEMO_DATA: "false" });
	api = new Api(system.urls);
	database = new Database("users", databaseUrl(config, "users"));
	folder = mkdtempSync(join(tmpdir(), "valence-users-"));
}, 60_000);
afterAll(async () => {
	await database.close();
	await system.stop();
	system.cleanUp();
	rmSync(folder, { recursive: true });
});

const users = (args: string[], input?: string) =>
	runCommand("bin/users.ts", args, { DATA_DIR: system.dataDir }, input);
const json = async <T>(...args: string[]): Promise<T> => {
	const { output } = await users([...args, "--json"]);
	return JSON.parse(output.slice(output.indexOf("{"))) as T;
};
const fileOf = (name: string, lines: readonly string[]): string => {
	const file = join(folder, name);
	writeFileSync(file, lines.map(line => `${line}\r\n`).join(""));
	return file;
};
const logIn = (login: string, password = PASSWORD) =>
	api.request("POST", "/auth/login", { body: { login, password } });

it("makes the first admin, by a password that no argument tells", async () => {
	const made = await users(["create-admin", "root@example.com", "root"], `${PASSWORD}\n`);
	expect(made).toEqual({
		code: 0,
		output: expect.stringMatching(
			/^root \(root@example\.com\) is an admin now.* Id [0-9a-f-]{36}\.\n$/
		)
	});
	const { body } = await logIn("root");
	expect((await api.request("GET", "/users", { token: body.accessToken })).status).toBe(200);

	const file = fileOf("password", ["another good password"]);
	const second = [
		"create-admin",
		"two@example.com",
		"two",
		"--name",
		"Two",
		"--password-file",
		file
	];
	expect(await users(second)).toMatchObject({ code: 0 });
	expect(await logIn("two", "another good password")).toMatchObject({ status: 200 });
	expect(await users(second)).toEqual({
		code: 1,
		output:
			"\nAn account with this e-mail address exists already. Sign in, or reset your password.\n"
	});
}, 60_000);

it("changes roles and status, with who did it in the record", async () => {
	const { username } = await api.newCustomer();
	expect(await users(["set-role", username, "customer", "staff", "--by", "ada"])).toEqual({
		code: 0,
		output: expect.stringMatching(/ is customer, staff now\. All sessions have ended\.\n$/)
	});
	expect((await users(["set-role", username, "staff", "customer"])).output).toMatch(
		/, as before\.\n$/
	);
	expect((await users(["disable", username])).output).toMatch(/ is disabled now\./);
	expect(await logIn(username)).toMatchObject({ status: 401 });
	expect((await users(["enable", username])).output).toMatch(/ is enabled now\./);
	const { body } = await logIn(username);
	expect(body.user).toMatchObject({ roles: ["customer", "staff"], status: "active" });
	const { items } = await json<{ items: object[] }>("list", "--role", "staff");
	expect(items).toMatchObject([{ username }]);

	const entries = await database.query<{ type: string; device: string; by: string }>(
		`SELECT type, detail->>'device' AS device, by_id AS by FROM security_event
		 WHERE user_id = $1 AND by_id IS NOT NULL ORDER BY position`,
		[body.user.id]
	);
	expect(entries.map(({ type }) => type)).toEqual(["roles-changed", "disabled", "enabled"]);
	expect(entries[0]!.device).toBe("npm run users, by ada");
	// The user is told that it was an admin, not from where.
	const told = await api.request("GET", "/users/me/security-events", { token: body.accessToken });
	expect(
		told.body.items.find(({ type }: { type: string }) => type === "roles-changed")
	).toMatchObject({
		by: "admin",
		address: null,
		device: null
	});
}, 60_000);

it("imports a file, tells what became of each line, and goes on where it was stopped", async () => {
	const file = fileOf("users.csv", [
		"email,username,name,password_hash,roles",
		`zoe@example.com,zoe,"Zoe ""Z"" Zed",${BCRYPT},`,
		"yan@example.com,yan,,,customer staff",
		"bad,x,,,",
		"ZOE@example.com,zoe2,,,",
		"root@example.com,root2,,,"
	]);
	const report = `${file}.rejected.csv`;
	const dry = await users(["import", file, "--dry-run"]);
	expect(dry).toEqual({
		code: 2,
		output: expect.stringMatching(
			/^5 of 5 lines: [^]*: 2 would be imported, 1 exist already, 2 would be rejected\. Nothing was done\.\nThe rejected lines are in .*users\.csv\.rejected\.csv/
		)
	});
	expect((await users(["list", "-q", "zoe"])).output).toBe("There are none.\n");

	const done = await json("import", file);
	expect(done).toMatchObject({ lines: 5, imported: 2, exists: 1, rejected: 2, report });
	expect(readFileSync(report, "utf8")).toBe(
		[
			"line,reason,original",
			'4,"email must match format ""email""; username must be: 3 to 32 letters, digits, dots, dashes and underscores; letter or digit at both ends","bad,x,,,"',
			'5,email is the same as in line 2,"ZOE@example.com,zoe2,,,"',
			""
		].join("\r\n")
	);
	expect(statSync(report).mode & 0o777).toBe(0o600);
	expect(await logIn("zoe")).toMatchObject({
		status: 200,
		body: { user: { name: 'Zoe "Z" Zed' } }
	});
	expect(await logIn("zoe")).toMatchObject({ status: 200 });

	expect(await json("import", file)).toMatchObject({ imported: 0, exists: 3, rejected: 2 });
	const mended = fileOf("users.csv", ["email,username", "yan@example.com,yan"]);
	expect((await users(["import", mended])).code).toBe(0);
	expect(existsSync(report)).toBe(false);
	const notifications = new Database("notifications", databaseUrl(config, "notifications"));
	await until(
		() => notifications.one("SELECT FROM recipient WHERE email = 'yan@example.com'"),
		"the recipient"
	);
	expect(
		await notifications.query("SELECT FROM message WHERE recipient LIKE ANY ('{yan@%,zoe@%}')")
	).toEqual([]);
	await notifications.close();
}, 90_000);

it("imports more than goes into one batch", async () => {
	const lines = Array.from({ length: 1_203 }, (_, n) => `many${n}@example.com`);
	const file = fileOf("many.csv", ["email", ...lines]);
	expect(await users(["import", file])).toMatchObject({
		code: 1,
		output: expect.stringMatching(/does not name username.*--derive-usernames/)
	});
	const { code, output } = await users(["import", file, "--derive-usernames"]);
	expect({ code, output }).toEqual({
		code: 0,
		output: expect.stringMatching(/^500 of 1,203 lines[^]*\n1,203 of 1,203 lines: 1,203 imported/)
	});
	const batches = await database.query<{ note: string }>(
		"SELECT detail->>'note' AS note FROM security_event WHERE type = 'imported' AND user_id IS NULL ORDER BY position DESC LIMIT 3"
	);
	expect(batches.map(({ note }) => note)).toEqual(["203 users", "500 users", "500 users"]);
}, 60_000);

it("says in one line what is wrong, with exit code 1", async () => {
	const good = fileOf("good.csv", ["email,username", "who@example.com,who"]);
	const mistakes: [string[], RegExp][] = [
		[["disable", "nobody-at-all"], /^There is no user with this address or username\.$/],
		[["set-role", "root", "boss"], /^error: .*'boss' is invalid.*customer, staff, admin/],
		[["create-admin", "nonsense", "abc"], /^email must match format/],
		[["import", fileOf("head.csv", ["email,usernam"])], /not known: "usernam"\. Known are email, /],
		[["import", fileOf("open.csv", ["email,username", '"a,b'])], /open\.csv, line \d: a quote/],
		[["import", join(folder, "none.csv")], /cannot be read: ENOENT/],
		[["import", good, "--report", good], /^What is written would take the place of the file\.$/],
		[["list", "-n", "none"], /whole number from 1/]
	];
	for (const [args, message] of mistakes) {
		const { code, output } = await users(args, `${PASSWORD}\n`);
		expect({ args, code, output: output.trim() }).toEqual({
			args,
			code: 1,
			output: expect.stringMatching(message)
		});
		expect(output.trim().split("\n")).toHaveLength(1);
	}
	const nowhere = newDataDir();
	expect(await runCommand("bin/users.ts", ["list"], { DATA_DIR: nowhere })).toMatchObject({
		code: 1,
		output: expect.stringContaining("Nothing runs here")
	});
	rmSync(nowhere, { recursive: true });
}, 90_000);

it("leaves the last admin one", async () => {
	expect((await users(["set-role", "two", "customer"])).code).toBe(0);
	expect(await users(["disable", "root"])).toEqual({
		code: 1,
		output: expect.stringContaining("last active admin")
	});
}, 60_000);

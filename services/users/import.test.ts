import { randomUUID } from "node:crypto";
import { IMPORT_BATCH, type ImportedUser } from "../../contracts/users.ts";
import { OPERATOR } from "../../lib/identity.ts";
import { createSigningKeys } from "../../lib/signing-keys.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { problemsOf } from "./import.ts";

// By libxcrypt.
const BCRYPT = "$2y$08$abcdefghijklmnopqrstuuwezlW09AGl.Qc8oiYvHEzrpumH/GaSu";
const PASSWORD = "correct horse battery";

let count = 0;
const person = (over: Partial<ImportedUser> = {}): ImportedUser => {
	const username = `ada${++count}`;
	return { email: `${username}@example.com`, username, ...over };
};

describe("what is wrong with somebody", () => {
	const now = new Date("2026-01-01T00:00:00Z");
	it.each([
		[{ passwordHash: "secret" }, "passwordHash", /^is neither bcrypt/],
		[{ locale: "nowhere at all" }, "locale", /language tag/],
		[{ timeZone: "Mars/Olympus" }, "timeZone", /IANA/],
		[{ createdAt: "2026-01-01T00:00:01Z" }, "createdAt", /1970 until now/],
		[{ createdAt: "1969-12-31T23:59:59Z" }, "createdAt", /1970 until now/],
		// A leap second, which is a time to the schema and none to JavaScript.
		[{ createdAt: "2016-12-31T23:59:60Z" }, "createdAt", /1970 until now/]
	])("is told of %j", (over, field, message) => {
		expect(problemsOf(person(over), now)).toEqual([
			{ field, message: expect.stringMatching(message) }
		]);
	});

	it("may be nothing", () => {
		const good = { passwordHash: BCRYPT, locale: "de-CH", timeZone: "Europe/Zurich" };
		expect(problemsOf(person({ ...good, createdAt: "2026-01-01T00:00:00Z" }), now)).toEqual([]);
	});
});

describe("an import", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());

	const client = { address: "desk", device: "npm run users, by ada" };
	const take = async (users: ImportedUser[], dryRun = false) =>
		(
			await node.broker.call<{ outcomes: { status: string; problems: object[] }[] }, object>(
				"users.import",
				{ users, dryRun },
				{ meta: { user: OPERATOR, client } }
			)
		).outcomes;
	const statuses = async (users: ImportedUser[], dryRun?: boolean) =>
		(await take(users, dryRun)).map(({ status }) => status);
	const find = (login: string) => node.call("users.find", { login });
	const factsOf = async (userId: string) =>
		(await node.recorded("users")).filter(
			({ data }) => (data as { userId?: string }).userId === userId
		);

	it("takes over all that is told of somebody, who signs in as before", async () => {
		const told = {
			name: "Ada",
			phone: "+44 20 7946 0000",
			roles: ["customer" as const, "staff" as const],
			emailVerified: true,
			createdAt: "2019-05-06T07:08:09.000Z"
		};
		const who = person({
			...told,
			passwordHash: BCRYPT,
			locale: "en-gb",
			timeZone: "europe/london"
		});
		expect(await take([who])).toEqual([{ status: "imported", problems: [] }]);
		const user = await find(who.email);
		expect(user).toMatchObject({ ...told, username: who.username, status: "active", version: 1 });
		const { user: same } = await node.call("auth.login", {
			login: who.username,
			password: PASSWORD
		});
		expect(same).toEqual(user);
		expect(await node.call("users.preferences", {}, { ...OPERATOR, id: user.id })).toMatchObject({
			locale: "en-GB",
			timeZone: "Europe/London",
			currency: "EUR"
		});
	});

	it("tells of them as imported, and sends no mail to verify the address", async () => {
		const [plain, choosy] = [person(), person({ name: "Bob", locale: "de" })];
		await take([plain, choosy]);
		const { id } = await find(plain.email);
		const { email, username } = plain;
		const created = { userId: id, email, username, name: null, imported: true };
		expect(await factsOf(id)).toEqual([{ type: "user.created.v1", data: created }]);
		const { id: userId } = await find(choosy.email);
		expect(await factsOf(userId)).toMatchObject([
			{ type: "user.created.v1", data: { name: "Bob", imported: true } },
			{
				type: "user.preferences-changed.v1",
				data: { userId, locale: "de", timeZone: "UTC", currency: "EUR" }
			}
		]);
		const versions = await node.runtime
			.database("users")
			.query<{ v: number }>(
				"SELECT aggregate_version AS v FROM outbox WHERE aggregate_id = $1 ORDER BY id",
				[userId]
			);
		expect(versions.map(({ v }) => v)).toEqual([1, 2]);
		// The next fact has the next version.
		await node.call("users.manage", { id: userId, status: "disabled" }, OPERATOR);
		expect((await factsOf(userId)).at(-1)).toMatchObject({ type: "user.disabled.v1" });
	});

	it("lets whoever has no hash sign in by nothing but a reset", async () => {
		const who = person();
		await take([who]);
		await expect(
			node.call("auth.login", { login: who.email, password: PASSWORD })
		).rejects.toMatchObject({ type: "INVALID_CREDENTIALS" });
		expect(await node.call("passwords.forgot", { email: who.email })).toEqual({
			status: "accepted"
		});
	});

	it("passes over whoever has an account, and changes nothing of it", async () => {
		const who = person({ name: "Before" });
		await take([who]);
		const before = await find(who.email);
		const again = { ...who, email: who.email.toUpperCase(), name: "After", passwordHash: BCRYPT };
		expect(await statuses([again, person()])).toEqual(["exists", "imported"]);
		expect(await find(who.email)).toEqual(before);
	});

	it("rejects one without the others, and says why", async () => {
		const taken = person();
		await take([taken]);
		const users = [
			person({ passwordHash: "secret" }),
			person({ username: taken.username.toUpperCase() }),
			person()
		];
		expect(await take(users)).toEqual([
			{
				status: "rejected",
				problems: [{ field: "passwordHash", message: expect.stringMatching(/^is neither/) }]
			},
			{ status: "rejected", problems: [{ field: "username", message: "is taken" }] },
			{ status: "imported", problems: [] }
		]);
	});

	it("takes one of two who are the same", async () => {
		const who = person();
		const other = person();
		expect(await statuses([who, who, { ...other, username: who.username }])).toEqual([
			"imported",
			"exists",
			"rejected"
		]);
	});

	it("of the same users by many at once imports each once", async () => {
		const users = Array.from({ length: 50 }, () => person());
		const all = await Promise.all([1, 2, 3, 4].map(() => statuses(users)));
		const imported = all.flat().filter(status => status === "imported");
		expect(imported).toHaveLength(50);
		expect(all.flat().filter(status => status === "exists")).toHaveLength(150);
		const { id } = await find(users[0]!.email);
		expect(await factsOf(id)).toHaveLength(1);
	});

	it("that is a dry run says the same and does nothing", async () => {
		const [known, renamed] = [person(), person()];
		await take([known]);
		const users = [person(), known, { ...renamed, username: known.username }];
		const dump = () =>
			node.runtime.database("users").query(
				`SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM outbox) AS events,
				   (SELECT position FROM security_chain) AS position`
			);
		const before = await dump();
		expect(await statuses(users, true)).toEqual(["imported", "exists", "rejected"]);
		expect(await dump()).toEqual(before);
		expect(await statuses(users)).toEqual(["imported", "exists", "rejected"]);
	});

	it("is one entry in the record, and one for each who may do more than buy", async () => {
		const entries = () =>
			node.runtime.database("users").query<{ note: string }>(
				`SELECT user_id AS "userId", by_id AS "byId", detail->>'note' AS note,
				   detail->>'address' AS address, detail->>'device' AS device
				 FROM security_event WHERE type = 'imported' ORDER BY position`
			);
		const before = (await entries()).length;
		const admin = person({ roles: ["customer", "admin"] });
		await take([person(), admin, person()]);
		const by = { byId: OPERATOR.id, ...client };
		expect((await entries()).slice(before)).toEqual([
			{ ...by, userId: (await find(admin.email)).id, note: "customer, admin" },
			{ ...by, userId: null, note: "3 users" }
		]);
		await take([admin]);
		expect(await entries()).toHaveLength(before + 2);
	});

	it("takes as many at once as the contract says, all as long as they may be", async () => {
		const long = "\u{1F600}".repeat(200);
		const users = Array.from({ length: IMPORT_BATCH }, () => {
			const username = randomUUID().slice(0, 32).replace(/-$/, "a").slice(0, 32);
			return {
				email: `${username}@${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.example`,
				username,
				name: long,
				passwordHash: BCRYPT,
				phone: "0".repeat(32),
				locale: "en-GB",
				timeZone: "America/Argentina/ComodRivadavia",
				createdAt: "2019-05-06T07:08:09.000Z"
			};
		});
		expect(Buffer.byteLength(JSON.stringify(users))).toBeLessThan(900_000);
		expect(new Set(await statuses(users))).toEqual(new Set(["imported"]));
		await expect(take([...users, person()])).rejects.toMatchObject({ code: 422 });
	});
});

describe("an admin by command", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());

	it("is made where there is nobody yet, and written down", async () => {
		const account = { email: "root@example.com", username: "root", password: PASSWORD };
		const user = await node.call("auth.registerAdmin", account, OPERATOR);
		expect(user).toMatchObject({ roles: ["admin"], emailVerified: true, status: "active" });
		const { user: same } = await node.call("auth.login", { login: "root", password: PASSWORD });
		expect(same).toEqual(user);
		expect(
			await node.runtime
				.database("users")
				.query(
					"SELECT type, user_id, by_id, detail->>'note' AS note FROM security_event WHERE position = 1"
				)
		).toEqual([{ type: "registered", user_id: user.id, by_id: OPERATOR.id, note: "admin" }]);
		const again = node.call("auth.registerAdmin", account, OPERATOR);
		await expect(again).rejects.toMatchObject({ type: "EMAIL_TAKEN" });
		const common = { email: "a@example.com", username: "other", password: "Password123" };
		await expect(node.call("auth.registerAdmin", common, OPERATOR)).rejects.toMatchObject({
			type: "PASSWORD_TOO_COMMON"
		});
	});
});

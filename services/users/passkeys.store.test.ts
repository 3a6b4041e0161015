import type { Database } from "../../lib/database.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { addPasskey, countUse, issueChallenge, useChallenge } from "./passkeys.store.ts";
import { createUser } from "./users.store.ts";

let db: Database;
let userId: string;
beforeAll(async () => {
	db = await testDatabase("users");
	const user = await db.transaction(tx =>
		createUser(tx, {
			email: "ada@example.com",
			username: "ada",
			name: null,
			passwordHash: null,
			roles: ["customer"],
			emailVerified: true
		})
	);
	userId = user.id;
});
afterAll(() => db.close());

describe("the counter of a passkey", () => {
	let count = 0;
	it.each([
		[0, 0, true],
		[0, 1, true],
		[5, 6, true],
		[5, 5, false],
		[5, 4, false],
		[5, 0, false]
	])("of %d that says %d next is taken: %s", async (counter, next, taken) => {
		const credentialId = `credential${++count}`;
		const made = {
			credentialId,
			publicKey: Buffer.of(1),
			counter,
			transports: [],
			backedUp: false
		};
		await db.transaction(async tx => {
			const { id } = (await addPasskey(tx, userId, "n", made))!;
			expect(await countUse(tx, id, { counter: next, backedUp: true })).toBe(taken);
		});
	});
});

describe("challenges", () => {
	it("work once, however many answer at once", async () => {
		const challenge = await db.transaction(tx => issueChallenge(tx));
		const uses = Array.from({ length: 20 }, () => useChallenge(db, challenge));
		expect((await Promise.all(uses)).filter(Boolean)).toHaveLength(1);
	});

	it("that nobody answered are forgotten in time", async () => {
		await db.transaction(tx => issueChallenge(tx));
		await db.query("UPDATE passkey_challenge SET expires_at = clock_timestamp() - interval '1 s'");
		const alive = await db.transaction(tx => issueChallenge(tx));
		expect(await db.query("SELECT challenge FROM passkey_challenge")).toEqual([
			{ challenge: alive }
		]);
	});
});

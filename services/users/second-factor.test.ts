import type { Database } from "../../lib/database.ts";
import { createEncryptionKey, readEncryptionKeys } from "../../lib/encryption.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { totpContext, useSecondFactor } from "./second-factor.ts";
import { codeOfStep, newTotpSecret, stepAt } from "./totp.ts";
import { beginEnrolment, confirmEnrolment } from "./two-factor.store.ts";
import { createUser } from "./users.store.ts";

describe("codes that come at once", () => {
	const encryption = readEncryptionKeys(createEncryptionKey());
	const secret = newTotpSecret();
	const now = new Date();
	const near = [-1, 0, 1].map(steps => codeOfStep(secret, stepAt(now) + steps));
	const wrong = ["000000", "111111", "222222", "333333"].find(code => !near.includes(code))!;
	let db: Database;
	let userId: string;
	beforeAll(async () => {
		db = await testDatabase("users");
	});
	beforeEach(async () => {
		await db.query("DELETE FROM users");
		userId = await db.transaction(async tx => {
			const { id } = await createUser(tx, {
				email: "ada@example.com",
				username: "ada",
				name: null,
				passwordHash: null,
				roles: ["customer"],
				emailVerified: true
			});
			const sealed = encryption.seal(secret, totpContext(id));
			await beginEnrolment(tx, id, sealed);
			await confirmEnrolment(tx, id, sealed, stepAt(now) - 2);
			return id;
		});
	});
	afterAll(() => db.close());

	const atOnce = (code: string) =>
		Promise.all(
			Array.from({ length: 20 }, () =>
				db.transaction(tx => useSecondFactor(tx, userId, code, encryption, now))
			)
		);
	const count = (outcomes: readonly string[], outcome: string) =>
		outcomes.filter(each => each === outcome).length;

	it("are looked at one after the other, so that none slips in before the pause", async () => {
		const outcomes = await atOnce(wrong);
		expect(count(outcomes, "wrong")).toBe(5);
		expect(count(outcomes, "paused")).toBe(15);
	});

	it("sign in once where they are right", async () => {
		expect(count(await atOnce(near[1]!), "totp")).toBe(1);
	});
});

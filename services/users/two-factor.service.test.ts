import { randomUUID } from "node:crypto";
import { Secret } from "otpauth";
import type { Tokens } from "../../contracts/auth.ts";
import { verifyAccessToken } from "../../lib/access-token.ts";
import type { Identity } from "../../lib/identity.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { newRecoveryCode } from "./recovery-code.ts";
import { codeOfStep, stepAt } from "./totp.ts";

const PASSWORD = "correct horse battery";

describe("two-factor", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"]);
	});
	afterAll(() => node.stop());

	const sql = <Row extends object>(text: string, bind: readonly unknown[] = []) =>
		node.runtime.database("users").query<Row>(text, bind);
	const login = (who: Somebody, code?: string): Promise<Tokens> =>
		node.call("auth.login", { login: who.username, password: PASSWORD, ...(code && { code }) });
	const refused = (type: string, code: number) => ({ type, code });

	interface Somebody {
		readonly username: string;
		readonly identity: Identity;
	}
	const somebody = async (): Promise<Somebody> => {
		const username = `u${randomUUID().slice(0, 12)}`;
		await node.call("auth.register", {
			email: `${username}@example.com`,
			username,
			password: PASSWORD
		});
		const { accessToken } = await node.call("auth.login", { login: username, password: PASSWORD });
		const identity = await verifyAccessToken(accessToken, await node.call("auth.keys", {}));
		return { username, identity };
	};
	/** Begins to set up an authenticator, and gives the code that it shows so many steps from now. */
	const enrol = async ({ identity }: Somebody) => {
		const { secret } = await node.call("two-factor.enrol", { password: PASSWORD }, identity);
		const key = Buffer.from(Secret.fromBase32(secret).bytes);
		return { secret, codeIn: (steps: number) => codeOfStep(key, stepAt(new Date()) + steps) };
	};
	const confirm = ({ identity }: Somebody, code: string) =>
		node.call("two-factor.confirm", { code }, identity);
	/** Somebody with an authenticator, of which the code `used` has confirmed it. */
	const protectedOne = async () => {
		const who = await somebody();
		const authenticator = await enrol(who);
		const used = authenticator.codeIn(0);
		const { recoveryCodes } = await confirm(who, used);
		return { who, ...authenticator, used, recoveryCodes };
	};
	const state = ({ identity }: Somebody) => node.call("two-factor.get", {}, identity);
	const logged = async ({ identity }: Somebody) =>
		(await node.call("audit.mine", {}, identity)).items.map(({ type }) => type);
	const facts = async ({ identity }: Somebody, type: string) =>
		(await node.recorded("users", type)).filter(
			({ data }) => (data as { userId: string }).userId === identity.id
		);
	const wrong = (...right: string[]) =>
		["000000", "111111", "222222", "333333"].find(code => !right.includes(code))!;

	/** The codes of the failures. */
	const refusals = (results: readonly PromiseSettledResult<unknown>[]) =>
		results.flatMap(result =>
			result.status === "rejected" ? [(result.reason as { type: string }).type] : []
		);

	describe("setting up an authenticator", () => {
		it("changes nothing until it is confirmed", async () => {
			const who = await somebody();
			const { codeIn } = await enrol(who);
			expect(await state(who)).toEqual({ enabled: false, since: null, recoveryCodesLeft: 0 });
			expect(await login(who)).toMatchObject({ tokenType: "Bearer" });
			const right = [-1, 0, 1].map(codeIn);
			await expect(confirm(who, wrong(...right))).rejects.toMatchObject(refused("WRONG_CODE", 422));
			expect(await login(who)).toMatchObject({ tokenType: "Bearer" });
			expect(await facts(who, "user.two-factor-enabled.v1")).toEqual([]);
		});

		it("shows ten recovery codes, tells of it and writes it down", async () => {
			const { who, recoveryCodes } = await protectedOne();
			expect(new Set(recoveryCodes).size).toBe(10);
			expect(await state(who)).toEqual({
				enabled: true,
				since: expect.any(String),
				recoveryCodesLeft: 10
			});
			expect(await facts(who, "user.two-factor-enabled.v1")).toEqual([
				{ type: "user.two-factor-enabled.v1", data: { userId: who.identity.id } }
			]);
			expect((await logged(who))[0]).toBe("two-factor-enabled");
		});

		it("is begun anew by whoever begins it again", async () => {
			const who = await somebody();
			const [first, second] = [await enrol(who), await enrol(who)];
			await expect(confirm(who, first.codeIn(0))).rejects.toMatchObject(refused("WRONG_CODE", 422));
			expect((await confirm(who, second.codeIn(0))).recoveryCodes).toHaveLength(10);
		});

		it("has to be begun, not long ago, by the same user", async () => {
			const [who, other] = [await somebody(), await somebody()];
			const { codeIn } = await enrol(who);
			await expect(confirm(other, codeIn(0))).rejects.toMatchObject(refused("NO_ENROLMENT", 409));
			await sql(
				"UPDATE totp SET pending_since = pending_since - interval '11 minutes' WHERE user_id = $1",
				[who.identity.id]
			);
			await expect(confirm(who, codeIn(0))).rejects.toMatchObject(refused("NO_ENROLMENT", 409));
		});

		it("succeeds once, however many confirm it at once", async () => {
			const who = await somebody();
			const { codeIn } = await enrol(who);
			const code = codeIn(0);
			const results = await Promise.allSettled(
				Array.from({ length: 20 }, () => confirm(who, code))
			);
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			expect(await facts(who, "user.two-factor-enabled.v1")).toHaveLength(1);
			expect(await state(who)).toMatchObject({ recoveryCodesLeft: 10 });
		});

		it("leaves the one before in force until it is confirmed, and then takes it away", async () => {
			const { who, codeIn: before, recoveryCodes } = await protectedOne();
			const next = await enrol(who);
			expect(await login(who, before(1))).toMatchObject({ tokenType: "Bearer" });
			await confirm(who, next.codeIn(0));
			await expect(login(who, before(1))).rejects.toMatchObject(
				refused("INVALID_SECOND_FACTOR", 401)
			);
			await expect(login(who, recoveryCodes[0])).rejects.toMatchObject(
				refused("INVALID_SECOND_FACTOR", 401)
			);
			expect(await login(who, next.codeIn(1))).toMatchObject({ tokenType: "Bearer" });
		});
	});

	describe("signing in with a second factor", () => {
		it("asks for it once the password was right, and for nothing of those without one", async () => {
			const { who, codeIn } = await protectedOne();
			await expect(login(who)).rejects.toMatchObject(refused("SECOND_FACTOR_REQUIRED", 401));
			const guess = { login: who.username, password: "not the password" };
			for (const code of [undefined, codeIn(1), "000000"])
				await expect(
					node.call("auth.login", { ...guess, ...(code && { code }) })
				).rejects.toMatchObject(refused("INVALID_CREDENTIALS", 401));
			expect(await login(who, codeIn(1))).toMatchObject({ tokenType: "Bearer" });
			const without = await somebody();
			expect(await login(without)).toMatchObject({ tokenType: "Bearer" });
			expect(await login(without, "000000")).toMatchObject({ tokenType: "Bearer" });
		});

		it("takes no code twice, nor one from before", async () => {
			const { who, codeIn, used } = await protectedOne();
			// What confirmed the authenticator is used up as well.
			await expect(login(who, used)).rejects.toMatchObject(refused("INVALID_SECOND_FACTOR", 401));
			const next = codeIn(1);
			expect(await login(who, next)).toMatchObject({ tokenType: "Bearer" });
			for (const code of [next, used, codeIn(-1)])
				await expect(login(who, code)).rejects.toMatchObject(refused("INVALID_SECOND_FACTOR", 401));
		});

		it("takes a code once, however many send it at once", async () => {
			const { who, codeIn } = await protectedOne();
			const code = codeIn(1);
			const results = await Promise.allSettled(Array.from({ length: 20 }, () => login(who, code)));
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			expect(new Set(refusals(results))).toEqual(
				new Set(["INVALID_SECOND_FACTOR", "SECOND_FACTOR_PAUSED"])
			);
		});

		it("takes a recovery code once, however many send it at once", async () => {
			const { who, recoveryCodes } = await protectedOne();
			const results = await Promise.allSettled(
				Array.from({ length: 20 }, () => login(who, recoveryCodes[3]))
			);
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			expect(await state(who)).toMatchObject({ enabled: true, recoveryCodesLeft: 9 });
			expect((await logged(who)).filter(type => type === "recovery-code-used")).toHaveLength(1);
			expect(await login(who, recoveryCodes[4]!.toLowerCase().replaceAll("-", ""))).toMatchObject({
				tokenType: "Bearer"
			});
			const type = "user.recovery-code-used.v1";
			const data = { userId: who.identity.id };
			expect(await facts(who, type)).toEqual([
				{ type, data: { ...data, left: 9 } },
				{ type, data: { ...data, left: 8 } }
			]);
		});

		it("writes down that somebody knows the password and shows no code", async () => {
			const { who } = await protectedOne();
			await expect(login(who)).rejects.toMatchObject({ type: "SECOND_FACTOR_REQUIRED" });
			expect((await logged(who))[0]).toBe("two-factor-requested");
		});

		it("writes a wrong code down, and a session for nobody", async () => {
			const { who, codeIn } = await protectedOne();
			const sessions = () => sql("SELECT id FROM session WHERE user_id = $1", [who.identity.id]);
			const before = await sessions();
			for (const code of [wrong(...[-1, 0, 1].map(codeIn)), newRecoveryCode()])
				await expect(login(who, code)).rejects.toMatchObject(refused("INVALID_SECOND_FACTOR", 401));
			expect(await sessions()).toEqual(before);
			expect((await logged(who)).slice(0, 2)).toEqual(["two-factor-failed", "two-factor-failed"]);
		});

		it("looks at no code of the authenticator after five wrong ones, however many come at once", async () => {
			const { who, codeIn, recoveryCodes } = await protectedOne();
			const guess = wrong(...[-1, 0, 1, 2].map(codeIn));
			const results = await Promise.allSettled(Array.from({ length: 12 }, () => login(who, guess)));
			const types = refusals(results);
			expect(types.filter(type => type === "INVALID_SECOND_FACTOR")).toHaveLength(5);
			expect(types.filter(type => type === "SECOND_FACTOR_PAUSED")).toHaveLength(7);
			await expect(login(who, codeIn(1))).rejects.toMatchObject(
				refused("SECOND_FACTOR_PAUSED", 401)
			);
			expect(await login(who, recoveryCodes[0])).toMatchObject({ tokenType: "Bearer" });
			await sql("UPDATE totp SET failed_at = failed_at - interval '31 s' WHERE user_id = $1", [
				who.identity.id
			]);
			expect(await login(who, codeIn(1))).toMatchObject({ tokenType: "Bearer" });
			// A right one makes up for all that were wrong.
			await expect(login(who, guess)).rejects.toMatchObject(refused("INVALID_SECOND_FACTOR", 401));
		});

		it("takes another's codes from nobody", async () => {
			const [one, other] = [await protectedOne(), await protectedOne()];
			for (const code of [other.codeIn(1), other.recoveryCodes[0]!])
				await expect(login(one.who, code)).rejects.toMatchObject(
					refused("INVALID_SECOND_FACTOR", 401)
				);
			expect(await state(other.who)).toMatchObject({ recoveryCodesLeft: 10 });
		});

		it("does not let a disabled user in, and says no more than without it", async () => {
			const { who, codeIn } = await protectedOne();
			await sql("UPDATE users SET status = 'disabled' WHERE id = $1", [who.identity.id]);
			for (const code of [undefined, codeIn(1)])
				await expect(login(who, code)).rejects.toMatchObject(refused("INVALID_CREDENTIALS", 401));
		});
	});

	describe("new recovery codes", () => {
		it("take the place of the earlier ones", async () => {
			const { who, recoveryCodes: old } = await protectedOne();
			const { recoveryCodes } = await node.call(
				"two-factor.renewRecoveryCodes",
				{ password: PASSWORD },
				who.identity
			);
			expect(recoveryCodes).toHaveLength(10);
			await expect(login(who, old[0])).rejects.toMatchObject(refused("INVALID_SECOND_FACTOR", 401));
			expect(await login(who, recoveryCodes[0])).toMatchObject({ tokenType: "Bearer" });
			expect(await logged(who)).toContain("recovery-codes-renewed");
		});

		it("are for those who have a second factor", async () => {
			const who = await somebody();
			await expect(
				node.call("two-factor.renewRecoveryCodes", { password: PASSWORD }, who.identity)
			).rejects.toMatchObject(refused("TWO_FACTOR_OFF", 409));
		});
	});

	describe("turning it off", () => {
		const disable = ({ identity }: Somebody, params: { password?: string }) =>
			node.call("two-factor.disable", params, identity);

		it("leaves nothing behind, tells of it and writes it down", async () => {
			const { who } = await protectedOne();
			expect(await disable(who, { password: PASSWORD })).toBeNull();
			expect(await login(who)).toMatchObject({ tokenType: "Bearer" });
			expect(await state(who)).toEqual({ enabled: false, since: null, recoveryCodesLeft: 0 });
			expect(await facts(who, "user.two-factor-disabled.v1")).toHaveLength(1);
			expect(await logged(who)).toContain("two-factor-disabled");
			await expect(disable(who, { password: PASSWORD })).rejects.toMatchObject(
				refused("TWO_FACTOR_OFF", 409)
			);
		});

		it("is refused to whoever has the session alone", async () => {
			const { who } = await protectedOne();
			await expect(disable(who, { password: "wrong" })).rejects.toMatchObject(
				refused("WRONG_PASSWORD", 403)
			);
			await expect(disable(who, {})).rejects.toMatchObject(
				refused("REAUTHENTICATION_REQUIRED", 403)
			);
			expect(await state(who)).toMatchObject({ enabled: true });
			expect(await logged(who)).toContain("password-check-failed");
		});

		it("needs a young session where there is no password", async () => {
			const { who } = await protectedOne();
			const { id, sessionId } = who.identity;
			await sql("UPDATE users SET password_hash = NULL WHERE id = $1", [id]);
			const grow = (minutes: number) =>
				sql(
					"UPDATE session SET created_at = clock_timestamp() - make_interval(mins => $2) WHERE id = $1",
					[sessionId, minutes]
				);
			await grow(11);
			await expect(disable(who, {})).rejects.toMatchObject(
				refused("REAUTHENTICATION_REQUIRED", 403)
			);
			await grow(9);
			// Nobody is helped by the youth of somebody else's session.
			const other = await protectedOne();
			await sql("UPDATE users SET password_hash = NULL WHERE id = $1", [other.who.identity.id]);
			const borrowed = { ...other.who, identity: { ...other.who.identity, sessionId } };
			await expect(disable(borrowed, {})).rejects.toMatchObject(
				refused("REAUTHENTICATION_REQUIRED", 403)
			);
			expect(await disable(who, {})).toBeNull();
		});
	});

	it("keeps secrets encrypted and codes as hashes, and tells neither to anybody", async () => {
		const { who, secret, recoveryCodes } = await protectedOne();
		await enrol(who);
		const dump = JSON.stringify([
			await sql("SELECT t::text FROM totp t"),
			await sql("SELECT c::text FROM recovery_code c"),
			await sql("SELECT e.detail::text FROM security_event e"),
			await node.recorded("users")
		]);
		const { bytes } = Secret.fromBase32(secret);
		for (const piece of [secret, Buffer.from(bytes).toString("hex"), ...recoveryCodes])
			expect(dump).not.toContain(piece);
	});

	it("decrypts for nobody else what one user has", async () => {
		const [one, other] = [await protectedOne(), await protectedOne()];
		await sql(
			"UPDATE totp SET secret = (SELECT secret FROM totp WHERE user_id = $2) WHERE user_id = $1",
			[one.who.identity.id, other.who.identity.id]
		);
		await expect(login(one.who, other.codeIn(1))).rejects.toThrow(/unable to authenticate/);
	});

	it("does not start without a key, or with one that somebody made up", async () => {
		const start = (ENCRYPTION_KEYS: string) =>
			startTestNode(["users"], { env: { ENCRYPTION_KEYS } });
		await expect(start("")).rejects.toThrow(/ENCRYPTION_KEYS is not set.*create-encryption-key/);
		await expect(start("A".repeat(43))).rejects.toThrow(/made up/);
	});
});

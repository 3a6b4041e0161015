import * as argon2 from "@node-rs/argon2";
import { createHash, randomUUID } from "node:crypto";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { startTestNode, somebody, type TestNode } from "../../tests/support/node.ts";
import type { Tokens } from "../../contracts/auth.ts";
import { ACCESS_TOKEN_SECONDS, verifyAccessToken } from "../../lib/access-token.ts";
import type { Identity } from "../../lib/identity.ts";
import { createSigningKeys, readSigningKeys } from "../../lib/signing-keys.ts";
import { hashOf, successorOf, SUCCESSOR_SECRET } from "./session.ts";
import { purgeSessions } from "./sessions.store.ts";

// The real thing, counted.
jest.mock("@node-rs/argon2", () => {
	const real = jest.requireActual<typeof argon2>("@node-rs/argon2");
	return { ...real, verify: jest.fn(real.verify), hash: jest.fn(real.hash) };
});

const PASSWORD = "correct horse battery";
let count = 0;
const person = () => {
	const username = `ada${++count}`;
	return { email: `${username}@example.com`, username, password: PASSWORD };
};

describe("auth", () => {
	let keys: string;
	let node: TestNode;
	beforeAll(async () => {
		keys = await createSigningKeys();
		node = await startTestNode(["users"], { env: { AUTH_KEYS: keys } });
	});
	afterAll(() => node.stop());

	const sql = <Row extends object>(text: string, bind: readonly unknown[] = []) =>
		node.runtime.database("users").query<Row>(text, bind);
	const login = (who: { email: string }, password = PASSWORD) =>
		node.call("auth.login", { login: who.email, password });
	const refresh = (refreshToken: string) => node.call("auth.refresh", { refreshToken });
	const identityOf = async ({ accessToken }: Tokens): Promise<Identity> =>
		verifyAccessToken(accessToken, await node.call("auth.keys", {}));
	/** Somebody registered and signed in. */
	const signedIn = async () => {
		const who = person();
		const user = await node.call("auth.register", who);
		const tokens = await login(who);
		return { who, user, tokens, identity: await identityOf(tokens) };
	};
	const age = (token: string, seconds: number) =>
		sql("UPDATE refresh_token SET used_at = used_at - make_interval(secs => $2) WHERE hash = $1", [
			hashOf(token),
			seconds
		]);
	const revoked = async (sessionId: string) =>
		(await node.recorded("users", "session.revoked.v1")).filter(
			({ data }) => (data as { sessionId: string }).sessionId === sessionId
		);

	it("registers once under one Idempotency-Key, and keeps nothing of the password", async () => {
		const who = person();
		const register = (params = who) =>
			node.broker.call("auth.register", params, {
				meta: { client: { address: "192.0.2.7", device: "" } },
				headers: { idempotencyKey: "k" }
			});
		const [first, second] = await Promise.all([register(), register()]);
		expect(second).toEqual(first);
		expect(await register({ ...who, password: `${PASSWORD}!` })).toEqual(first);
		await expect(register({ ...who, username: "another" })).rejects.toMatchObject({
			type: "IDEMPOTENCY_KEY_REUSED"
		});
		const { password: _, ...told } = who;
		const [kept] = await sql<{ fingerprint: string }>("SELECT fingerprint FROM idempotency_key");
		expect(kept!.fingerprint).toBe(
			createHash("sha256").update(JSON.stringify(told)).digest("base64url")
		);
	});

	describe("the journey", () => {
		it("registers, signs in, refreshes and signs out", async () => {
			const who = { ...person(), name: "Ada" };
			const user = await node.call("auth.register", who);
			expect(user).toMatchObject({
				email: who.email,
				roles: ["customer"],
				status: "active",
				emailVerified: false,
				version: 1
			});
			const tokens = await login(who);
			expect(tokens).toMatchObject({ tokenType: "Bearer", expiresIn: 900, user });
			const identity = await identityOf(tokens);
			expect(identity).toMatchObject({ id: user.id, roles: ["customer"] });
			expect(await node.call("users.me", {}, identity)).toEqual(user);
			const next = await refresh(tokens.refreshToken);
			expect(next.refreshToken).not.toBe(tokens.refreshToken);
			expect(await identityOf(next)).toEqual(identity);
			expect(await node.call("auth.logout", {}, identity)).toBeNull();
			await expect(refresh(next.refreshToken)).rejects.toMatchObject({
				type: "INVALID_REFRESH_TOKEN",
				code: 401
			});
		});

		it("records user.created.v1 once", async () => {
			const { user, who } = await signedIn();
			const facts = await node.recorded("users", "user.created.v1");
			expect(facts.filter(({ data }) => (data as { userId: string }).userId === user.id)).toEqual([
				{
					type: "user.created.v1",
					data: { userId: user.id, email: who.email, username: who.username, name: null }
				}
			]);
		});

		it("keeps where and with what the session was opened", async () => {
			const who = person();
			await node.call("auth.register", who);
			const client = { address: "192.0.2.7", device: "Firefox" };
			const params = { login: who.username.toUpperCase(), password: PASSWORD };
			const tokens = await node.broker.call<Tokens, object>("auth.login", params, {
				meta: { client }
			});
			const { sessionId } = await identityOf(tokens);
			expect(await sql("SELECT address, device FROM session WHERE id = $1", [sessionId])).toEqual([
				client
			]);
		});
	});

	describe("registration", () => {
		it("gives one address to one account, however many ask at once", async () => {
			const { email } = person();
			const asks = Array.from({ length: 20 }, (_, n) =>
				node.call("auth.register", {
					email: n % 2 ? email : email.toUpperCase(),
					username: `twin${n}`,
					password: PASSWORD
				})
			);
			const results = await Promise.allSettled(asks);
			const refused = results.filter(result => result.status === "rejected");
			expect(refused).toHaveLength(19);
			for (const { reason } of refused)
				expect(reason).toMatchObject({ type: "EMAIL_TAKEN", code: 409 });
			expect(await sql("SELECT id FROM users WHERE email_normalized = $1", [email])).toHaveLength(
				1
			);
			const facts = await node.recorded("users", "user.created.v1");
			expect(
				facts.filter(({ data }) => (data as { email: string }).email.toLowerCase() === email)
			).toHaveLength(1);
		});

		it("says which of the two is taken, whatever the case", async () => {
			const { who } = await signedIn();
			const other = person();
			await expect(
				node.call("auth.register", { ...other, username: who.username.toUpperCase() })
			).rejects.toMatchObject({ type: "USERNAME_TAKEN", code: 409 });
			await expect(
				node.call("auth.register", { ...other, email: who.email.toUpperCase() })
			).rejects.toMatchObject({ type: "EMAIL_TAKEN" });
		});

		it("refuses common passwords", async () => {
			await expect(
				node.call("auth.register", { ...person(), password: "Password123" })
			).rejects.toMatchObject({ type: "PASSWORD_TOO_COMMON", code: 422 });
		});

		it("takes no role from outside", async () => {
			const params = { ...person(), roles: ["admin"] };
			await expect(node.call("auth.register", params)).rejects.toMatchObject({ code: 422 });
		});
	});

	describe("log-in", () => {
		const hashes = async (work: Promise<unknown>) => {
			jest.mocked(argon2.verify).mockClear();
			await expect(work).rejects.toMatchObject({ type: "INVALID_CREDENTIALS", code: 401 });
			return jest.mocked(argon2.verify).mock.calls.length;
		};

		it("costs one hash, whether the login is known, unknown, disabled or without a password", async () => {
			const { who, user } = await signedIn();
			expect(await hashes(login(who, "wrong password"))).toBe(1);
			expect(await hashes(login({ email: "nobody@example.com" }))).toBe(1);
			await sql("UPDATE users SET status = 'disabled' WHERE id = $1", [user.id]);
			expect(await hashes(login(who))).toBe(1);
			await sql("UPDATE users SET status = 'active', password_hash = NULL WHERE id = $1", [
				user.id
			]);
			expect(await hashes(login(who))).toBe(1);
			// All of the same cost.
			for (const [hash] of jest.mocked(argon2.verify).mock.calls)
				expect(argon2.parseOptions(hash)).toMatchObject({ memoryCost: 19_456, timeCost: 2 });
		});

		describe("of an account that came with another system's hash", () => {
			// By libxcrypt, of the password of all here.
			const BCRYPT = "$2y$08$abcdefghijklmnopqrstuuwezlW09AGl.Qc8oiYvHEzrpumH/GaSu";
			const moved = async (passwordHash = BCRYPT) => {
				const who = person();
				const { id } = await node.call("auth.register", who);
				await sql("UPDATE users SET password_hash = $2 WHERE id = $1", [id, passwordHash]);
				return { who, id };
			};
			const hashOfUser = async (id: string) =>
				(
					await sql<{ hash: string }>("SELECT password_hash AS hash FROM users WHERE id = $1", [id])
				)[0]!.hash;

			it("gives it a hash of ours, once, and changes nothing else", async () => {
				const { who, id } = await moved();
				await expect(login(who, "wrong password")).rejects.toMatchObject({ code: 401 });
				expect(await hashOfUser(id)).toBe(BCRYPT);
				const tokens = await login(who);
				const renewed = await hashOfUser(id);
				expect(argon2.parseOptions(renewed)).toMatchObject({ memoryCost: 19_456, timeCost: 2 });
				expect(await node.call("users.me", {}, await identityOf(tokens))).toEqual(tokens.user);
				await login(who);
				expect(await hashOfUser(id)).toBe(renewed);
			});

			it("strengthens a weaker hash of the same kind", async () => {
				const weak = await argon2.hash(PASSWORD, { algorithm: 2, memoryCost: 4_096, timeCost: 1 });
				const { who, id } = await moved(weak);
				await login(who);
				expect(argon2.parseOptions(await hashOfUser(id))).toMatchObject({ memoryCost: 19_456 });
			});

			it("lets everybody in who comes at once", async () => {
				const { who, id } = await moved();
				const all = await Promise.all(Array.from({ length: 5 }, () => login(who)));
				expect(new Set(all.map(({ refreshToken }) => refreshToken)).size).toBe(5);
				expect(await hashOfUser(id)).toMatch(/^\$argon2id\$/);
			});

			it("is of no use where the password was changed meanwhile, and leaves that alone", async () => {
				const { who, id } = await moved();
				const other = await argon2.hash("another password");
				jest.mocked(argon2.hash).mockImplementationOnce(async (password, options) => {
					await sql("UPDATE users SET password_hash = $2 WHERE id = $1", [id, other]);
					return jest.requireActual<typeof argon2>("@node-rs/argon2").hash(password, options);
				});
				await expect(login(who)).rejects.toMatchObject({ type: "INVALID_CREDENTIALS" });
				expect(await hashOfUser(id)).toBe(other);
			});

			it("is confirmed by it where somebody proves it once more", async () => {
				const { who, id } = await moved();
				const identity = await identityOf(await login(who));
				await sql("UPDATE users SET password_hash = $2 WHERE id = $1", [id, BCRYPT]);
				const newPassword = "quite another one";
				await node.call("passwords.change", { currentPassword: PASSWORD, newPassword }, identity);
				expect(await login(who, newPassword)).toMatchObject({ tokenType: "Bearer" });
			});
		});

		it("gives an access token with all its claims, signed by the first key", async () => {
			const { tokens, identity } = await signedIn();
			const claims = decodeJwt(tokens.accessToken);
			expect(claims).toMatchObject({
				iss: "valence",
				aud: "valence-api",
				sub: identity.id,
				sid: identity.sessionId
			});
			expect(claims.exp! - claims.iat!).toBe(ACCESS_TOKEN_SECONDS);
			expect(claims.jti).toEqual(expect.any(String));
			expect(decodeProtectedHeader(tokens.accessToken)).toEqual({
				alg: "EdDSA",
				typ: "at+jwt",
				kid: readSigningKeys(keys).kid
			});
		});
	});

	describe("a refresh token", () => {
		it("that was used within ten seconds gets the same successor", async () => {
			const { tokens, identity } = await signedIn();
			const first = await refresh(tokens.refreshToken);
			await age(tokens.refreshToken, 8);
			const again = await refresh(tokens.refreshToken);
			expect(again.refreshToken).toBe(first.refreshToken);
			expect(await identityOf(again)).toEqual(identity);
			expect(await revoked(identity.sessionId)).toEqual([]);
		});

		it("that was used before ends the session, tells of it once, and leaves others alone", async () => {
			const { who, tokens, identity } = await signedIn();
			const other = await login(who);
			const next = await refresh(tokens.refreshToken);
			await age(tokens.refreshToken, 11);
			for (let n = 0; n < 2; n++)
				await expect(refresh(tokens.refreshToken)).rejects.toMatchObject({
					type: "INVALID_REFRESH_TOKEN"
				});
			await expect(refresh(next.refreshToken)).rejects.toMatchObject({
				type: "INVALID_REFRESH_TOKEN"
			});
			expect(await revoked(identity.sessionId)).toMatchObject([
				{ data: { userId: identity.id, reason: "token-reuse" } }
			]);
			expect(await refresh(other.refreshToken)).toMatchObject({ tokenType: "Bearer" });
		});

		it("leaves one living branch, however many use it at once", async () => {
			const { tokens, identity } = await signedIn();
			const all = await Promise.all(Array.from({ length: 20 }, () => refresh(tokens.refreshToken)));
			expect(new Set(all.map(({ refreshToken }) => refreshToken)).size).toBe(1);
			expect(
				await sql("SELECT hash FROM refresh_token WHERE session_id = $1 AND used_at IS NULL", [
					identity.sessionId
				])
			).toEqual([{ hash: hashOf(all[0]!.refreshToken) }]);
			expect(
				await sql("SELECT hash FROM refresh_token WHERE session_id = $1", [identity.sessionId])
			).toHaveLength(2);
		});

		it("cannot have a second living branch, by the database's own rule", async () => {
			const { identity } = await signedIn();
			await expect(
				sql(
					"INSERT INTO refresh_token (hash, session_id, expires_at) VALUES (sha256('x'), $1, now())",
					[identity.sessionId]
				)
			).rejects.toMatchObject({ code: "23505" });
		});

		it("is kept as a hash only, and so is its successor", async () => {
			const { tokens } = await signedIn();
			const next = await refresh(tokens.refreshToken);
			const dump = JSON.stringify(
				await sql("SELECT t::text, s::text FROM refresh_token t, session s")
			);
			for (const token of [tokens.refreshToken, next.refreshToken]) {
				expect(dump).toContain(hashOf(token).toString("hex"));
				expect(dump).not.toContain(token);
				expect(dump).not.toContain(Buffer.from(token).toString("hex"));
				expect(dump).not.toContain(Buffer.from(token, "base64url").toString("hex"));
			}
		});

		it("that nobody gave out is refused", async () => {
			await expect(refresh("A".repeat(43))).rejects.toMatchObject({
				type: "INVALID_REFRESH_TOKEN"
			});
		});

		it("ends after 14 days without use and after 90 in all", async () => {
			const { who, tokens, identity } = await signedIn();
			const [life] = await sql<{ idle: number; absolute: number }>(
				`SELECT extract(epoch FROM t.expires_at - t.created_at)::float / 86400 AS idle,
				   extract(epoch FROM s.expires_at - s.created_at)::float / 86400 AS absolute
				 FROM refresh_token t JOIN session s ON s.id = t.session_id WHERE t.hash = $1`,
				[hashOf(tokens.refreshToken)]
			);
			expect(life!.idle).toBeCloseTo(14, 3);
			expect(life!.absolute).toBeCloseTo(90, 3);
			await sql("UPDATE session SET expires_at = now() + interval '1 day' WHERE id = $1", [
				identity.sessionId
			]);
			const next = await refresh(tokens.refreshToken);
			const [last] = await sql<{ capped: boolean }>(
				`SELECT t.expires_at = s.expires_at AS capped
				 FROM refresh_token t JOIN session s ON s.id = t.session_id WHERE t.hash = $1`,
				[hashOf(next.refreshToken)]
			);
			expect(last).toEqual({ capped: true });
			await sql("UPDATE session SET expires_at = now() - interval '1 s' WHERE id = $1", [
				identity.sessionId
			]);
			await expect(refresh(next.refreshToken)).rejects.toMatchObject({
				type: "INVALID_REFRESH_TOKEN"
			});
			const idle = await login(who);
			await sql("UPDATE refresh_token SET expires_at = now() - interval '1 s' WHERE hash = $1", [
				hashOf(idle.refreshToken)
			]);
			await expect(refresh(idle.refreshToken)).rejects.toMatchObject({
				type: "INVALID_REFRESH_TOKEN"
			});
		});

		it("is of no use to a disabled user, not even within the window", async () => {
			const { user, tokens } = await signedIn();
			const next = await refresh(tokens.refreshToken);
			await sql("UPDATE users SET status = 'disabled' WHERE id = $1", [user.id]);
			for (const token of [tokens.refreshToken, next.refreshToken])
				await expect(refresh(token)).rejects.toMatchObject({ type: "INVALID_REFRESH_TOKEN" });
		});

		it("gets the same successor though the node that rotated it had another key in front", async () => {
			const { tokens } = await signedIn();
			// A stand-in for that node: what is stored is the successor under a key of the second place.
			const foreign = await createSigningKeys();
			const set = { keys: [...JSON.parse(keys).keys, ...JSON.parse(foreign).keys] };
			const both = await startTestNode(["users"], {
				env: {
					AUTH_KEYS: JSON.stringify(set),
					USERS_DATABASE_URL: node.runtime.database("users").url
				}
			});
			try {
				const [secret] = readSigningKeys(foreign).secrets(SUCCESSOR_SECRET);
				const successor = successorOf(tokens.refreshToken, secret!);
				await sql("UPDATE refresh_token SET used_at = now(), successor_hash = $2 WHERE hash = $1", [
					hashOf(tokens.refreshToken),
					hashOf(successor)
				]);
				const ask = { refreshToken: tokens.refreshToken };
				expect((await both.call("auth.refresh", ask)).refreshToken).toBe(successor);
				// This node does not know that key: it must not invent another branch.
				await expect(refresh(tokens.refreshToken)).rejects.toMatchObject({
					type: "INVALID_REFRESH_TOKEN"
				});
			} finally {
				await both.stop();
			}
		});
	});

	describe("the end of a session", () => {
		it("is told once, with how long it matters", async () => {
			const { identity } = await signedIn();
			const before = Date.now();
			await node.call("auth.logout", {}, identity);
			await node.call("auth.logout", {}, identity);
			const [fact, ...more] = await revoked(identity.sessionId);
			expect(more).toEqual([]);
			expect(fact!.data).toMatchObject({
				sessionId: identity.sessionId,
				userId: identity.id,
				reason: "logout"
			});
			const { until } = fact!.data as { until: string };
			expect(Date.parse(until)).toBeGreaterThanOrEqual(before + ACCESS_TOKEN_SECONDS * 1_000);
			expect(await node.call("auth.revocations", {})).toContainEqual({
				sessionId: identity.sessionId,
				until
			});
		});

		it("is forgotten when its last access token has ended by itself", async () => {
			const { identity } = await signedIn();
			await node.call("auth.logout", {}, identity);
			await sql("UPDATE session SET revoked_until = now() - interval '1 s' WHERE id = $1", [
				identity.sessionId
			]);
			const left = await node.call("auth.revocations", {});
			expect(left.map(({ sessionId }) => sessionId)).not.toContain(identity.sessionId);
		});

		it("is told to those who ask for what is recent, and not long after", async () => {
			const [late, early] = [await signedIn(), await signedIn()];
			for (const { identity } of [late, early]) await node.call("auth.logout", {}, identity);
			await sql(
				"UPDATE session SET revoked_until = revoked_until - interval '60 s' WHERE id = $1",
				[early.identity.sessionId]
			);
			const within = async (params: { withinSeconds?: number }) => {
				const told = await node.call("auth.revocations", params);
				const ids = told.map(({ sessionId }) => sessionId);
				return [late, early].map(({ identity }) => ids.includes(identity.sessionId));
			};
			expect(await within({ withinSeconds: 59 })).toEqual([true, false]);
			expect(await within({ withinSeconds: 3_600 })).toEqual([true, true]);
			expect(await within({})).toEqual([true, true]);
			await expect(within({ withinSeconds: 0 })).rejects.toMatchObject({ code: 422 });
		});

		it("comes for all sessions of one user, and of nobody else", async () => {
			const { who, tokens, identity } = await signedIn();
			const second = await login(who);
			const stranger = await signedIn();
			await node.call("auth.logoutAll", {}, identity);
			for (const each of [tokens, second]) {
				const { sessionId } = await identityOf(each);
				expect(await revoked(sessionId)).toMatchObject([{ data: { reason: "logout-all" } }]);
				await expect(refresh(each.refreshToken)).rejects.toMatchObject({
					type: "INVALID_REFRESH_TOKEN"
				});
			}
			expect(await refresh(stranger.tokens.refreshToken)).toMatchObject({ tokenType: "Bearer" });
		});

		it("cannot be brought about by another user", async () => {
			const { tokens, identity } = await signedIn();
			await node.call("auth.logout", {}, { ...somebody(), sessionId: identity.sessionId });
			expect(await revoked(identity.sessionId)).toEqual([]);
			expect(await refresh(tokens.refreshToken)).toMatchObject({ tokenType: "Bearer" });
		});
	});

	describe("sessions", () => {
		const call = (action: "auth.login" | "auth.refresh", params: object, device: string) =>
			node.broker.call<Tokens, object>(action, params, {
				meta: { client: { address: `192.0.2.${device.length}`, device } }
			});

		it("are listed by their last use, with what and from where that was", async () => {
			const { who, identity } = await signedIn();
			const phone = await call("auth.login", { login: who.email, password: PASSWORD }, "Phone");
			await call("auth.login", { login: who.email, password: PASSWORD }, "Laptop");
			await call("auth.refresh", { refreshToken: phone.refreshToken }, "Phone, moved");
			const { items, nextCursor } = await node.call("auth.sessions", {}, identity);
			expect(items.map(({ device, address, current }) => [device, address, current])).toEqual([
				["Phone, moved", "192.0.2.12", false],
				["Laptop", "192.0.2.6", false],
				["unknown", "unknown", true]
			]);
			expect(nextCursor).toBeNull();
			const first = await node.call("auth.sessions", { limit: 2 }, identity);
			const rest = await node.call("auth.sessions", { cursor: first.nextCursor! }, identity);
			expect([...first.items, ...rest.items]).toEqual(items);
			await expect(
				node.call("auth.sessions", { cursor: first.nextCursor! }, (await signedIn()).identity)
			).rejects.toMatchObject({ type: "INVALID_CURSOR" });
		});

		it("are ended one by one by whose they are", async () => {
			const { who, identity } = await signedIn();
			const phone = await login(who);
			const { sessionId: id } = await identityOf(phone);
			await expect(
				node.call("auth.endSession", { id }, (await signedIn()).identity)
			).rejects.toMatchObject({ type: "NOT_FOUND" });
			expect(await node.call("auth.endSession", { id }, identity)).toBeNull();
			await expect(refresh(phone.refreshToken)).rejects.toMatchObject({ code: 401 });
			expect(await revoked(id)).toMatchObject([{ data: { reason: "logout", cause: "ended" } }]);
			await expect(node.call("auth.endSession", { id }, identity)).rejects.toMatchObject({
				type: "NOT_FOUND"
			});
			const { items } = await node.call("auth.sessions", {}, identity);
			expect(items.map(session => session.id)).toEqual([identity.sessionId]);
		});
	});

	it("forgets what is over, and nothing else", async () => {
		const [living, ended, idle] = [await signedIn(), await signedIn(), await signedIn()];
		await node.call("auth.logout", {}, ended.identity);
		const database = node.runtime.database("users");
		await purgeSessions(database);
		const rowsIn = async (table: string) =>
			(
				await sql<{ n: number }>(
					`SELECT count(*)::int AS n FROM ${table} t WHERE ${table === "session" ? "id" : "session_id"} = ANY ($1)`,
					[[living, ended, idle].map(({ identity }) => identity.sessionId)]
				)
			)[0]!.n;
		expect([await rowsIn("session"), await rowsIn("refresh_token")]).toEqual([3, 3]);
		await sql("UPDATE session SET revoked_at = revoked_at - interval '31 days' WHERE id = $1", [
			ended.identity.sessionId
		]);
		await sql("UPDATE session SET last_used_at = now() - interval '45 days' WHERE id = $1", [
			idle.identity.sessionId
		]);
		await sql("UPDATE refresh_token SET expires_at = now() WHERE session_id = $1", [
			idle.identity.sessionId
		]);
		expect(await purgeSessions(database)).toBe(3);
		expect([await rowsIn("session"), await rowsIn("refresh_token")]).toEqual([1, 1]);
		await refresh(living.tokens.refreshToken);
	});

	describe("what leaves", () => {
		it("are public keys without a private member", async () => {
			const answer = await node.call("auth.keys", {});
			expect(answer.keys).toHaveLength(1);
			for (const key of answer.keys)
				expect(Object.keys(key).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
			for (const { d } of JSON.parse(keys).keys) expect(JSON.stringify(answer)).not.toContain(d);
		});

		it("are users without their password's hash, and facts likewise", async () => {
			const who = person();
			const user = await node.call("auth.register", who);
			const tokens = await login(who);
			const next = await refresh(tokens.refreshToken);
			const me = await node.call("users.me", {}, await identityOf(tokens));
			const facts = await node.recorded("users");
			for (const answer of [user, tokens, next, me, facts]) {
				expect(JSON.stringify(answer)).not.toMatch(/passwordHash|argon2/i);
				expect(JSON.stringify(answer)).not.toContain(PASSWORD);
			}
		});
	});

	it("does not start without keys, and says how to get them", async () => {
		await expect(startTestNode(["users"], { env: { AUTH_KEYS: "" } })).rejects.toThrow(
			/AUTH_KEYS is not set.*npm run keys -- create/
		);
		await expect(
			startTestNode(["users"], { env: { AUTH_KEYS: `{"keys":["${randomUUID()}"]}` } })
		).rejects.toThrow(/AUTH_KEYS is not a JWK set/);
	});
});

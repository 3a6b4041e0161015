import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Tokens } from "../../contracts/auth.ts";
import { verifyAccessToken } from "../../lib/access-token.ts";
import type { Identity } from "../../lib/identity.ts";
import {
	CLIENT,
	TestProvider,
	type Claims,
	type Person
} from "../../tests/support/openid-provider.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";

const PUBLIC_URL = "http://127.0.0.1:3999";
const APP = "http://localhost:5173";
const PASSWORD = "correct horse battery";
const environment = (issuer: string) => ({
	OIDC_ISSUER: issuer,
	GOOGLE_CLIENT_ID: CLIENT.id,
	GOOGLE_CLIENT_SECRET: CLIENT.secret,
	PUBLIC_URL,
	CORS_ORIGINS: APP,
	// Here the provider fails more often than a day has minutes.
	BREAKER_FAILURES: "1000"
});

let count = 0;
/** Somebody whom nobody here has seen before. */
const stranger = (more: Partial<Person> = {}): Person => {
	const n = ++count;
	return {
		sub: `sub-${n}`,
		email: `grace${n}@example.com`,
		email_verified: true,
		name: `Grace Hopper ${n}`,
		...more
	};
};

describe("sign-in with Google", () => {
	let provider: TestProvider;
	let node: TestNode;
	beforeAll(async () => {
		provider = await TestProvider.start({
			redirectUris: [`${PUBLIC_URL}/api/v1/auth/google/callback`]
		});
		node = await startTestNode(["users"], { env: environment(provider.issuer) });
	});
	afterAll(async () => {
		await node.stop();
		await provider.goAway();
	});
	beforeEach(() => provider.behave());

	const sql = <Row extends object>(text: string, bind: readonly unknown[] = []) =>
		node.runtime.database("users").query<Row>(text, bind);
	const identityOf = async ({ accessToken }: Tokens): Promise<Identity> =>
		verifyAccessToken(accessToken, await node.call("auth.keys", {}));

	interface Start {
		readonly returnTo?: string;
		readonly codeChallenge?: string;
		readonly browser?: string;
	}
	interface Back {
		readonly state: string;
		readonly code?: string;
		readonly iss?: string;
		readonly error?: string;
		readonly browser?: string;
	}
	/** Begins, signs in at the provider as `person`, and answers what the browser then brings back. */
	const visit = async (
		person: Person | null,
		params: Start = {},
		as?: Identity,
		at = node
	): Promise<Back & { browser: string }> => {
		const { location, browser } = await at.call("google.begin", params, as);
		return { ...(await backFrom(location, person)), browser };
	};
	const backFrom = async (location: string, person: Person | null): Promise<Back> => {
		const { searchParams } = await provider.visit(location, person);
		const { state, code, iss, error } = Object.fromEntries(searchParams);
		return { state: state!, ...defined({ code, iss, error }) };
	};
	const defined = (all: Record<string, string | undefined>) =>
		Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
	const finish = (back: Back, as?: Identity) => node.call("google.finish", back, as);
	const signIn = async (person: Person) => (await finish(await visit(person))) as Tokens;
	/** What stands behind the `#` of where the browser is sent. */
	const fragmentOf = async (back: Back): Promise<string> => {
		const { location } = (await finish(back)) as { location: string };
		expect(location).toMatch(/^http:\/\/localhost:5173\/in#/);
		return location.split("#")[1]!;
	};
	const codeFor = async (person: Person, codeChallenge?: string): Promise<string> => {
		const start = { returnTo: `${APP}/in`, ...(codeChallenge ? { codeChallenge } : {}) };
		return (await fragmentOf(await visit(person, start))).replace(/^code=/, "");
	};
	const withPassword = async () => {
		const username = `ada${++count}`;
		const who = { email: `${username}@example.com`, username, password: PASSWORD };
		const user = await node.call("auth.register", who);
		const tokens = await node.call("auth.login", { login: username, password: PASSWORD });
		return { user, identity: await identityOf(tokens) };
	};
	const linked = async (person: Person, as: Identity) =>
		finish(await visit(person, {}, as)) as Promise<null>;
	const identitiesOf = (userId: string) =>
		sql<{ subject: string }>(
			"SELECT issuer, subject, email FROM federated_identity WHERE user_id = $1",
			[userId]
		);
	const eventsOf = async (userId: string) =>
		(
			await sql<{ type: string }>(
				"SELECT type FROM security_event WHERE user_id = $1 ORDER BY position",
				[userId]
			)
		).map(({ type }) => type);
	const toldOf = async (userId: string) =>
		(await node.recorded("users")).filter(
			({ data }) => (data as { userId?: string }).userId === userId
		);
	const refused = async (work: Promise<unknown>, type: string, code: number) => {
		await expect(work).rejects.toMatchObject({ type, code });
	};

	describe("to sign up", () => {
		it("makes an account without a password, with the address that the provider has verified", async () => {
			const person = stranger();
			const { user, ...tokens } = await signIn(person);
			expect(tokens).toMatchObject({ tokenType: "Bearer", expiresIn: 900 });
			expect(user).toMatchObject({
				email: person.email,
				emailVerified: true,
				name: person.name,
				username: `grace.hopper.${count}`,
				roles: ["customer"],
				status: "active"
			});
			expect(await identitiesOf(user.id)).toEqual([
				{ issuer: provider.issuer, subject: person.sub, email: person.email }
			]);
			expect(await sql("SELECT password_hash AS hash FROM users WHERE id = $1", [user.id])).toEqual(
				[{ hash: null }]
			);
			expect(await eventsOf(user.id)).toEqual(["registered", "signed-in"]);
			// A link to what was not there before is no news to anybody.
			const told = (await toldOf(user.id)).map(({ type, data }) => [
				type,
				(data as { method?: string }).method
			]);
			expect(told).toEqual([
				["user.created.v1", undefined],
				["user.email-verified.v1", undefined],
				["user.authenticated.v1", "google"]
			]);
		});

		it("finds another username where the first is taken", async () => {
			const first = await signIn(stranger({ name: "Mary Shelley" }));
			const second = await signIn(stranger({ name: "Mary Shelley" }));
			expect(first.user.username).toBe("mary.shelley");
			expect(second.user.username).toMatch(/^mary\.shelley-[0-9a-f]{4}$/);
		});

		it("makes one account, however many windows come back at once", async () => {
			const person = stranger();
			const backs = [await visit(person), await visit(person), await visit(person)];
			const all = (await Promise.all(backs.map(back => finish(back)))) as Tokens[];
			expect(new Set(all.map(({ user }) => user.id)).size).toBe(1);
			expect(await eventsOf(all[0]!.user.id)).toEqual([
				"registered",
				"signed-in",
				"signed-in",
				"signed-in"
			]);
		});

		it.each<[string, Partial<Person>]>([
			["that the provider has not verified", { email_verified: false }],
			["that it says nothing of", { email_verified: undefined as never }],
			["that is missing", { email: undefined as never }],
			["that is none", { email: "grace" }]
		])("is refused with an address %s", async (_, more) => {
			const person = stranger(more);
			await refused(finish(await visit(person)), "GOOGLE_EMAIL_UNVERIFIED", 403);
			expect(
				await sql("SELECT 1 FROM federated_identity WHERE subject = $1", [person.sub])
			).toEqual([]);
		});

		it("is refused where the address belongs to an account, which is left as it is", async () => {
			const { user } = await withPassword();
			const person = stranger({ email: user.email.toUpperCase() });
			const work = finish(await visit(person));
			await expect(work).rejects.toMatchObject({
				type: "EMAIL_TAKEN",
				code: 409,
				message: expect.stringMatching(/Sign in with your password and link Google/)
			});
			expect(await identitiesOf(user.id)).toEqual([]);
			expect(await eventsOf(user.id)).not.toContain("identity-linked");
		});
	});

	describe("to sign in again", () => {
		it("leads to the same account, whatever the address is by then", async () => {
			const person = stranger();
			const first = await signIn(person);
			const again = await signIn({ ...person, email: "new@example.com", email_verified: false });
			expect(again.user).toEqual(first.user);
			expect((await identityOf(again)).sessionId).not.toBe((await identityOf(first)).sessionId);
			expect(await node.call("users.me", {}, await identityOf(again))).toMatchObject({
				email: person.email
			});
		});

		it("is not for an account that is disabled", async () => {
			const person = stranger();
			const { user } = await signIn(person);
			const code = await codeFor(person);
			await sql("UPDATE users SET status = 'disabled' WHERE id = $1", [user.id]);
			await refused(finish(await visit(person)), "ACCOUNT_DISABLED", 403);
			await refused(node.call("google.redeem", { code }), "ACCOUNT_DISABLED", 403);
			expect(await fragmentOf(await visit(person, { returnTo: `${APP}/in` }))).toBe(
				"error=ACCOUNT_DISABLED"
			);
			expect((await eventsOf(user.id)).slice(-3)).toEqual([
				"sign-in-failed",
				"sign-in-failed",
				"sign-in-failed"
			]);
			expect(await sql("SELECT 1 FROM session WHERE user_id = $1", [user.id])).toHaveLength(1);
		});
	});

	describe("a code behind the address to come back to", () => {
		it("gets the tokens once", async () => {
			const person = stranger();
			const code = await codeFor(person);
			// Nobody has signed in before the code is changed.
			expect(
				await sql("SELECT 1 FROM session s JOIN users u ON u.id = s.user_id WHERE email = $1", [
					person.email
				])
			).toEqual([]);
			const works = Array.from({ length: 5 }, () => node.call("google.redeem", { code }));
			const results = await Promise.allSettled(works);
			const [won, ...more] = results.filter(({ status }) => status === "fulfilled");
			expect(more).toEqual([]);
			expect(won).toMatchObject({ value: { tokenType: "Bearer", user: { email: person.email } } });
			await refused(node.call("google.redeem", { code }), "INVALID_SIGN_IN_CODE", 422);
		});

		it("is of no use after a minute", async () => {
			const code = await codeFor(stranger());
			await sql("UPDATE sign_in_code SET expires_at = expires_at - interval '61 s'");
			await refused(node.call("google.redeem", { code }), "INVALID_SIGN_IN_CODE", 422);
		});

		it("needs the secret of the client that began, and is used up by a wrong one", async () => {
			const verifier = randomBytes(32).toString("base64url");
			const challenge = createHash("sha256").update(verifier).digest("base64url");
			const person = stranger();
			const code = await codeFor(person, challenge);
			expect(await node.call("google.redeem", { code, codeVerifier: verifier })).toMatchObject({
				user: { email: person.email }
			});
			const wrong = randomBytes(32).toString("base64url");
			for (const other of [{}, { codeVerifier: wrong }]) {
				const next = await codeFor(person, challenge);
				await refused(
					node.call("google.redeem", { code: next, ...other }),
					"INVALID_SIGN_IN_CODE",
					422
				);
				await refused(
					node.call("google.redeem", { code: next, codeVerifier: verifier }),
					"INVALID_SIGN_IN_CODE",
					422
				);
			}
			const open = await codeFor(person);
			await refused(
				node.call("google.redeem", { code: open, codeVerifier: verifier }),
				"INVALID_SIGN_IN_CODE",
				422
			);
		});

		it("leads nowhere but to us and those who may call us", async () => {
			for (const returnTo of ["//evil.com", "https://evil.com/", `${APP}@evil.com/`])
				await expect(node.call("google.begin", { returnTo })).rejects.toMatchObject({
					type: "VALIDATION_ERROR",
					code: 422,
					data: { errors: [{ field: "returnTo", code: "origin" }] }
				});
			const back = await visit(stranger(), { returnTo: "/docs" });
			expect(await finish(back)).toEqual({
				location: expect.stringMatching(/^http:\/\/127\.0\.0\.1:3999\/docs#code=[\w-]{43}$/)
			});
		});

		it("is kept as a hash, as are state and browser", async () => {
			const code = await codeFor(stranger());
			const { state, browser } = await visit(stranger());
			const dump = JSON.stringify(
				await sql("SELECT c::text, p::text FROM sign_in_code c, pending_sign_in p")
			);
			for (const secret of [code, state, browser]) {
				expect(dump).toContain(createHash("sha256").update(secret).digest("hex"));
				expect(dump).not.toContain(secret);
			}
		});
	});

	describe("an answer", () => {
		const EXPIRED = ["GOOGLE_SIGN_IN_EXPIRED", 422] as const;

		it("with another state, or of another browser, is refused and spoils nothing", async () => {
			const back = await visit(stranger());
			const other = await visit(stranger());
			await refused(finish({ ...back, state: "x" }), ...EXPIRED);
			await refused(finish({ ...back, browser: other.browser }), ...EXPIRED);
			await refused(finish({ ...back, browser: "" }), ...EXPIRED);
			const { browser: _, ...without } = back;
			await refused(finish(without), ...EXPIRED);
			expect(await finish(back)).toMatchObject({ tokenType: "Bearer" });
		});

		it("counts once", async () => {
			const back = await visit(stranger());
			const results = await Promise.allSettled(Array.from({ length: 5 }, () => finish(back)));
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			await refused(finish(back), ...EXPIRED);
		});

		it("comes too late after ten minutes", async () => {
			const back = await visit(stranger());
			await sql("UPDATE pending_sign_in SET expires_at = expires_at - interval '601 s'");
			await refused(finish(back), ...EXPIRED);
		});

		it("with the code of another sign-in is refused: neither PKCE nor nonce fits", async () => {
			const [mine, theirs] = [await visit(stranger()), await visit(stranger())];
			const injected = { ...mine, code: theirs.code! };
			await refused(finish(injected), "GOOGLE_ANSWER_REFUSED", 422);
		});

		it("with a code that the provider has not given is refused", async () => {
			const back = await visit(stranger());
			await refused(finish({ ...back, code: "made up" }), "GOOGLE_ANSWER_REFUSED", 422);
			const { code: _, ...without } = await visit(stranger());
			await refused(finish(without), "GOOGLE_ANSWER_REFUSED", 422);
		});

		it("that names another issuer is refused (RFC 9207)", async () => {
			const back = await visit(stranger());
			await refused(finish({ ...back, iss: "https://evil.com" }), "GOOGLE_ANSWER_REFUSED", 422);
			const { iss: _, ...without } = await visit(stranger());
			await refused(finish(without), "GOOGLE_ANSWER_REFUSED", 422);
		});

		it("that says no says no", async () => {
			const back = await visit(null);
			expect(back.error).toBe("access_denied");
			await refused(finish(back), "GOOGLE_SIGN_IN_DENIED", 403);
			expect(await fragmentOf(await visit(null, { returnTo: `${APP}/in` }))).toBe(
				"error=GOOGLE_SIGN_IN_DENIED"
			);
		});

		const hour = 3_600;
		const without = (claims: Claims, name: string): Claims =>
			Object.fromEntries(Object.entries(claims).filter(([each]) => each !== name));
		it.each<[string, (claims: Claims) => Claims]>([
			["a nonce of somebody else's", claims => ({ ...claims, nonce: "x" })],
			["no nonce", claims => without(claims, "nonce")],
			["another audience", claims => ({ ...claims, aud: "somebody-else" })],
			["another audience beside", claims => ({ ...claims, aud: [CLIENT.id, "somebody-else"] })],
			[
				"another party in mind",
				claims => ({ ...claims, aud: [CLIENT.id, "somebody-else"], azp: "somebody-else" })
			],
			["another issuer", claims => ({ ...claims, iss: "https://accounts.google.com" })],
			[
				"an end that is past",
				claims => ({ ...claims, iat: claims.iat! - 2 * hour, exp: claims.exp! - 2 * hour })
			],
			["no end", claims => without(claims, "exp")],
			["a begin that is to come", claims => ({ ...claims, nbf: claims.iat! + hour })],
			["no subject", claims => without(claims, "sub")],
			["the subject of another", claims => ({ ...claims, sub: "the-admin" })]
		])("whose ID token has %s is refused", async (_, forge) => {
			provider.forge = forge;
			await refused(finish(await visit(stranger())), "GOOGLE_ANSWER_REFUSED", 422);
			// What the forger signs honestly is taken: it is the claim that was refused.
			provider.forge = claims => claims;
			expect(await signIn(stranger())).toMatchObject({ tokenType: "Bearer" });
		});

		it("whose ID token is signed by somebody else is refused", async () => {
			provider.forge = claims => claims;
			provider.withStrangeKey = true;
			await refused(finish(await visit(stranger())), "GOOGLE_ANSWER_REFUSED", 422);
		});

		it("that was refused goes back as a word where the browser is to go on", async () => {
			provider.forge = claims => ({ ...claims, nonce: "x" });
			const back = await visit(stranger(), { returnTo: `${APP}/in` });
			expect(await fragmentOf(back)).toBe("error=GOOGLE_ANSWER_REFUSED");
		});
	});

	describe("a provider", () => {
		const UNAVAILABLE = ["GOOGLE_UNAVAILABLE", 503] as const;
		/** A node that has not asked the provider for anything yet. */
		const fresh = async (work: (another: TestNode) => Promise<void>, env: object = {}) => {
			const another = await startTestNode(["users"], {
				env: { ...environment(provider.issuer), ...env }
			});
			try {
				await work(another);
			} finally {
				await another.stop();
			}
		};

		it.each<[string, RegExp]>([
			["tokens", /^\/token$/],
			["its keys", /^\/jwks$/],
			["who it is", /^\/me$/]
		])("that does not come forward with %s is not waited for", async (_, paths) => {
			await fresh(async another => {
				const back = await visit(stranger(), {}, undefined, another);
				provider.silent = paths;
				await refused(another.call("google.finish", back), ...UNAVAILABLE);
				expect(provider.asked.filter(path => paths.test(path))).toHaveLength(1);
			});
		});

		it("that breaks down is not our fault", async () => {
			const back = await visit(stranger());
			provider.broken = { paths: /^\/token$/, status: 502 };
			await refused(finish(back), ...UNAVAILABLE);
		});

		it("that has gone is away until it comes back", async () => {
			const back = await visit(stranger());
			await provider.goAway();
			await refused(finish(back), ...UNAVAILABLE);
			// What it told of itself is still good.
			expect(await node.call("google.begin", {})).toMatchObject({ location: expect.any(String) });
			await fresh(async another => {
				await refused(another.call("google.begin", {}), ...UNAVAILABLE);
				await provider.comeBack();
				expect(await visit(stranger(), {}, undefined, another)).toHaveProperty("code");
			});
		});

		it("that does not tell of itself in time is asked again by the next", async () => {
			await fresh(async another => {
				const begin = () => another.call("google.begin", {});
				provider.silent = /^\/\.well-known\//;
				await refused(begin(), ...UNAVAILABLE);
				provider.behave();
				await Promise.all([begin(), begin(), begin()]);
				await begin();
				expect(provider.asked.filter(path => path.startsWith("/.well-known/"))).toHaveLength(1);
			});
		});

		it("that does not know us by this secret is no good to anybody", async () => {
			await fresh(
				async another => {
					const back = await visit(stranger(), {}, undefined, another);
					await refused(another.call("google.finish", back), ...UNAVAILABLE);
				},
				{ GOOGLE_CLIENT_SECRET: "another" }
			);
		});
	});

	describe("to link", () => {
		it("gives an account another way in, and takes it away again", async () => {
			const { user, identity } = await withPassword();
			const person = stranger({ email_verified: false });
			expect(await linked(person, identity)).toBeNull();
			expect((await signIn(person)).user.id).toBe(user.id);
			expect(await node.call("google.unlink", {}, identity)).toBeNull();
			await refused(finish(await visit(person)), "GOOGLE_EMAIL_UNVERIFIED", 403);
			await refused(node.call("google.unlink", {}, identity), "NOT_FOUND", 404);
			expect(await eventsOf(user.id)).toEqual([
				"registered",
				"signed-in",
				"identity-linked",
				"signed-in",
				"identity-unlinked"
			]);
			const data = { userId: user.id, provider: "google" };
			expect(
				(await toldOf(user.id)).filter(({ type }) => type.startsWith("user.identity"))
			).toEqual([
				{ type: "user.identity-linked.v1", data },
				{ type: "user.identity-unlinked.v1", data }
			]);
		});

		it("begins with an address for the page, where the browser cannot be sent along", async () => {
			const { user, identity } = await withPassword();
			const begun = await node.call(
				"google.beginLink",
				{ returnTo: `${APP}/in`, password: PASSWORD },
				identity
			);
			const person = stranger();
			const back = { ...(await backFrom(begun.url, person)), browser: begun.browser };
			expect(await fragmentOf(back)).toBe("linked");
			expect(await identitiesOf(user.id)).toMatchObject([{ subject: person.sub }]);
		});

		it("asks for the password, or for a session that began just now", async () => {
			const { user, identity } = await withPassword();
			await refused(node.call("google.beginLink", {}, identity), "REAUTHENTICATION_REQUIRED", 403);
			const wrong = { password: "not this one" };
			await refused(node.call("google.beginLink", wrong, identity), "WRONG_PASSWORD", 403);
			await sql(
				"UPDATE session SET created_at = created_at - interval '10 minutes' WHERE id = $1",
				[identity.sessionId]
			);
			await refused(node.call("google.begin", {}, identity), "REAUTHENTICATION_REQUIRED", 403);
			expect(await identitiesOf(user.id)).toEqual([]);
		});

		it("is refused in another browser than the one that began", async () => {
			const { user: thief, identity } = await withPassword();
			// The thief begins, and has the victim go to the provider with that address.
			const { browser: _, ...victims } = await visit(stranger(), {}, identity);
			const { browser } = await node.call("google.begin", {});
			await refused(finish({ ...victims, browser }), "GOOGLE_SIGN_IN_EXPIRED", 422);
			expect(await identitiesOf(thief.id)).toEqual([]);
		});

		it("is refused once the session that began it has ended", async () => {
			const { user, identity } = await withPassword();
			const back = await visit(stranger(), {}, identity);
			await node.call("auth.logoutAll", {}, identity);
			await refused(finish(back), "GOOGLE_SIGN_IN_EXPIRED", 422);
			expect(await identitiesOf(user.id)).toEqual([]);
		});

		it("is refused where it is somebody else's", async () => {
			const person = stranger();
			const { user: holder } = await signIn(person);
			const { user, identity } = await withPassword();
			await refused(linked(person, identity), "GOOGLE_LINKED_ELSEWHERE", 409);
			const start = { returnTo: `${APP}/in` };
			expect(await fragmentOf(await visit(person, start, identity))).toBe(
				"error=GOOGLE_LINKED_ELSEWHERE"
			);
			expect(await identitiesOf(user.id)).toEqual([]);
			expect(await identitiesOf(holder.id)).toHaveLength(1);
		});

		it("is one at a time, and no matter where it is linked already", async () => {
			const { user, identity } = await withPassword();
			const person = stranger();
			await linked(person, identity);
			await linked(person, identity);
			await refused(linked(stranger(), identity), "GOOGLE_ALREADY_LINKED", 409);
			expect(await identitiesOf(user.id)).toMatchObject([{ subject: person.sub }]);
			expect((await eventsOf(user.id)).filter(type => type === "identity-linked")).toHaveLength(1);
		});

		it("gives an identity to one account, however many want it at once", async () => {
			const person = stranger();
			const [one, two] = [await withPassword(), await withPassword()];
			const backs = [await visit(person, {}, one.identity), await visit(person, {}, two.identity)];
			const results = await Promise.allSettled(
				[...backs, await visit(person)].map(back => finish(back))
			);
			const holders = await sql("SELECT 1 FROM federated_identity WHERE subject = $1", [
				person.sub
			]);
			expect(holders).toHaveLength(1);
			const failed = results.filter(({ status }) => status === "rejected");
			for (const { reason } of failed as PromiseRejectedResult[])
				expect(reason).toMatchObject({ type: "GOOGLE_LINKED_ELSEWHERE" });
			expect(failed.length).toBeGreaterThan(0);
		});
	});

	describe("to unlink", () => {
		it("is refused where nothing else is left to sign in with", async () => {
			const person = stranger();
			const tokens = await signIn(person);
			const identity = await identityOf(tokens);
			await refused(node.call("google.unlink", {}, identity), "LAST_WAY_IN", 409);
			const told = (await toldOf(identity.id)).map(({ type }) => type);
			expect(told).not.toContain("user.identity-unlinked.v1");
			expect(await identitiesOf(identity.id)).toHaveLength(1);
			expect(await signIn(person)).toMatchObject({ user: { id: identity.id } });
			// With a password it may go.
			await sql("UPDATE users SET password_hash = 'x' WHERE id = $1", [identity.id]);
			expect(await node.call("google.unlink", {}, identity)).toBeNull();
		});

		it("happens once under one Idempotency-Key", async () => {
			const { identity } = await withPassword();
			await linked(stranger(), identity);
			const unlink = () =>
				node.broker.call("google.unlink", {}, {
					meta: { user: identity },
					headers: { idempotencyKey: "k" }
				} as object);
			expect([await unlink(), await unlink()]).toEqual([null, null]);
		});
	});

	it("keeps its browser apart in all its tabs", async () => {
		const first = await visit(stranger());
		const second = await visit(stranger(), { browser: first.browser });
		expect(second.browser).toBe(first.browser);
		expect(await finish(first)).toMatchObject({ tokenType: "Bearer" });
		expect(await finish(second)).toMatchObject({ tokenType: "Bearer" });
		// What is no secret of ours is not taken over.
		expect((await visit(stranger(), { browser: "x" })).browser).toMatch(/^[\w-]{43}$/);
	});

	it("sweeps away what nobody has finished", async () => {
		await visit(stranger());
		await codeFor(stranger());
		await sql("UPDATE pending_sign_in SET expires_at = now() - interval '1 s'");
		await sql("UPDATE sign_in_code SET expires_at = now() - interval '1 s'");
		const kept = await visit(stranger(), { returnTo: `${APP}/in` });
		expect(await sql("SELECT 1 FROM pending_sign_in")).toHaveLength(1);
		await finish(kept);
		expect(await sql("SELECT 1 FROM sign_in_code")).toHaveLength(1);
	});

	it("is off where nobody has configured it, but for taking it away", async () => {
		const another = await startTestNode(["users"]);
		try {
			await refused(another.call("google.begin", {}), "GOOGLE_NOT_CONFIGURED", 404);
			const user = { id: randomUUID(), roles: ["customer" as const], sessionId: randomUUID() };
			await refused(another.call("google.beginLink", {}, user), "GOOGLE_NOT_CONFIGURED", 404);
			await refused(another.call("google.finish", { state: "x" }), "GOOGLE_SIGN_IN_EXPIRED", 422);
			await refused(another.call("google.unlink", {}, user), "NOT_FOUND", 404);
		} finally {
			await another.stop();
		}
	});
});

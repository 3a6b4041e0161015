/** Passkeys, made and used by a browser with a virtual authenticator. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Secret } from "otpauth";
import type { CDPSession, Page } from "playwright-core";
import type { Tokens } from "../contracts/auth.ts";
import type {
	AssertedCredential,
	CreatedCredential,
	CreationOptions,
	Passkey,
	RequestOptions
} from "../contracts/passkeys.ts";
import { userHandleOf } from "../services/users/passkey.ts";
import { codeOfStep, stepAt } from "../services/users/totp.ts";
import { Api, PASSWORD } from "./support/api.ts";
import { openBrowser, type Browser } from "./support/browser.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { until } from "./support/until.ts";

/** Options as a page may change them before it asks the authenticator. */
type Loose<T> = { -readonly [K in keyof T]?: unknown };

/** Of the flags of what an authenticator says. */
const USER_VERIFIED = 0x04;

describe("passkeys, in a browser", () => {
	let node: TestNode;
	let browser: Browser;
	let api: Api;
	let url: string;
	let elsewhere: Server;
	let page: Page;
	let cdp: CDPSession;
	let authenticatorId: string;

	beforeAll(async () => {
		node = await startTestNode(["users", "gateway"], { env: { RATE_LIMIT_FACTOR: "100" } });
		url = `http://localhost:${node.broker.metadata["gatewayPort"]}`;
		api = new Api([url.replace("localhost", "127.0.0.1")]);
		await until(
			async () => (await api.get("//.well-known/jwks.json")).status === 200,
			"the gateway leads to the users"
		);
		elsewhere = createServer((_, res) =>
			res.setHeader("Content-Type", "text/html").end("<title>Elsewhere</title>")
		);
		await new Promise<void>(done => elsewhere.listen(0, "127.0.0.1", done));
		browser = await openBrowser();
	}, 60_000);
	afterAll(async () => {
		await browser.close();
		elsewhere.close();
		elsewhere.closeAllConnections();
		await node.stop();
	});
	beforeEach(async () => {
		page = await browser.context.newPage();
		page.setDefaultTimeout(15_000);
		await page.goto(`${url}/errors`);
		cdp = await browser.context.newCDPSession(page);
		await cdp.send("WebAuthn.enable");
		const added = await cdp.send("WebAuthn.addVirtualAuthenticator", {
			options: {
				protocol: "ctap2",
				transport: "internal",
				hasResidentKey: true,
				hasUserVerification: true,
				isUserVerified: true,
				automaticPresenceSimulation: true
			}
		});
		authenticatorId = added.authenticatorId;
	});
	afterEach(() => page.close());

	const sql = <Row extends object>(text: string, bind: readonly unknown[] = []) =>
		node.runtime.database("users").query<Row>(text, bind);
	const post = <T = any>(path: string, body: object, token?: string) =>
		api.request<T>("POST", path, { body, token });

	interface Somebody {
		readonly id: string;
		readonly token: string;
	}
	const somebody = async (): Promise<Somebody> => {
		const { registered, token } = await api.newCustomer();
		return { id: registered.body.id, token };
	};

	/** What the page's own script does with the options. */
	const make = (options: Loose<CreationOptions>): Promise<CreatedCredential> =>
		page.evaluate(`(async options => {
			const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
			return (await navigator.credentials.create({ publicKey })).toJSON();
		})(${JSON.stringify(options)})`);
	const sign = (options: Loose<RequestOptions>): Promise<AssertedCredential> =>
		page.evaluate(`(async options => {
			const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
			return (await navigator.credentials.get({ publicKey })).toJSON();
		})(${JSON.stringify(options)})`);

	const creationOptions = async ({ token }: Somebody) => {
		const { status, body } = await post<CreationOptions>(
			"/auth/passkeys/options",
			{ password: PASSWORD },
			token
		);
		expect(status).toBe(200);
		return body;
	};
	const requestOptions = async () =>
		(await post<RequestOptions>("/auth/passkeys/login/options", {})).body;
	const add = ({ token }: Somebody, response: CreatedCredential, name = "Phone") =>
		post<Passkey>("/auth/passkeys", { name, response }, token);
	const login = (response: AssertedCredential) =>
		post<Tokens>("/auth/passkeys/login", { response });
	/** Somebody with a passkey in the page's authenticator. */
	const holder = async () => {
		const who = await somebody();
		const { status, body: passkey } = await add(who, await make(await creationOptions(who)));
		expect(status).toBe(201);
		return { ...who, passkey };
	};

	const invalid = expect.objectContaining({
		status: 422,
		body: expect.objectContaining({ code: "INVALID_PASSKEY" })
	});
	const refused = expect.objectContaining({
		status: 401,
		body: expect.objectContaining({ code: "PASSKEY_REFUSED" })
	});
	const logged = async ({ id }: Somebody) =>
		(
			await sql<{ type: string; note: string | null }>(
				`SELECT type, detail->>'note' AS note FROM security_event WHERE user_id = $1
				 ORDER BY position DESC`,
				[id]
			)
		).map(({ type, note }) => `${type}: ${note}`);
	const facts = async ({ id }: Somebody, type: string) =>
		(await node.recorded("users", type))
			.map(({ data }) => data as { userId: string; passkeyId: string })
			.filter(({ userId }) => userId === id);
	const expire = () =>
		sql("UPDATE passkey_challenge SET expires_at = clock_timestamp() - interval '1 s'");

	it("are made and sign in, by what a page can do", async () => {
		const { id, token } = await somebody();
		await page.goto(`${url}/docs`);
		const signedIn = await page.evaluate<{ status: number; body: Tokens }>(`(async () => {
			const post = async (path, body, token) => {
				const response = await fetch("/api/v1/auth/passkeys" + path, {
					method: "POST",
					headers: {
						"Content-Type": "application/json",
						...(token ? { Authorization: "Bearer " + token } : {})
					},
					body: JSON.stringify(body)
				});
				return { status: response.status, body: await response.json() };
			};
			const token = ${JSON.stringify(token)};
			const creation = await post("/options", { password: ${JSON.stringify(PASSWORD)} }, token);
			const made = await navigator.credentials.create({
				publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(creation.body)
			});
			await post("", { response: made.toJSON() }, token);
			const request = await post("/login/options", {});
			const signed = await navigator.credentials.get({
				publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(request.body)
			});
			return post("/login", { response: signed.toJSON() });
		})()`);
		expect(signedIn).toMatchObject({ status: 200, body: { tokenType: "Bearer", user: { id } } });
		const { accessToken } = signedIn.body;
		expect((await api.get("/users/me", accessToken)).body.id).toBe(id);
		const { body } = await api.get<{ items: Passkey[] }>("/auth/passkeys", accessToken);
		expect(body.items).toMatchObject([
			{ name: "Passkey", backedUp: false, lastUsedAt: expect.any(String) }
		]);
		const authenticated = await facts({ id, token }, "user.authenticated.v1");
		expect(authenticated).toContainEqual(expect.objectContaining({ method: "passkey" }));
	});

	it("are told of, written down, renamed and removed", async () => {
		const who = await holder();
		const told = { userId: who.id, passkeyId: who.passkey.id };
		expect(await facts(who, "user.passkey-added.v1")).toEqual([told]);
		expect((await logged(who))[0]).toBe("passkey-added: Phone");
		const path = `/auth/passkeys/${who.passkey.id}`;
		const renamed = await api.request("PATCH", path, { token: who.token, body: { name: "Key" } });
		expect(renamed.body).toEqual({ ...who.passkey, name: "Key" });
		const remove = () =>
			api.request("DELETE", path, { token: who.token, body: { password: PASSWORD } });
		const response = await sign(await requestOptions());
		expect((await remove()).status).toBe(204);
		expect((await remove()).status).toBe(404);
		expect(await facts(who, "user.passkey-removed.v1")).toEqual([told]);
		expect((await logged(who))[0]).toBe("passkey-removed: Key");
		expect(await login(response)).toEqual(refused);
	});

	it("are two factors by themselves", async () => {
		const who = await holder();
		const { body } = await post<{ secret: string }>(
			"/auth/two-factor",
			{ password: PASSWORD },
			who.token
		);
		const key = Buffer.from(Secret.fromBase32(body.secret).bytes);
		const code = codeOfStep(key, stepAt(new Date()));
		expect((await post("/auth/two-factor/confirm", { code }, who.token)).status).toBe(200);
		expect((await login(await sign(await requestOptions()))).status).toBe(200);
	});

	it("are asked for by the password, or by a young session where there is none", async () => {
		const who = await somebody();
		const ask = (body: object) => post("/auth/passkeys/options", body, who.token);
		expect((await ask({ password: "wrong" })).body.code).toBe("WRONG_PASSWORD");
		expect((await ask({})).body.code).toBe("REAUTHENTICATION_REQUIRED");
		await sql("UPDATE users SET password_hash = NULL WHERE id = $1", [who.id]);
		expect((await ask({})).status).toBe(200);
		await sql("UPDATE session SET created_at = created_at - interval '11 min' WHERE user_id = $1", [
			who.id
		]);
		expect((await ask({})).body.code).toBe("REAUTHENTICATION_REQUIRED");
	});

	it("are made once on each authenticator", async () => {
		const who = await holder();
		await expect(make(await creationOptions(who))).rejects.toThrow(/InvalidStateError/);
	});

	it("are twenty at most", async () => {
		const who = await somebody();
		const options = await creationOptions(who);
		await sql(
			`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
			 SELECT gen_random_uuid(), $1, 'n', gen_random_uuid()::text, '', 0, '{}', false
			 FROM generate_series(1, 20)`,
			[who.id]
		);
		expect((await add(who, await make(options))).body).toMatchObject({ code: "TOO_MANY_PASSKEYS" });
		const again = await post("/auth/passkeys/options", { password: PASSWORD }, who.token);
		expect(again.body).toMatchObject({ code: "TOO_MANY_PASSKEYS" });
	});

	describe("that are being added are refused", () => {
		it("the second time", async () => {
			const who = await somebody();
			const response = await make(await creationOptions(who));
			expect((await add(who, response)).status).toBe(201);
			expect(await add(who, response)).toEqual(invalid);
		});

		it("after five minutes", async () => {
			const who = await somebody();
			const response = await make(await creationOptions(who));
			await expire();
			expect(await add(who, response)).toEqual(invalid);
		});

		it("by another user, or in another session", async () => {
			const [who, other] = [await somebody(), await somebody()];
			const response = await make(await creationOptions(who));
			expect(await add(other, response)).toEqual(invalid);
			await sql("UPDATE passkey_challenge SET session_id = gen_random_uuid() WHERE user_id = $1", [
				who.id
			]);
			expect(await add(who, response)).toEqual(invalid);
		});

		it("where the challenge is one for a sign-in", async () => {
			const who = await somebody();
			const { challenge } = await requestOptions();
			const response = await make({ ...(await creationOptions(who)), challenge });
			expect(await add(who, response)).toEqual(invalid);
		});

		it("on a page of another origin", async () => {
			const who = await somebody();
			await page.goto(`http://localhost:${(elsewhere.address() as AddressInfo).port}/`);
			expect(await add(who, await make(await creationOptions(who)))).toEqual(invalid);
		});

		it("where the authenticator did not make sure of anybody", async () => {
			const who = await somebody();
			const { response, ...rest } = await make(await creationOptions(who));
			const bytes = Buffer.from(response.attestationObject, "base64url");
			const domain = createHash("sha256").update("localhost").digest();
			// The flags stand behind the hash of the domain; without attestation nothing is signed.
			bytes[bytes.indexOf(domain) + domain.length]! &= ~USER_VERIFIED;
			const attestationObject = bytes.toString("base64url");
			const changed = { ...rest, response: { ...response, attestationObject } };
			expect(await add(who, changed)).toEqual(invalid);
		});

		it("with a certificate that we did not ask for, whose revocation we would look up", async () => {
			const who = await somebody();
			const options = await creationOptions(who);
			expect(await add(who, await make({ ...options, attestation: "direct" }))).toEqual(invalid);
		});

		it("where somebody has that passkey", async () => {
			const who = await somebody();
			const response = await make(await creationOptions(who));
			await sql(
				`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
				 VALUES (gen_random_uuid(), $1, 'n', $2, '', 0, '{}', false)`,
				[(await somebody()).id, response.id]
			);
			expect(await add(who, response)).toEqual(invalid);
		});
	});

	describe("that sign in are refused", () => {
		it("the second time, and one of any number at once is not", async () => {
			await holder();
			const response = await sign(await requestOptions());
			const answers = await Promise.all(Array.from({ length: 20 }, () => login(response)));
			expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
			expect(answers.filter(({ status }) => status !== 200)).toEqual(
				Array.from({ length: 19 }, () => refused)
			);
		});

		it("after five minutes", async () => {
			await holder();
			const response = await sign(await requestOptions());
			await expire();
			expect(await login(response)).toEqual(refused);
		});

		it("where the challenge is one for adding", async () => {
			const who = await holder();
			const { challenge } = await creationOptions(who);
			expect(await login(await sign({ ...(await requestOptions()), challenge }))).toEqual(refused);
		});

		it("on a page of another origin", async () => {
			const who = await holder();
			await page.goto(`http://localhost:${(elsewhere.address() as AddressInfo).port}/`);
			expect(await login(await sign(await requestOptions()))).toEqual(refused);
			expect((await logged(who))[0]).toBe("sign-in-failed: passkey");
		});

		it("where the authenticator did not make sure of anybody", async () => {
			await holder();
			await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
			const options = { ...(await requestOptions()), userVerification: "discouraged" };
			expect(await login(await sign(options))).toEqual(refused);
		});

		it("for another user than its own", async () => {
			const [who, other] = [await holder(), await somebody()];
			const response = await sign(await requestOptions());
			expect(response.response.userHandle).toBe(userHandleOf(who.id));
			const forged = {
				...response,
				response: { ...response.response, userHandle: userHandleOf(other.id) }
			};
			expect(await login(forged)).toEqual(refused);
			const without = await sign(await requestOptions());
			const { userHandle: _, ...rest } = without.response;
			expect(await login({ ...without, response: rest })).toEqual(refused);
		});

		it("with a signature of another key", async () => {
			await holder();
			const response = await sign(await requestOptions());
			const signature = Buffer.from(response.response.signature, "base64url");
			signature[signature.length - 1]! ^= 1;
			const forged = {
				...response,
				response: { ...response.response, signature: signature.toString("base64url") }
			};
			expect(await login(forged)).toEqual(refused);
		});

		it("when their counter has not gone on, which is written down", async () => {
			const who = await holder();
			await sql("UPDATE passkey SET counter = 1000000 WHERE id = $1", [who.passkey.id]);
			expect(await login(await sign(await requestOptions()))).toEqual(refused);
			expect((await logged(who))[0]).toBe("sign-in-failed: passkey, whose counter has not gone on");
			await sql("UPDATE passkey SET counter = 0 WHERE id = $1", [who.passkey.id]);
			expect((await login(await sign(await requestOptions()))).status).toBe(200);
		});

		it("when their user is disabled", async () => {
			const who = await holder();
			await sql("UPDATE users SET status = 'disabled' WHERE id = $1", [who.id]);
			expect(await login(await sign(await requestOptions()))).toEqual(refused);
		});

		it("whatever else is sent", async () => {
			await holder();
			const { response, ...rest } = await sign(await requestOptions());
			const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
			for (const change of [
				{ clientDataJSON: "AAAA" },
				{ clientDataJSON: json(null) },
				{ clientDataJSON: json({ challenge: { a: 1 } }) },
				{ authenticatorData: "AAAA" },
				{ signature: "AAAA" }
			])
				expect(await login({ ...rest, response: { ...response, ...change } })).toEqual(refused);
		});
	});

	describe("the last way to sign in", () => {
		const remove = (token: string, id: string) =>
			api.request("DELETE", `/auth/passkeys/${id}`, { token });

		it("stays", async () => {
			const who = await holder();
			await sql("UPDATE users SET password_hash = NULL WHERE id = $1", [who.id]);
			expect(await remove(who.token, who.passkey.id)).toMatchObject({
				status: 409,
				body: { code: "LAST_SIGN_IN_METHOD" }
			});
			expect((await login(await sign(await requestOptions()))).status).toBe(200);
		});

		it("stays, also where the last two are removed at once", async () => {
			const who = await holder();
			const [second] = await sql<{ id: string }>(
				`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
				 VALUES (gen_random_uuid(), $1, 'n', gen_random_uuid()::text, '', 0, '{}', false) RETURNING id`,
				[who.id]
			);
			await sql("UPDATE users SET password_hash = NULL WHERE id = $1", [who.id]);
			const answers = await Promise.all(
				[who.passkey.id, second!.id].map(id => remove(who.token, id))
			);
			const statuses = answers.map(({ status }) => status);
			expect(statuses.toSorted((a, b) => a - b)).toEqual([204, 409]);
		});

		it("is nobody else's to remove", async () => {
			const [who, other] = [await holder(), await somebody()];
			const path = `/auth/passkeys/${who.passkey.id}`;
			const body = { password: PASSWORD };
			const removed = await api.request("DELETE", path, { token: other.token, body });
			expect(removed.status).toBe(404);
			const renamed = await api.request("PATCH", path, {
				token: other.token,
				body: { name: "x" }
			});
			expect(renamed.status).toBe(404);
		});
	});
});

/** Sign-in with Google as a browser, a page of another origin and the real gateway see it. */
import { createHash, randomBytes } from "node:crypto";
import { freePorts } from "../bin/ports.ts";
import { Api, PASSWORD } from "./support/api.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { CLIENT, TestProvider, type Person } from "./support/openid-provider.ts";

const APP = "http://localhost:5173";
const CALLBACK = "/api/v1/auth/google/callback";
const GRACE = {
	sub: "1",
	email: "grace@example.com",
	email_verified: true,
	name: "Grace Hopper"
} satisfies Person;

/** A browser as far as it matters: cookies of one host, and no redirect is followed by itself. */
class Browser {
	readonly cookies = new Map<string, string>();

	/** Answers, and keeps the cookies that come with it. */
	async go(
		url: string | URL,
		{ headers, ...init }: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {}
	): Promise<Response> {
		const cookie = [...this.cookies].map(pair => pair.join("=")).join("; ");
		const response = await fetch(url, {
			redirect: "manual",
			...init,
			headers: { Accept: "text/html,*/*;q=0.8", ...headers, ...(cookie ? { cookie } : {}) }
		});
		for (const text of response.headers.getSetCookie()) {
			const [name, value] = text.split(";", 1)[0]!.split("=", 2);
			this.cookies.set(name!, value!);
		}
		return response;
	}
}

describe("a browser that signs in with Google", () => {
	let provider: TestProvider;
	let node: TestNode;
	let url: string;
	let api: Api;
	beforeAll(async () => {
		const port = await freePorts(1);
		url = `http://127.0.0.1:${port}`;
		provider = await TestProvider.start({ redirectUris: [url + CALLBACK], tellsAll: true });
		node = await startTestNode(["users", "gateway"], {
			env: {
				PORT: String(port),
				PUBLIC_URL: url,
				CORS_ORIGINS: APP,
				OIDC_ISSUER: provider.issuer,
				GOOGLE_CLIENT_ID: CLIENT.id,
				GOOGLE_CLIENT_SECRET: CLIENT.secret
			}
		});
		api = new Api([url]);
	});
	afterAll(async () => {
		await node.stop();
		await provider.goAway();
	});
	beforeEach(() => provider.behave());

	const begin = `/api/v1/auth/google`;
	/** Goes through the provider, up to the answer to the browser that comes back. */
	const through = async (browser: Browser, location: string, person: Person | null) =>
		browser.go(await provider.visit(location, person));
	const signIn = async (person: Person | null, query = "", browser = new Browser()) => {
		const begun = await browser.go(`${url}${begin}${query}`);
		expect(begun.status).toBe(303);
		return through(browser, begun.headers.get("location")!, person);
	};
	const codeOf = async (problem: Response) => ((await problem.json()) as { code: string }).code;

	it("is sent there with all that binds the answer to it, and nothing is kept on the way", async () => {
		// What a request says of its host is nobody's business.
		const begun = await fetch(url + begin, {
			redirect: "manual",
			headers: {
				"x-forwarded-host": "evil.com",
				"x-forwarded-proto": "https",
				forwarded: "host=evil.com"
			}
		});
		const location = new URL(begun.headers.get("location")!);
		expect(location.origin).toBe(provider.issuer);
		expect(Object.fromEntries(location.searchParams)).toEqual({
			client_id: CLIENT.id,
			response_type: "code",
			redirect_uri: url + CALLBACK,
			scope: "openid email profile",
			state: expect.stringMatching(/^[\w-]{43}$/),
			nonce: expect.stringMatching(/^[\w-]{43}$/),
			code_challenge: expect.stringMatching(/^[\w-]{43}$/),
			code_challenge_method: "S256"
		});
		expect(begun.headers.get("set-cookie")).toMatch(
			/^valence-google=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/
		);
		expect(begun.headers.get("cache-control")).toBe("no-store");
		expect(begun.headers.get("referrer-policy")).toBe("no-referrer");
		expect(await begun.text()).toBe("");
	});

	it("gets the tokens, and is signed in", async () => {
		const answer = await signIn(GRACE);
		expect(answer.status).toBe(200);
		expect(answer.headers.get("cache-control")).toBe("no-store");
		const { accessToken, user } = (await answer.json()) as any;
		expect(user).toMatchObject({ email: GRACE.email, emailVerified: true });
		const me = await api.get("/users/me", accessToken);
		expect(me).toMatchObject({ status: 200, body: user });
		const sessions = await api.get("/auth/sessions", accessToken);
		expect(sessions.body.items).toMatchObject([{ address: "127.0.0.1", current: true }]);
	});

	it("is passed on to its page, with a code that the page alone can use", async () => {
		const codeVerifier = randomBytes(32).toString("base64url");
		const challenge = createHash("sha256").update(codeVerifier).digest("base64url");
		const returnTo = encodeURIComponent(`${APP}/signed-in?a=b`);
		const answer = await signIn(GRACE, `?returnTo=${returnTo}&codeChallenge=${challenge}`);
		expect(answer.status).toBe(303);
		expect(answer.headers.get("cache-control")).toBe("no-store");
		expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
		const target = new URL(answer.headers.get("location")!);
		expect(target.href).toMatch(/^http:\/\/localhost:5173\/signed-in\?a=b#code=[\w-]{43}$/);
		const code = target.hash.slice("#code=".length);
		const redeem = (body: object, headers = {}) =>
			api.request("POST", "/auth/google/token", { body, headers });
		expect(await redeem({ code, codeVerifier }, { "Idempotency-Key": "k" })).toMatchObject({
			status: 400,
			body: { code: "IDEMPOTENCY_KEY_REFUSED" }
		});
		const tokens = await redeem({ code, codeVerifier });
		expect(tokens).toMatchObject({ status: 200, body: { user: { email: GRACE.email } } });
		expect(tokens.headers.get("cache-control")).toBe("no-store");
		expect(await redeem({ code, codeVerifier })).toMatchObject({
			status: 422,
			body: { code: "INVALID_SIGN_IN_CODE" }
		});
	});

	it("is told what went wrong, in its page or in the answer", async () => {
		const back = await signIn(null, `?returnTo=${encodeURIComponent(APP)}`);
		expect(back.headers.get("location")).toBe(`${APP}/#error=GOOGLE_SIGN_IN_DENIED`);
		const refused = await signIn(null);
		expect([refused.status, await codeOf(refused)]).toEqual([403, "GOOGLE_SIGN_IN_DENIED"]);
		const elsewhere = await fetch(`${url}${begin}?returnTo=//evil.com`, { redirect: "manual" });
		expect([elsewhere.status, await codeOf(elsewhere)]).toEqual([422, "VALIDATION_ERROR"]);
		expect(elsewhere.headers.get("set-cookie")).toBeNull();
	});

	it("is refused where it is not the one that began, or comes again", async () => {
		const [mine, other] = [new Browser(), new Browser()];
		await other.go(url + begin);
		const begun = await mine.go(url + begin);
		const back = await provider.visit(begun.headers.get("location")!, GRACE);
		for (const browser of [new Browser(), other]) {
			const refused = await browser.go(back);
			expect([refused.status, await codeOf(refused)]).toEqual([422, "GOOGLE_SIGN_IN_EXPIRED"]);
		}
		// What else the provider says in the address is its business.
		back.searchParams.set("authuser", "0");
		expect((await mine.go(back)).status).toBe(200);
		expect((await mine.go(back)).status).toBe(422);
	});

	it("is told to come again where the provider is away", async () => {
		const browser = new Browser();
		const begun = await browser.go(url + begin);
		const back = await provider.visit(begun.headers.get("location")!, GRACE);
		provider.broken = { paths: /^\/token$/, status: 500 };
		const answer = await browser.go(back);
		expect([answer.status, await codeOf(answer)]).toEqual([503, "GOOGLE_UNAVAILABLE"]);
		expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
	});

	it("links, signs in by it, and unlinks", async () => {
		const { token, email } = await api.newCustomer();
		const browser = new Browser();
		const begun = await browser.go(`${url}${begin}/link`, {
			method: "POST",
			headers: {
				Authorization: `Bearer ${token}`,
				"Content-Type": "application/json",
				Origin: APP
			},
			body: JSON.stringify({ returnTo: `${APP}/account`, password: PASSWORD })
		});
		expect(begun.status).toBe(200);
		expect(begun.headers.get("access-control-allow-origin")).toBe(APP);
		expect(begun.headers.get("access-control-allow-credentials")).toBe("true");
		const body = (await begun.json()) as { url: string };
		expect(Object.keys(body)).toEqual(["url"]);
		const person = { ...GRACE, sub: "2" };
		const linked = await through(browser, body.url, person);
		expect(linked.headers.get("location")).toBe(`${APP}/account#linked`);
		const tokens = await signIn(person);
		expect(await tokens.json()).toMatchObject({ user: { email } });
		const unlinked = await api.request("DELETE", "/auth/google", { token });
		expect(unlinked.status).toBe(204);
		expect(await api.request("DELETE", "/auth/google", { token })).toMatchObject({ status: 404 });
		const events = await api.get("/users/me/security-events", token);
		expect(events.body.items.map(({ type }: { type: string }) => type)).toEqual([
			"identity-unlinked",
			"signed-in",
			"identity-linked",
			"signed-in",
			"registered"
		]);
	});

	it("links by the address itself, where it can say who it is", async () => {
		const { token } = await api.newCustomer();
		const browser = new Browser();
		const headers = { Authorization: `Bearer ${token}` };
		const begun = await browser.go(url + begin, { headers });
		const linked = await through(browser, begun.headers.get("location")!, { ...GRACE, sub: "3" });
		expect([linked.status, await linked.text()]).toEqual([204, ""]);
		// One whose token is no good does not sign in instead.
		const bad = await browser.go(url + begin, { headers: { Authorization: "Bearer x" } });
		expect([bad.status, bad.headers.get("location")]).toEqual([401, null]);
	});

	it("keeps the way that is left, until there is another", async () => {
		const person = { ...GRACE, sub: "4", email: "mary@example.com" };
		const { accessToken: token } = (await (await signIn(person)).json()) as any;
		const unlink = () => api.request("DELETE", "/auth/google", { token });
		expect(await unlink()).toMatchObject({ status: 409, body: { code: "LAST_WAY_IN" } });
		const login = await api.request("POST", "/auth/login", {
			body: { login: person.email, password: PASSWORD }
		});
		expect(login.status).toBe(401);
	});

	it("has a cookie of this very host, and no other, where it comes by https", async () => {
		const secure = await startTestNode(["users", "gateway"], {
			env: {
				PUBLIC_URL: "https://api.example.com/shop/",
				OIDC_ISSUER: provider.issuer,
				GOOGLE_CLIENT_ID: CLIENT.id,
				GOOGLE_CLIENT_SECRET: CLIENT.secret
			}
		});
		try {
			const inner = `http://127.0.0.1:${secure.broker.metadata["gatewayPort"]}`;
			const begun = await fetch(inner + begin, { redirect: "manual" });
			const cookie = begun.headers.get("set-cookie")!;
			expect(cookie).toMatch(
				/^__Host-valence-google=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax; Secure$/
			);
			const { searchParams } = new URL(begun.headers.get("location")!);
			expect(searchParams.get("redirect_uri")).toBe(`https://api.example.com/shop${CALLBACK}`);
			const state = searchParams.get("state")!;
			const value = cookie.split(";", 1)[0]!.split("=", 2)[1]!;
			const come = (name: string) =>
				fetch(`${inner}${CALLBACK}?state=${state}&error=access_denied&iss=${provider.issuer}`, {
					headers: { cookie: `${name}=${value}` }
				});
			expect(await codeOf(await come("valence-google"))).toBe("GOOGLE_SIGN_IN_EXPIRED");
			expect(await codeOf(await come("__Host-valence-google"))).toBe("GOOGLE_SIGN_IN_DENIED");
		} finally {
			await secure.stop();
		}
	});
});

import { Redis } from "ioredis";
import { BreakableServer } from "../../bin/breakable-server.ts";
import { auth } from "../../contracts/auth.ts";
import { passwords } from "../../contracts/passwords.ts";
import { failure } from "../../lib/failure.ts";
import { somebody } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import { problem, startGateway, tokensResult, type TestGateway } from "./gateway.fixtures.ts";
import type { Policy } from "./ledger.ts";
import { ATTEMPTS, REQUESTS } from "./limits.ts";

type Answers = Parameters<typeof startGateway>[0];
const RIGHT = "correct horse battery";
const signIn: Answers = {
	"auth.login": async ({ params }) => {
		if (params.password !== RIGHT) throw failure(auth, "INVALID_CREDENTIALS");
		return tokensResult;
	}
};

/** Few points, so that they are soon used up. */
const FACTOR = 0.004;
const FEW = REQUESTS.points * FACTOR;

describe("the limits", () => {
	let gateway: TestGateway;
	const start = async (env: Record<string, string> = {}, answers: Answers = signIn) => {
		gateway = await startGateway(answers, { RATE_LIMIT_FACTOR: String(FACTOR), ...env });
	};
	afterEach(() => gateway.node.stop());

	const statuses = async (count: number, ask: (index: number) => Promise<Response>) => {
		const found: number[] = [];
		for (let i = 0; i < count; i++) found.push((await ask(i)).status);
		return found;
	};
	const post = (path: string, body: object, headers: Record<string, string> = {}) =>
		gateway.request(`/api/v1${path}`, {
			method: "POST",
			headers: { "content-type": "application/json", ...headers },
			body: JSON.stringify(body)
		});
	const logIn = (login: string, password: string, headers: Record<string, string> = {}) =>
		post("/auth/login", { login, password }, headers);
	const times = (count: number, status: number) => Array<number>(count).fill(status);

	it("tell each time what is left, and when to come back once nothing is", async () => {
		await start();
		const first = await gateway.request("/api/v1/categories");
		expect(first.headers.get("ratelimit-policy")).toBe(`"requests";q=${FEW};w=60`);
		expect(first.headers.get("ratelimit")).toBe(`"requests";r=${FEW - 1};t=60`);
		await statuses(FEW - 1, () => gateway.request("/api/v1/categories"));
		const refused = await gateway.request("/api/v1/categories");
		expect(refused.status).toBe(429);
		expect(await problem(refused)).toMatchObject({ code: "RATE_LIMITED" });
		expect(refused.headers.get("ratelimit")).toMatch(/^"requests";r=0;t=\d+$/);
		const seconds = Number(refused.headers.get("retry-after"));
		expect(seconds).toBeGreaterThan(0);
		expect(seconds).toBeLessThanOrEqual(60);
	});

	it("count addresses that nobody knows, other methods, preflights and bad tokens (H6)", async () => {
		await start();
		const { length } = await statuses(FEW / 4, () => gateway.request("/nowhere"));
		await statuses(length, () => gateway.request("/api/v1/products/%E0%A4%A"));
		await statuses(length, () => gateway.request("/docs", { method: "OPTIONS" }));
		const bad = () =>
			gateway.request("/api/v1/products/lamp", { headers: { authorization: "Bearer a.b.c" } });
		expect(await statuses(length + 1, bad)).toEqual([...times(length, 401), 429]);
		expect((await gateway.request("/nowhere")).status).toBe(429);
		expect(gateway.calls.filter(({ action }) => action === "products.get")).toEqual([]);
	});

	it("leave probes alone", async () => {
		await start();
		expect(await statuses(FEW + 1, () => gateway.request("/health"))).toEqual(times(FEW + 1, 200));
		expect((await gateway.request("/health")).headers.get("ratelimit")).toBeNull();
		// These ask every group.
		expect((await gateway.request("/health/db")).headers.get("ratelimit")).not.toBeNull();
	});

	it("take more for a command than for a read, and what a contract says", async () => {
		await start({ RATE_LIMIT_FACTOR: "1" });
		const user = await gateway.as(somebody());
		const cost = async (method: string, path: string) => {
			const left = async () =>
				Number(
					/r=(\d+)/.exec(
						(await gateway.request(path, { method, headers: user })).headers.get("ratelimit")!
					)![1]
				);
			return -((await left()) - (await left()));
		};
		expect(-(await cost("GET", "/api/v1/categories"))).toBe(1);
		expect(-(await cost("GET", "/api/v1/products"))).toBe(2);
		expect(-(await cost("PUT", "/api/v1/cart/items/x"))).toBe(5);
		expect(-(await cost("POST", "/api/v1/checkout"))).toBe(10);
	});

	it("count a user wherever they are, and others at their address for themselves", async () => {
		await start();
		const [ada, bob] = [await gateway.as(somebody()), await gateway.as(somebody())];
		const read = (headers: Record<string, string> = {}) =>
			gateway.request("/api/v1/categories", { headers });
		expect((await statuses(FEW + 1, () => read(ada))).at(-1)).toBe(429);
		expect((await read(bob)).status).toBe(200);
		expect((await read()).status).toBe(200);
	});

	it("are not fooled by an address that a client makes up (H6)", async () => {
		await start();
		const spoof = (i: number) =>
			gateway.request("/nowhere", { headers: { "x-forwarded-for": `10.0.0.${i}` } });
		expect((await statuses(FEW + 1, spoof)).at(-1)).toBe(429);
	});

	it("count by the address that a trusted proxy tells, and only by that part of it", async () => {
		await start({ TRUST_PROXY: "1" });
		const through = (forwarded: string) =>
			gateway.request("/nowhere", { headers: { "x-forwarded-for": forwarded } });
		const made = (i: number) => through(`10.0.0.${i}, 192.0.2.1`);
		expect((await statuses(FEW + 1, made)).at(-1)).toBe(429);
		expect((await through("192.0.2.2")).status).toBe(404);
		const sameNetwork = (i: number) => through(`2001:db8:1:2::${i}`);
		expect((await statuses(FEW + 1, sameNetwork)).at(-1)).toBe(429);
	});

	it("come before the body is read (H6)", async () => {
		await start();
		await statuses(FEW, () => gateway.request("/nowhere"));
		// Announced, and never sent.
		expect(
			await gateway.raw(
				"POST /api/v1/auth/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"
			)
		).toMatch(/^HTTP\/1.1 429 /);
	});

	it("stop who guesses at an account, whatever the writing, and do not count who gets in", async () => {
		await start({ RATE_LIMIT_FACTOR: "1" });
		const { points } = ATTEMPTS.login.account;
		expect(await statuses(points + 2, () => logIn("ada", RIGHT))).toEqual(times(points + 2, 200));
		const written = ["bob", "BOB", " bob", "bob "];
		const guess = (i: number) => logIn(written[i % written.length]!, `guess ${i}`);
		expect(await statuses(points + 1, guess)).toEqual([...times(points, 401), 429]);
		// Now even the right password is of no use, or guessing would go on.
		const refused = await logIn("bob", RIGHT);
		expect(refused.status).toBe(429);
		expect(refused.headers.get("ratelimit-policy")).toBe(
			'"requests";q=3000;w=60, "login";q=60;w=300, "login-account";q=10;w=300'
		);
		expect((await logIn("ada", RIGHT)).status).toBe(200);
	});

	it.each(["SECOND_FACTOR_REQUIRED", "INVALID_SECOND_FACTOR"] as const)(
		"count a log-in that fails by %s",
		async code => {
			const refuse = async () => {
				throw failure(auth, code);
			};
			await start({ RATE_LIMIT_FACTOR: "1" }, { "auth.login": refuse });
			const { points } = ATTEMPTS.login.account;
			const answers = await statuses(points + 1, () => logIn("ada", RIGHT));
			expect(answers).toEqual([...times(points, 401), 429]);
		}
	);

	it("stop who tries one password with many accounts from an address", async () => {
		await start({ RATE_LIMIT_FACTOR: "1" });
		const { points } = ATTEMPTS.login.address;
		const spray = (i: number) => logIn(`somebody-${i}`, "123456");
		expect(await statuses(points + 1, spray)).toEqual([...times(points, 401), 429]);
		expect((await gateway.request("/api/v1/categories")).status).toBe(200);
	});

	it("do not count against a client what fails by our fault", async () => {
		const fail = async () => {
			throw failure(auth, "BUSY");
		};
		await start({ RATE_LIMIT_FACTOR: "1", BREAKER_FAILURES: "1000" }, { "auth.login": fail });
		const count = ATTEMPTS.login.account.points + 1;
		expect(await statuses(count, () => logIn("ada", RIGHT))).toEqual(times(count, 503));
	});

	it("stop who tries which addresses are registered", async () => {
		await start({ RATE_LIMIT_FACTOR: "0.1" });
		const points = Math.round(ATTEMPTS.register.address.points * 0.1);
		const register = (i: number) =>
			post("/auth/register", { email: `a${i}@example.com`, username: `ada${i}`, password: RIGHT });
		expect(await statuses(points + 1, register)).toEqual([...times(points, 201), 429]);
	});

	it("let an address try fewer to register than to sign in, and one account fewer still", async () => {
		const aSecond = ({ points, seconds }: Policy) => points / seconds;
		expect(aSecond(ATTEMPTS.register.address)).toBeLessThan(aSecond(ATTEMPTS.login.address) / 10);
		await start({ RATE_LIMIT_FACTOR: "1" });
		const { points } = ATTEMPTS.register.account;
		const register = (email: string) =>
			post("/auth/register", { email, username: "ada", password: RIGHT });
		const written = ["ada@example.com", "ADA@example.com"];
		const found = await statuses(points + 1, i => register(written[i % 2]!));
		expect(found).toEqual([...times(points, 201), 429]);
		expect((await register("bob@example.com")).status).toBe(201);
	});

	describe("of attempts by who has signed in", () => {
		const wrong: Answers = {
			"passwords.change": async () => {
				throw failure(passwords, "WRONG_PASSWORD");
			},
			"emails.requestVerification": async () => ({ status: "accepted" }),
			"passwords.forgot": async () => ({ status: "accepted" }),
			...signIn
		};
		const change = { currentPassword: "a guess of many", newPassword: RIGHT };
		const from = (address: string) => ({ "x-forwarded-for": address });
		beforeEach(() => start({ RATE_LIMIT_FACTOR: "1", TRUST_PROXY: "1" }, wrong));

		it("stop guesses by one token from many addresses", async () => {
			const [eve, ada] = [await gateway.as(somebody()), await gateway.as(somebody())];
			const { points } = ATTEMPTS.login.account;
			const guess = (i: number) =>
				post("/auth/password/change", change, { ...eve, ...from(`198.51.100.${i}`) });
			expect(await statuses(points + 2, guess)).toEqual([...times(points, 403), 429, 429]);
			expect((await post("/auth/password/change", change, ada)).status).toBe(403);
		});

		it("take nothing from others at the address", async () => {
			const eve = await gateway.as(somebody());
			const resend = () => post("/auth/email/verification", {}, eve);
			const { points } = ATTEMPTS.reset.account;
			expect(await statuses(points + 1, resend)).toEqual([...times(points, 202), 429]);
			const forgot = (i: number) => post("/auth/password/forgot", { email: `a${i}@example.com` });
			const { points: ofAddress } = ATTEMPTS.reset.address;
			expect(await statuses(ofAddress + 1, forgot)).toEqual([...times(ofAddress, 202), 429]);
			// And the other way round.
			expect(
				(await post("/auth/email/verification", {}, await gateway.as(somebody()))).status
			).toBe(202);
		});

		it("do not let a token that is one's own in the way of guesses at others", async () => {
			const eve = await gateway.as(somebody());
			const { points } = ATTEMPTS.login.address;
			const spray = (i: number) => logIn(`somebody-${i}`, "123456", i % 2 === 0 ? eve : {});
			expect(await statuses(points + 1, spray)).toEqual([...times(points, 401), 429]);
			const finish = await gateway.request("/api/v1/auth/google/callback?state=a", {
				headers: eve
			});
			expect(finish.status).toBe(429);
		});

		it("count those of a token that is no good by the address", async () => {
			const bad = { authorization: "Bearer a.b.c" };
			const { points } = ATTEMPTS.login.address;
			const guess = () => post("/auth/password/change", change, bad);
			expect(await statuses(points + 1, guess)).toEqual([...times(points, 401), 429]);
		});
	});

	it("are off where the configuration says so", async () => {
		await start({ RATE_LIMIT_FACTOR: "0" });
		const answer = await gateway.request("/api/v1/categories");
		expect([answer.status, answer.headers.get("ratelimit")]).toEqual([200, null]);
	});
});

/** A connection of our own, that ends with its scope. */
async function watch(url: string): Promise<AsyncDisposable & { readonly redis: Redis }> {
	const redis = new Redis(url);
	return {
		redis,
		async [Symbol.asyncDispose]() {
			await redis.quit();
		}
	};
}

describe("the limits of several gateways", () => {
	let redis: BreakableServer;
	let gateways: TestGateway[];
	const start = async (count: number, env: Record<string, string> = {}) => {
		const settings = { REDIS_URL: redis.url, RATE_LIMIT_FACTOR: String(FACTOR), ...env };
		gateways = await Promise.all(
			Array.from({ length: count }, () => startGateway(signIn, settings))
		);
	};
	beforeEach(async () => {
		redis = await BreakableServer.redis();
	});
	afterEach(async () => {
		await Promise.all(gateways.map(({ node }) => node.stop()));
		await redis.stop();
	});
	const logIn = (gateway: TestGateway) =>
		gateway.request("/api/v1/auth/login", {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ login: "ada", password: RIGHT })
		});

	/** Waits until every gateway counts in Redis: one that has found it slow counts by itself for a second. */
	const countTogether = async () => {
		await using counted = await watch(redis.url);
		await until(async () => {
			await counted.redis.flushall();
			for (const gateway of gateways) await gateway.request("/nowhere");
			const [key] = await counted.redis.keys("valence:limit:requests:*");
			return key !== undefined && Number(await counted.redis.get(key)) === gateways.length;
		}, "gateways that count together");
		await counted.redis.flushall();
	};

	it("hold in total (H6)", async () => {
		await start(2);
		await countTogether();
		const found: number[] = [];
		for (let i = 0; i < FEW * 2; i++) {
			// One after the other: a stall of the machine shall not be taken for one of Redis.
			const { status } = await gateways[i % 2]!.request("/nowhere");
			found.push(status);
		}
		expect(found.filter(status => status === 404)).toHaveLength(FEW);
		expect(found.slice(FEW)).toEqual(Array<number>(FEW).fill(429));
	});

	it("without Redis let no attempt through and everything else, and mend by themselves", async () => {
		await start(1, { RATE_LIMIT_FACTOR: "1" });
		const [gateway] = gateways as [TestGateway];
		expect((await logIn(gateway)).status).toBe(200);
		await redis.kill();
		const refused = await logIn(gateway);
		expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
		expect(await problem(refused)).toMatchObject({ code: "UNAVAILABLE" });
		const read = await gateway.request("/api/v1/categories");
		expect([read.status, read.headers.get("ratelimit")]).toEqual([
			200,
			expect.stringMatching(/^"requests";r=\d+;t=60$/)
		]);
		await redis.start();
		await until(async () => (await logIn(gateway)).status === 200, "a sign-in with Redis back");
	});

	it("without Redis are each gateway's own", async () => {
		await start(1);
		await redis.stop();
		const read = () => gateways[0]!.request("/api/v1/categories");
		const found = await Promise.all(Array.from({ length: FEW + 2 }, read));
		expect(found.filter(({ status }) => status === 429)).toHaveLength(2);
	});

	it("do not hang with a Redis that hangs", async () => {
		await start(1, { RATE_LIMIT_FACTOR: "1" });
		const [gateway] = gateways as [TestGateway];
		redis.pause();
		expect((await gateway.request("/api/v1/categories")).status).toBe(200);
		expect((await logIn(gateway)).status).toBe(503);
		redis.resume();
		await until(async () => (await logIn(gateway)).status === 200, "a sign-in with Redis awake");
	});

	it("keep nothing in Redis that tells who signs in", async () => {
		await start(1);
		await logIn(gateways[0]!);
		const client = new Redis(redis.url);
		const keys = await client.keys("valence:limit:*");
		client.disconnect();
		expect(keys.length).toBe(3);
		expect(keys.join()).not.toContain("ada");
	});
});

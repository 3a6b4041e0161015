import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { Refusal, Shop, Unreachable } from "./shop.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: unknown) => void;

/** A server that gives one answer after another, and remembers what it was asked. */
async function serve(...answers: Answer[]) {
	const asked: { line: string; headers: IncomingMessage["headers"]; body: unknown }[] = [];
	const server = createServer((request, response) => {
		void (async () => {
			const body = request.headers["content-type"] ? await json(request) : undefined;
			asked.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
			answers.shift()!(request, response, body);
		})();
	});
	await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
	servers.push(server);
	return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
	for (const server of servers.splice(0)) {
		server.close();
		server.closeAllConnections();
	}
});

const answer =
	(status: number, body: unknown = {}, headers: Record<string, string> = {}): Answer =>
	(_, response) => {
		response.writeHead(status, headers).end(JSON.stringify(body));
	};
const hangUp: Answer = ({ socket }) => socket.destroy();
const tokens = (accessToken: string) =>
	answer(200, { accessToken, refreshToken: `r-${accessToken}` });
const problem = (status: number, code: string) => answer(status, { code, detail: "Because." });

const account = { email: "a@b.test", username: "abc", name: "A", password: "secret-enough" };
const checkout = {
	shippingAddress: { name: "A", line1: "1", city: "B", postalCode: "1", country: "DE" },
	paymentMethod: "tok_ok",
	expectedTotal: { amount: 1, currency: "EUR" }
} as const;

it("repeats a checkout with the same key while connections break or the answer is later", async () => {
	const { url, asked } = await serve(
		tokens("one"),
		hangUp,
		answer(503, {}, { "Retry-After": "0" }),
		answer(429),
		answer(202, { id: "o" })
	);
	const shop = new Shop(url);
	await shop.logIn(account);
	expect(await shop.checkOut("key-1", checkout)).toEqual({ id: "o" });

	const sent = asked.slice(1);
	expect(sent.map(({ line }) => line)).toEqual(Array(4).fill("POST /api/v1/checkout"));
	expect(new Set(sent.map(({ headers }) => headers["idempotency-key"]))).toEqual(
		new Set(["key-1"])
	);
	for (const { body } of sent) expect(body).toEqual(checkout);
	expect(shop.repeated).toBe(3);
});

it("waits as long as Retry-After says, but not longer than two seconds", async () => {
	const { url } = await serve(
		answer(503, {}, { "Retry-After": "1" }),
		answer(200, { items: [] }),
		answer(503, {}, { "Retry-After": "3600" }),
		answer(200, { items: [] })
	);
	const shop = new Shop(url);
	const took = async () => {
		const began = performance.now();
		await shop.products({ q: "lamp" });
		return performance.now() - began;
	};
	const [one, many] = [await took(), await took()];
	expect(one).toBeGreaterThan(950);
	expect(one).toBeLessThan(1_900);
	expect(many).toBeGreaterThan(1_950);
	expect(many).toBeLessThan(10_000);
});

it("gives up when its patience is at an end", async () => {
	const { url } = await serve(...Array<Answer>(20).fill(hangUp));
	await expect(new Shop(url, { patienceMs: 200 }).products({})).rejects.toThrow(Unreachable);
});

it("does not repeat what was refused, and says why", async () => {
	const { url, asked } = await serve(tokens("one"), problem(409, "CART_EMPTY"));
	const shop = new Shop(url);
	await shop.logIn(account);
	const refusal = await shop.checkOut("key-1", checkout).catch((error: unknown) => error);
	expect(refusal).toBeInstanceOf(Refusal);
	expect(refusal).toMatchObject({
		code: "CART_EMPTY",
		message: "POST /checkout was answered 409 (CART_EMPTY: Because.)"
	});
	expect(asked).toHaveLength(2);
});

it("takes a name that is taken for its own registration only where it had to repeat it", async () => {
	const lost = await serve(hangUp, problem(409, "EMAIL_TAKEN"));
	await expect(new Shop(lost.url).register(account)).resolves.toBeUndefined();
	const taken = await serve(problem(409, "EMAIL_TAKEN"));
	await expect(new Shop(taken.url).register(account)).rejects.toThrow("EMAIL_TAKEN");
});

it("renews its tokens where they have run out, and signs in again where that fails too", async () => {
	const { url, asked } = await serve(
		tokens("one"),
		problem(401, "UNAUTHENTICATED"),
		tokens("two"),
		answer(200, { id: "o" }),
		problem(401, "UNAUTHENTICATED"),
		problem(401, "INVALID_REFRESH_TOKEN"),
		tokens("three"),
		answer(200, { id: "o" })
	);
	const shop = new Shop(url);
	await shop.logIn(account);
	await shop.order("o");
	await shop.order("o");
	expect(asked.map(({ line, headers }) => [line, headers.authorization])).toEqual([
		["POST /api/v1/auth/login", undefined],
		["GET /api/v1/orders/o", "Bearer one"],
		["POST /api/v1/auth/refresh", undefined],
		["GET /api/v1/orders/o", "Bearer two"],
		["GET /api/v1/orders/o", "Bearer two"],
		["POST /api/v1/auth/refresh", undefined],
		["POST /api/v1/auth/login", undefined],
		["GET /api/v1/orders/o", "Bearer three"]
	]);
	expect(asked[2]!.body).toEqual({ refreshToken: "r-one" });
});

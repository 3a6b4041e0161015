import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import { Errors, type Service } from "moleculer";
import { Type, type TObject } from "typebox";
import { carts } from "../../contracts/carts.ts";
import { Params } from "../../contracts/common.ts";
import type { RouteView } from "../../contracts/routes.ts";
import { contract } from "../../lib/contract.ts";
import { implement } from "../../lib/service.ts";
import { allContracts, type Actions } from "../../contracts/index.ts";
import { commonFailure, failure, requireVersion } from "../../lib/failure.ts";
import { KEY_HEADER } from "../../lib/idempotency.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { somebody } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import { createSigningKeys, readSigningKeys } from "../../lib/signing-keys.ts";
import { signAccessToken } from "../../lib/access-token.ts";
import { asyncApiDocument } from "./asyncapi.ts";
import { errorCatalogue } from "./error-catalogue.ts";
import type { LiveContracts } from "./live-contracts.ts";
import {
	cartResult,
	orderResult,
	problem,
	productResult,
	startGateway,
	userResult,
	type Handlers,
	type TestGateway
} from "./gateway.fixtures.ts";

const ALLOWED = "https://app.example.com";
const address = orderResult.shippingAddress;
const checkout = {
	shippingAddress: address,
	paymentMethod: "tok_ok",
	expectedTotal: { amount: 1999, currency: "EUR" }
};
const SECRET = "hunter2-secret";

describe("the gateway", () => {
	let gateway: TestGateway;
	/** What an action that a test wants to fail shall throw. */
	let thrown: unknown;
	/** What orders.follow answers. */
	let followed: NonNullable<Handlers["orders.follow"]>;
	/** The keys that carts.setItem was given. */
	const keys: unknown[] = [];
	const fail = async () => {
		throw thrown;
	};
	beforeAll(async () => {
		gateway = await startGateway(
			{
				"products.list": async () =>
					thrown === undefined ? { items: [], nextCursor: null } : fail(),
				"carts.setItem": async ctx => {
					const key = (ctx as unknown as { headers: Record<string, unknown> }).headers[KEY_HEADER];
					keys.push(key);
					if (key === "slow") throw commonFailure("IDEMPOTENCY_IN_PROGRESS");
					return cartResult;
				},
				"carts.removeItem": async ({ params }) => {
					requireVersion(params.ifMatch, 1);
					return cartResult;
				},
				"orders.follow": ctx => followed(ctx),
				"orders.timeline": async ({ meta }) => {
					// A callee that says who is calling, and what the answer shall be.
					Object.assign(meta, {
						user: somebody("admin"),
						$statusCode: 418,
						$responseHeaders: { "X-Evil": "1" }
					});
					return { items: [], remaining: [] };
				}
			},
			{ CORS_ORIGINS: `${ALLOWED},http://localhost:5173`, STREAMS_PER_CLIENT: "2" }
		);
	});
	afterAll(() => gateway.node.stop());
	beforeEach(() => {
		thrown = undefined;
		gateway.calls.length = 0;
	});
	const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
		gateway.request(path, {
			method: "POST",
			headers: { "content-type": "application/json", ...headers },
			body: typeof body === "string" ? body : JSON.stringify(body)
		});

	describe("routes", () => {
		it("calls the action of a route and answers its result", async () => {
			const response = await gateway.request("/api/v1/products/lamp");
			expect(response.status).toBe(200);
			expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
			expect(await response.json()).toEqual(productResult);
			expect(gateway.calls).toMatchObject([
				{ action: "products.get", params: { idOrSlug: "lamp" } }
			]);
		});

		it("has no other door to an action (H1, H2, H3)", async () => {
			const hidden = [
				"/products/get?idOrSlug=lamp",
				"/products/lookup?ids=1",
				"/api/v1/products/lookup/x",
				"/~node/list",
				"/~node/options",
				"/$node/options",
				"/api/v1/~node/options",
				"/gateway/listAliases",
				"/list-aliases",
				"/gateway/list-aliases",
				"/gateway/rest",
				"/auth/revocations",
				"/users-events/status"
			];
			for (const path of hidden)
				for (const method of ["GET", "POST"]) {
					const response = await gateway.request(path, { method });
					expect([path, response.status, (await problem(response))["code"]]).toEqual([
						path,
						404,
						"ROUTE_NOT_FOUND"
					]);
				}
			expect(gateway.calls).toEqual([]);
		});

		it("offers no actions of moleculer-web to other services (H3)", async () => {
			for (const action of ["rest", "listAliases", "addRoute", "removeRoute"])
				await expect(gateway.broker.call(`gateway.${action}`, {})).rejects.toMatchObject({
					name: "ServiceNotFoundError"
				});
		});

		it("answers HEAD wherever it answers GET, without a body (H12)", async () => {
			for (const path of [
				"/api/v1/products/lamp",
				"/health",
				"/docs",
				"/openapi.json",
				"/asyncapi.json"
			]) {
				const headers = { "accept-encoding": "identity" };
				const [head, get] = [
					await gateway.request(path, { method: "HEAD", headers }),
					await gateway.request(path, { headers })
				];
				expect(head.status).toBe(200);
				expect(await head.text()).toBe("");
				expect(head.headers.get("content-length")).toBe(String((await get.bytes()).length));
				expect(head.headers.get("etag")).toBe(get.headers.get("etag"));
			}
		});

		it("distinguishes case in paths (H12)", async () => {
			expect((await gateway.request("/API/v1/products/lamp")).status).toBe(404);
		});

		it("hands what is encoded in a path to the schema, which refuses it (H12)", async () => {
			for (const part of ["..%2fadmin", "a%2Fb", "%00", "a%0d%0ab"]) {
				const response = await gateway.request(`/api/v1/products/${part}`);
				expect(response.status).toBe(422);
				expect((await problem(response))["errors"]).toMatchObject([
					{ field: "idOrSlug", code: "pattern" }
				]);
			}
			expect(gateway.calls).toEqual([]);
		});

		it("answers 400 to a path or query that cannot be decoded", async () => {
			for (const path of ["/api/v1/products/%E0%A4%A", "/api/v1/products?q=%zz"]) {
				const response = await gateway.request(path);
				expect(response.status).toBe(400);
				expect((await problem(response))["code"]).toBe("MALFORMED_URL");
			}
		});

		it("answers 405 with Allow to a known path with another method", async () => {
			const response = await gateway.request("/api/v1/cart", { method: "PATCH" });
			expect(response.status).toBe(405);
			expect(response.headers.get("allow")).toBe("GET, HEAD, DELETE, OPTIONS");
			expect((await problem(response))["code"]).toBe("METHOD_NOT_ALLOWED");
			expect(
				await gateway.raw("TRACE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			).toMatch(/^HTTP\/1.1 405 /);
		});

		it("answers 406 where Accept rules out JSON", async () => {
			const refused = await gateway.request("/api/v1/cart", { headers: { accept: "text/html" } });
			expect(refused.status).toBe(406);
			expect((await problem(refused))["code"]).toBe("NOT_ACCEPTABLE");
			expect(
				(await gateway.request("/api/v1/cart", { headers: { accept: "text/html, */*;q=0.1" } }))
					.status
			).toBe(200);
		});

		it("answers 414 to a long address and 431 to large headers", async () => {
			expect(
				(await problem(await gateway.request(`/api/v1/products?q=${"a".repeat(5_000)}`)))["code"]
			).toBe("URL_TOO_LONG");
			const answer = await gateway.raw(
				`GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`
			);
			expect(answer).toMatch(/^HTTP\/1.1 431 [^]*"code":"HEADERS_TOO_LARGE"/);
		});

		it("takes the absolute form of an address, and no request without Host", async () => {
			expect(
				await gateway.raw(
					"GET http://any.where/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
				)
			).toMatch(/^HTTP\/1.1 200 /);
			expect(await gateway.raw("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")).toMatch(
				/^HTTP\/1.1 400 [^]*BAD_REQUEST/
			);
		});
	});

	describe("OPTIONS and CORS", () => {
		const preflight = (path: string, origin: string, method: string) =>
			gateway.request(path, {
				method: "OPTIONS",
				headers: { origin, "access-control-request-method": method }
			});

		it("never calls an action for OPTIONS (H4)", async () => {
			for (const headers of [
				{},
				{ "access-control-request-method": "DELETE" },
				{ origin: ALLOWED, "access-control-request-method": "GET" }
			]) {
				const response = await gateway.request("/api/v1/cart", {
					method: "OPTIONS",
					headers: headers as Record<string, string>
				});
				expect(response.status).toBe(204);
				expect(response.headers.get("allow")).toBe("GET, HEAD, DELETE, OPTIONS");
			}
			expect(gateway.calls).toEqual([]);
		});

		it("answers the preflight of an allowed origin", async () => {
			const { headers } = await preflight("/api/v1/checkout", ALLOWED, "POST");
			expect(headers.get("access-control-allow-origin")).toBe(ALLOWED);
			expect(headers.get("access-control-allow-methods")).toBe("POST, OPTIONS");
			expect(headers.get("access-control-allow-headers")).toBe(
				"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, x-cart-token, prefer"
			);
			expect(headers.get("access-control-allow-credentials")).toBeNull();
		});

		it("lets answers to an allowed origin be read, problems too", async () => {
			for (const path of ["/api/v1/cart", "/nowhere"]) {
				const { headers } = await gateway.request(path, { headers: { origin: ALLOWED } });
				expect(headers.get("access-control-allow-origin")).toBe(ALLOWED);
				expect(headers.get("access-control-expose-headers")).toContain("X-Cart-Token");
				expect(headers.get("access-control-expose-headers")).toContain(
					"RateLimit, RateLimit-Policy"
				);
				expect(headers.get("vary")).toBe("Origin, Accept-Encoding");
			}
			const { headers } = await gateway.request("/errors", { headers: { origin: ALLOWED } });
			expect(headers.get("vary")).toBe("Origin, Accept, Accept-Encoding");
		});

		it.each([
			"https://app.example.co",
			"https://app.exam",
			"https",
			".",
			"null",
			"https://app.example.com.evil",
			"https://app.example.com,http://localhost:5173"
		])("allows no origin that is only similar: %s (H5)", async origin => {
			for (const response of [
				await gateway.request("/api/v1/cart", { headers: { origin } }),
				await preflight("/api/v1/cart", origin, "GET")
			]) {
				expect(response.headers.get("access-control-allow-origin")).toBeNull();
				expect(response.headers.get("access-control-allow-methods")).toBeNull();
			}
		});

		it("answers 404 for a path that nobody knows, and 204 for the server as a whole", async () => {
			expect((await gateway.request("/nowhere", { method: "OPTIONS" })).status).toBe(404);
			expect(
				await gateway.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			).toMatch(/^HTTP\/1.1 204 /);
		});
	});

	describe("parameters", () => {
		it("takes each from its one source: neither query nor body can overrule another (H7)", async () => {
			const response = await gateway.request(`/api/v1/cart/items/${productResult.id}?quantity=9`, {
				method: "PUT",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ quantity: 1, productId: randomUUID(), cartToken: "B".repeat(43) })
			});
			expect(response.status).toBe(422);
			expect((await problem(response))["errors"]).toEqual([
				{ field: "quantity", code: "unknown", message: "is not known" },
				{ field: "productId", code: "unknown", message: "is not known" },
				{ field: "cartToken", code: "unknown", message: "is not known" }
			]);
			expect(gateway.calls).toEqual([]);
		});

		it("reads path, header and body together", async () => {
			await gateway.request(`/api/v1/cart/items/${productResult.id}`, {
				method: "PUT",
				headers: { "content-type": "application/json", "x-cart-token": "B".repeat(43) },
				body: JSON.stringify({ quantity: 2 })
			});
			expect(gateway.calls.map(({ params }) => params)).toEqual([
				{ productId: productResult.id, cartToken: "B".repeat(43), quantity: 2 }
			]);
		});

		it("tells all mistakes at once and never a value", async () => {
			const response = await post("/api/v1/auth/register", {
				email: SECRET,
				password: "x",
				[`extra`]: SECRET
			});
			expect(response.status).toBe(422);
			const body = await problem(response);
			expect(body["errors"].map(({ field, code }: any) => [field, code]).sort()).toEqual([
				["email", "format"],
				["extra", "unknown"],
				["password", "minLength"],
				["username", "required"]
			]);
			expect(JSON.stringify(body)).not.toContain(SECRET);
		});

		it("answers 400 where a required header is missing or repeated", async () => {
			const headers = await gateway.as(somebody());
			const missing = await post("/api/v1/checkout", checkout, headers);
			expect(missing.status).toBe(400);
			expect((await problem(missing))["code"]).toBe("HEADER_REQUIRED");
			const twice = await gateway.raw(
				`POST /api/v1/checkout HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${headers.authorization}\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n`
			);
			expect(twice).toMatch(/^HTTP\/1.1 400 [^]*REPEATED_HEADER/);
			expect(gateway.calls.filter(({ action }) => action === "orders.place")).toEqual([]);
		});
	});

	describe("services that join", () => {
		const boxes = (params: TObject = Params({ id: Type.String() })) =>
			contract({
				name: "boxes",
				failures: { BOX_SHUT: { status: 409, message: "The box is shut." } },
				actions: {
					get: {
						summary: "Read a box",
						access: "public",
						rest: { route: "GET /boxes/:id", tag: "Boxes", limit: { cost: 7 }, priority: "low" },
						params,
						result: Type.Object({ id: Type.String() }),
						failures: ["BOX_SHUT"]
					}
				},
				events: {}
			});
		const join = async (params?: TObject) => {
			const service = boxes(params);
			const schema = implement(service)({
				actions: {
					async get(ctx) {
						const { id } = ctx.params as { id: string };
						if (id === "shut") throw failure(service, "BOX_SHUT");
						return { id };
					}
				}
			});
			const joined = gateway.broker.createService(schema);
			await (joined as unknown as { _start(): Promise<void> })._start();
			return joined;
		};
		const box = (id: string) => gateway.request(`/api/v1/boxes/${id}`);
		const view = async () => {
			const headers = await gateway.as(somebody("admin"));
			const { items } = (await (
				await gateway.request("/api/v1/admin/routes", { headers })
			).json()) as {
				items: RouteView[];
			};
			return items.find(({ action }) => action === "boxes.get");
		};

		it("are led to without a restart, and away or refused they are no 404", async () => {
			expect((await box("a")).status).toBe(404);
			const joined = await join();
			await until(async () => (await box("a")).status === 200, "the route");
			expect(await (await box("a")).json()).toEqual({ id: "a" });
			const left = async () =>
				Number(/"requests";r=(\d+)/.exec((await box("a")).headers.get("ratelimit")!)![1]);
			expect((await left()) - (await left())).toBe(7);
			expect(await problem(await box("shut"))).toMatchObject({ status: 409, code: "BOX_SHUT" });
			const document = (await (await gateway.request("/openapi.json")).json()) as {
				paths: Record<string, object>;
			};
			expect(Object.keys(document.paths)).toContain("/api/v1/boxes/{id}");
			const explained = await gateway.request("/errors/BOX_SHUT");
			expect(await explained.json()).toMatchObject({ routes: ["GET /api/v1/boxes/:id"] });
			expect(Object.keys(document.paths)).toContain("/api/v1/orders/{id}");
			expect(await view()).toMatchObject({ state: "routed", route: "GET /boxes/:id" });

			await gateway.broker.destroyService(joined);
			const away = await box("a");
			expect([away.status, (await problem(away))["code"]]).toEqual([503, "UNAVAILABLE"]);
			await until(async () => (await view())?.state === "away", "that it is away");

			const other = await join(Params({ id: Type.Integer() }));
			const refused = await until(async () => {
				const seen = await view();
				return seen?.state === "refused" && seen;
			}, "that it is refused");
			expect(refused.refusals).toMatchObject([{ node: gateway.broker.nodeID }]);
			expect((await box("1")).status).toBe(503);
			expect(await gateway.node.runtime.metrics.text()).toContain("valence_contracts_refused 1");
			await gateway.broker.destroyService(other);
			await until(async () => (await view())?.state === "away", "that it is away again");
		});

		it("are told of to admins only", async () => {
			const response = await gateway.request("/api/v1/admin/routes", {
				headers: await gateway.as(somebody("staff"))
			});
			expect(response.status).toBe(403);
		});
	});

	describe("streams", () => {
		const path = `/api/v1/orders/${orderResult.id}/events`;
		const step = { at: orderResult.createdAt, step: "a", status: "placed", by: "orders" } as const;
		const open = async (who: { authorization: string }, headers: Record<string, string> = {}) => {
			const closing = new AbortController();
			const response = await gateway.request(path, {
				headers: { ...who, ...headers },
				signal: closing.signal
			});
			return { response, close: () => closing.abort() };
		};
		let page: Actions["orders.follow"]["result"];
		beforeEach(() => {
			page = { events: [{ id: 1, data: step }], ended: true };
			followed = async ({ params: { after = 0 } }) =>
				after === 0 ? page : { events: [], ended: true };
		});

		it("are server-sent events, and nothing keeps or changes them on their way", async () => {
			const { response } = await open(await gateway.as(somebody()));
			expect(response.status).toBe(200);
			expect(response.headers.get("content-type")).toBe("text/event-stream");
			expect(response.headers.get("cache-control")).toBe("no-store, no-transform");
			expect(await response.text()).toBe(`retry: 2000\n\nid: 1\ndata: ${JSON.stringify(step)}\n\n`);
		});

		it("go on behind Last-Event-ID, and are 204 where nothing will come", async () => {
			const who = await gateway.as(somebody());
			const { response } = await open(who, { "last-event-id": "1" });
			expect([response.status, await response.text()]).toEqual([204, ""]);
			expect(gateway.calls.at(-1)!.params).toMatchObject({ after: 1 });
			for (const id of ["x", "-1", "1.5", "9".repeat(20)])
				expect((await open(who, { "last-event-id": id })).response.status).toBe(422);
		});

		it.each([
			["application/json", 406],
			["text/event-stream;q=0", 406],
			["text/event-stream", 200],
			["text/*", 200],
			["*/*", 200]
		])("answer %s with %d", async (accept, status) => {
			const { response } = await open(await gateway.as(somebody()), { accept });
			expect(response.status).toBe(status);
			await response.text();
		});

		it("have a head like any answer", async () => {
			const headers = await gateway.as(somebody());
			const response = await gateway.request(path, { method: "HEAD", headers });
			expect([response.status, response.headers.get("content-type")]).toEqual([
				200,
				"text/event-stream"
			]);
		});

		it("are refused as any request is", async () => {
			expect((await gateway.request(path)).status).toBe(401);
			followed = async () => {
				throw commonFailure("NOT_FOUND");
			};
			const { response } = await open(await gateway.as(somebody()));
			expect((await problem(response))["code"]).toBe("NOT_FOUND");
		});

		it("are limited for each user, until one is closed", async () => {
			page = { events: [{ id: 1, data: step }], ended: false };
			const who = await gateway.as(somebody());
			const opened = await Promise.all([open(who), open(who)]);
			expect(opened.map(({ response }) => response.status)).toEqual([200, 200]);
			const { response } = await open(who);
			expect([response.status, response.headers.get("retry-after")]).toEqual([429, "1"]);
			expect((await problem(response))["code"]).toBe("TOO_MANY_STREAMS");
			// Those of another user, and what is no stream, are none of theirs.
			const other = await open(await gateway.as(somebody()));
			expect(other.response.status).toBe(200);
			expect((await gateway.request("/api/v1/cart", { headers: who })).status).toBe(200);
			await until(
				async () => /^valence_gateway_streams 3$/m.test(await gateway.node.runtime.metrics.text()),
				"a figure that tells of them"
			);
			opened[0].close();
			const next = await until(async () => {
				const again = await open(who);
				return again.response.status === 200 && again;
			}, "a place");
			for (const { close } of [opened[1], other, next]) close();
		});

		it("end with the session", async () => {
			page = { events: [{ id: 1, data: step }], ended: false };
			followed = async ({ params: { after = 0 } }) =>
				after === 0 ? page : { events: [], ended: false };
			const user = somebody();
			const { response } = await open(await gateway.as(user));
			const fact: Partial<Envelope> = {
				data: { sessionId: user.sessionId, until: new Date(Date.now() + 60_000).toISOString() }
			};
			await gateway.broker.broadcast("session.revoked.v1", fact);
			await gateway.broker.broadcast("order.paid.v1", { aggregateid: orderResult.id });
			expect(await response.text()).toContain("id: 1");
		});
	});

	describe("Idempotency-Key", () => {
		const put = (key: string) =>
			gateway.request(`/api/v1/cart/items/${productResult.id}`, {
				method: "PUT",
				headers: { "content-type": "application/json", "idempotency-key": key },
				body: '{"quantity":1}'
			});

		it("reaches an action that has no parameter for it", async () => {
			keys.length = 0;
			expect((await put('"8e03978e-40d5"')).status).toBe(200);
			expect(keys).toEqual(['"8e03978e-40d5"']);
		});

		it("must be one where it is sent", async () => {
			const response = await put("x".repeat(256));
			expect(response.status).toBe(422);
			expect((await problem(response))["errors"]).toEqual([
				{ field: "idempotency-key", code: "pattern", message: expect.any(String) }
			]);
		});

		it("is refused where its answer would be kept nowhere", async () => {
			const login = { login: "ada", password: "correct horse" };
			const response = await post("/api/v1/auth/login", login, { "idempotency-key": "k" });
			expect(response.status).toBe(400);
			expect((await problem(response))["code"]).toBe("IDEMPOTENCY_KEY_REFUSED");
		});

		it("that is being worked on says when to come again", async () => {
			const response = await put("slow");
			expect([response.status, response.headers.get("retry-after")]).toEqual([409, "1"]);
			expect((await problem(response))["code"]).toBe("IDEMPOTENCY_IN_PROGRESS");
		});
	});

	describe("bodies", () => {
		const path = "/api/v1/auth/register";
		const good = { email: "ada@example.com", username: "ada", password: "correct horse" };

		it.each([
			['{"__proto__":{"email":"a@b.c","username":"ada","password":"correct horse"}}'],
			['{"name":{"__proto__":{"admin":true}}}'],
			['{"constructor":{"prototype":{"admin":true}}}']
		])("refuses keys that would reach a prototype: %s (H8)", async body => {
			const response = await post(path, body);
			expect(response.status).toBe(400);
			expect((await problem(response))["code"]).toBe("MALFORMED_BODY");
			expect(gateway.calls).toEqual([]);
		});

		it("answers 400, and not 500, to malformed and to deep JSON (H10)", async () => {
			for (const body of [
				"{",
				`{"a":${"[".repeat(45_000)}${"]".repeat(45_000)}}`,
				'{"a":'.repeat(15_000),
				`{"a":"${SECRET}`
			]) {
				const response = await post(path, body);
				expect(response.status).toBe(400);
				expect(JSON.stringify(await problem(response))).not.toContain(SECRET);
			}
		});

		it("refuses compressed bodies, other types and other character sets with 415 (H10)", async () => {
			const refused: Record<string, string>[] = [
				{ "content-encoding": "gzip" },
				{ "content-encoding": "zstd" },
				{ "content-type": "text/plain" },
				{ "content-type": "application/x-www-form-urlencoded" },
				{ "content-type": "application/json; charset=utf-16" },
				{ "content-type": "nonsense" }
			];
			for (const headers of refused) {
				const response = await post(path, good, headers);
				expect([headers, response.status]).toEqual([headers, 415]);
			}
			expect(
				(await post(path, good, { "content-type": "application/json; charset=UTF-8" })).status
			).toBe(201);
		});

		it("does not inflate what is sent: neither a bomb of 10 MB nor what is corrupt (H10)", async () => {
			const bomb = gzipSync(Buffer.alloc(10_000_000, " "));
			expect(bomb.length).toBeLessThan(20_000);
			for (const body of [bomb, bomb.subarray(0, 500), Buffer.from("no gzip at all")]) {
				const response = await gateway.request(path, {
					method: "POST",
					headers: { "content-type": "application/json", "content-encoding": "gzip" },
					body
				});
				expect(response.status).toBe(415);
				expect((await problem(response))["code"]).toBe("UNSUPPORTED_MEDIA_TYPE");
			}
			expect(gateway.calls).toEqual([]);
		});

		it("refuses more than 100 kB with 413, however it is sent", async () => {
			const large = JSON.stringify({ ...good, name: "a".repeat(150_000) });
			const response = await post(path, large);
			expect(response.status).toBe(413);
			expect((await problem(response))["code"]).toBe("BODY_TOO_LARGE");
			const chunked = await gateway.request(path, {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: new Blob([large]).stream(),
				duplex: "half"
			});
			expect(chunked.status).toBe(413);
			// Announced, and never sent.
			expect(
				await gateway.raw(
					`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n{`
				)
			).toMatch(/^HTTP\/1.1 413 /);
			expect(gateway.calls).toEqual([]);
		});

		it("answers 422 to JSON that is no object", async () => {
			for (const body of ["[]", "1", '"text"', "null"])
				expect((await post(path, body)).status).toBe(422);
		});

		it("answers 400 to what is not HTTP", async () => {
			expect(await gateway.raw("NONSENSE\r\n\r\n")).toMatch(
				/^HTTP\/1.1 400 [^]*"code":"BAD_REQUEST"/
			);
		});
	});

	describe("answers", () => {
		it("carry a strong ETag, and 304 where the client has it", async () => {
			const first = await gateway.request("/api/v1/products/lamp");
			expect(first.headers.get("etag")).toBe('"4-7"');
			expect(first.headers.get("cache-control")).toBe("private, no-cache");
			const again = await gateway.request("/api/v1/products/lamp", {
				headers: { "if-none-match": 'W/"x", "4-7"' }
			});
			expect(again.status).toBe(304);
			expect(await again.text()).toBe("");
			expect(
				(await gateway.request("/api/v1/products/lamp", { headers: { "if-none-match": '"4-8"' } }))
					.status
			).toBe(200);
		});

		it("tell the action which versions If-Match allows, by the tags of whatever coding", async () => {
			const change = (tags: string) =>
				gateway.request(`/api/v1/cart/items/${productResult.id}`, {
					method: "DELETE",
					headers: { "if-match": tags }
				});
			expect((await change('"1-0", "3-0+br"')).status).toBe(200);
			expect(gateway.calls.at(-1)!.params).toMatchObject({ ifMatch: [1, 3] });
			expect((await change("*")).status).toBe(200);
			expect(gateway.calls.at(-1)!.params).not.toHaveProperty("ifMatch");
			const stale = await change('W/"1-0"');
			expect([stale.status, (await problem(stale))["code"]]).toEqual([412, "VERSION_MISMATCH"]);
		});

		it("have the status, Location and headers that the route declares", async () => {
			const headers = { ...(await gateway.as(somebody())), "idempotency-key": "k" };
			const placed = await post("/api/v1/checkout", checkout, headers);
			expect(placed.status).toBe(202);
			expect(placed.headers.get("location")).toBe(`/api/v1/orders/${orderResult.id}`);
			expect(placed.headers.get("cache-control")).toBe("no-store");
			const made = await post("/api/v1/auth/register", {
				email: "a@b.de",
				username: "ada",
				password: "correct horse"
			});
			expect([
				made.status,
				made.headers.get("location"),
				made.headers.get("cache-control")
			]).toEqual([201, "/api/v1/users/me", "no-store"]);
			expect((await gateway.request("/api/v1/cart")).headers.get("x-cart-token")).toBe(
				cartResult.cartToken!
			);
		});

		it("are 204 where there is nothing to tell", async () => {
			const response = await gateway.request("/api/v1/auth/logout", {
				method: "POST",
				headers: await gateway.as(somebody())
			});
			expect([response.status, await response.text()]).toEqual([204, ""]);
		});

		it("bear helmet's headers, problems too", async () => {
			for (const path of ["/api/v1/cart", "/nowhere", "/health"]) {
				const { headers } = await gateway.request(path);
				expect(headers.get("x-content-type-options")).toBe("nosniff");
				expect(headers.get("content-security-policy")).toBe(
					"default-src 'none';frame-ancestors 'none'"
				);
				expect(headers.get("strict-transport-security")).toContain("max-age=");
				expect(headers.get("x-powered-by")).toBeNull();
			}
		});

		it("do not obey what a service writes into meta", async () => {
			const response = await gateway.request(`/api/v1/orders/${orderResult.id}/timeline`, {
				headers: await gateway.as(somebody())
			});
			expect([response.status, response.headers.get("x-evil")]).toEqual([200, null]);
		});
	});

	describe("request ids", () => {
		it("are the client's where it is harmless, and reach the action", async () => {
			const response = await gateway.request("/api/v1/cart", {
				headers: { "x-request-id": "abc-1._Z" }
			});
			expect(response.headers.get("x-request-id")).toBe("abc-1._Z");
			expect(gateway.calls[0]!.requestID).toBe("abc-1._Z");
		});

		it.each(["<script>", "a b", "a".repeat(65), ""])(
			"are made where the client's is not: %s (H11)",
			async id => {
				const response = await gateway.request("/api/v1/cart", {
					headers: { "x-request-id": id, "x-correlation-id": "<script>" }
				});
				const given = response.headers.get("x-request-id")!;
				expect(given).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
				expect(gateway.calls[0]!.requestID).toBe(given);
			}
		);
	});

	describe("failures", () => {
		it("are problem documents with the declared status, code and detail", async () => {
			thrown = failure(carts, "CART_FULL");
			const response = await gateway.request("/api/v1/products?limit=5");
			expect(response.status).toBe(409);
			expect(await problem(response)).toEqual({
				type: "/errors/CART_FULL",
				title: "Cart full",
				status: 409,
				code: "CART_FULL",
				detail: "A cart holds at most 100 different products.",
				instance: "/api/v1/products",
				requestId: response.headers.get("x-request-id")
			});
		});

		it.each<[string, () => unknown]>([
			["an Error", () => new Error(`relation "users_secret" does not exist at 10.0.3.7 ${SECRET}`)],
			[
				"a client error with a code that nobody declared",
				() => new Errors.MoleculerClientError(SECRET, 409, "UNHEARD_OF", { SECRET })
			],
			[
				"a declared code with another status",
				() => new Errors.MoleculerClientError(SECRET, 400, "CART_FULL")
			],
			[
				"a server error with a declared code",
				() => new Errors.MoleculerServerError(SECRET, 409, "CART_FULL", { SECRET })
			],
			["something that is no Error", () => SECRET]
		])("tell nothing of %s (H9)", async (_, error) => {
			thrown = error();
			const response = await gateway.request("/api/v1/products");
			expect(response.status).toBe(500);
			const body = await problem(response);
			expect(body).toEqual({
				type: "/errors/INTERNAL",
				title: "Internal",
				status: 500,
				code: "INTERNAL",
				detail: "Something went wrong on our side.",
				instance: "/api/v1/products",
				requestId: body["requestId"]
			});
			expect(JSON.stringify([...response.headers])).not.toContain(SECRET);
		});

		it("are logged once, with the request id and nothing that the client sent", async () => {
			thrown = new Error("The disk is on fire.");
			const { logger } = gateway.broker.getLocalService("gateway");
			const log = jest.spyOn(logger, "error").mockImplementation(() => {});
			const response = await gateway.request(`/api/v1/products?q=${SECRET}`);
			expect(log).toHaveBeenCalledTimes(1);
			const logged = log.mock.calls[0]!.join(" ");
			log.mockRestore();
			expect(logged).toContain(response.headers.get("x-request-id"));
			expect(logged).toContain("The disk is on fire.");
			expect(logged).not.toContain(SECRET);
		});

		it("that come when the answer is on its way are left alone", () => {
			const service = gateway.broker.getLocalService("gateway") as Service & {
				errorHandler(exchange: object, error: Error): void;
			};
			const exchange = (res: object) => ({ req: {}, res, headers: {}, path: "/", requestId: "r" });
			// As Node's own does.
			const writeHead = () => {
				throw new Error("ERR_HTTP_HEADERS_SENT");
			};
			expect(() =>
				service.errorHandler(exchange({ headersSent: true, writeHead }), new Error("late"))
			).not.toThrow();
			expect(() =>
				service.errorHandler(exchange({ writeHead }), failure(carts, "CART_FULL"))
			).toThrow("ERR_HTTP_HEADERS_SENT");
		});

		it("of validation in a service do not tell the value, the node or the action (H9)", async () => {
			thrown = new Errors.ValidationError("Parameters validation error!", "VALIDATION_ERROR", [
				{
					type: "stringPattern",
					field: "password",
					message: `'${SECRET}' fails`,
					actual: SECRET,
					nodeID: "n",
					action: "users.x"
				}
			]);
			const response = await gateway.request("/api/v1/products");
			expect(response.status).toBe(422);
			expect((await problem(response))["errors"]).toEqual([
				{ field: "password", code: "invalid", message: "is not valid" }
			]);
		});

		it("of the system are 503 with Retry-After, although Moleculer calls them 404", async () => {
			const outages = [
				new Errors.ServiceNotFoundError({ action: "x" }),
				new Errors.ServiceNotAvailableError({ action: "x" }),
				new Errors.RequestTimeoutError({ action: "x", nodeID: "n" }),
				new Errors.RequestRejectedError({ action: "x", nodeID: "n" }),
				new Errors.QueueIsFullError({ action: "x", nodeID: "n" })
			];
			for (const error of outages) {
				thrown = error;
				const response = await gateway.request("/api/v1/products");
				expect([error.name, response.status, response.headers.get("retry-after")]).toEqual([
					error.name,
					503,
					"1"
				]);
				expect(await problem(response)).toMatchObject({ code: "UNAVAILABLE" });
				// Five failures in a row would open the circuit breaker.
				thrown = undefined;
				for (let i = 0; i < 3; i++) await gateway.request("/api/v1/products");
			}
		});
	});

	describe("callers", () => {
		const me = "/api/v1/users/me";

		it("are known by their access token, and the action is told who and from where", async () => {
			const ada = somebody("customer");
			const response = await gateway.request(me, {
				headers: {
					...(await gateway.as(ada)),
					"user-agent": "x".repeat(300),
					"x-forwarded-for": "6.6.6.6"
				}
			});
			expect(await response.json()).toEqual(userResult);
			expect(gateway.calls.find(({ action }) => action === "users.me")!.meta).toEqual({
				user: ada,
				client: { address: "127.0.0.1", device: "x".repeat(200) }
			});
		});

		it("are 401 with WWW-Authenticate where they must sign in", async () => {
			const response = await gateway.request(me);
			expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
			expect((await problem(response))["code"]).toBe("UNAUTHENTICATED");
		});

		it("are 401 with a bad token on a public route too", async () => {
			const strangers = readSigningKeys(await createSigningKeys());
			const tokens = [
				"Bearer nonsense",
				"Bearer a.b.c",
				"Basic YTpi",
				"Bearer ",
				`Bearer ${await signAccessToken(somebody(), strangers, new Date())}`,
				`Bearer ${await signAccessToken(somebody(), gateway.keys, new Date(0))}`
			];
			for (const authorization of tokens) {
				const response = await gateway.request("/api/v1/cart", { headers: { authorization } });
				expect([authorization, response.status]).toEqual([authorization, 401]);
			}
			expect(gateway.calls.filter(({ action }) => action === "carts.get")).toEqual([]);
		});

		it("are 403 where they are not allowed", async () => {
			const path = `/api/v1/inventory/${productResult.id}`;
			const response = await gateway.request(path, {
				headers: await gateway.as(somebody("customer"))
			});
			expect([response.status, (await problem(response))["code"]]).toEqual([403, "FORBIDDEN"]);
			expect(gateway.calls.filter(({ action }) => action === "inventory.get")).toEqual([]);
		});

		it("are refused before their body is read", async () => {
			expect((await post("/api/v1/checkout", "{", {})).status).toBe(401);
		});

		it("are told apart from those whose session has ended as long as that can be read, else it is said once", async () => {
			const service = gateway.broker.getLocalService("gateway");
			const { revocations, readRevocations } = service as unknown as {
				revocations: object;
				readRevocations: () => Promise<void>;
			};
			const warn = jest.spyOn(service.logger, "warn");
			const look = () => readRevocations();
			try {
				Object.defineProperty(revocations, "ageMs", { value: 6_000, configurable: true });
				await look();
				await look();
				expect(warn.mock.calls).toEqual([[expect.stringMatching(/ended cannot be read/)]]);
				delete (revocations as { ageMs?: number }).ageMs;
				await look();
				await look();
				expect(warn.mock.calls.slice(1)).toEqual([[expect.stringMatching(/known again/)]]);
			} finally {
				warn.mockRestore();
			}
			expect(await gateway.node.runtime.metrics.text()).toMatch(
				/^valence_gateway_revocations_age_seconds \d/m
			);
		});

		it("are 401 as soon as their session is revoked", async () => {
			const ada = somebody();
			const headers = await gateway.as(ada);
			expect((await gateway.request(me, { headers })).status).toBe(200);
			await gateway.broker.broadcast("session.revoked.v1", {
				specversion: "1.0",
				id: uuidv7(),
				type: "session.revoked.v1",
				data: {
					sessionId: ada.sessionId,
					userId: ada.id,
					reason: "logout",
					until: new Date(Date.now() + 900_000).toISOString()
				}
			} as Envelope);
			expect((await gateway.request(me, { headers })).status).toBe(401);
			expect((await gateway.request("/api/v1/cart", { headers })).status).toBe(401);
			expect((await gateway.request(me, { headers: await gateway.as(somebody()) })).status).toBe(
				200
			);
		});
	});

	describe("documentation", () => {
		it("is an OpenAPI document with an ETag", async () => {
			const response = await gateway.request("/openapi.json");
			const document = (await response.json()) as Record<string, any>;
			expect(document["openapi"]).toBe("3.1.0");
			expect(document["paths"]["/api/v1/checkout"]["post"]["operationId"]).toBe("orders.place");
			const etag = response.headers.get("etag")!;
			expect(
				(await gateway.request("/openapi.json", { headers: { "if-none-match": etag } })).status
			).toBe(304);
		});

		it("is an AsyncAPI document with an ETag, for everybody", async () => {
			const response = await gateway.request("/asyncapi.json");
			expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
			expect(await response.json()).toEqual(asyncApiDocument(allContracts));
			const etag = response.headers.get("etag")!;
			const again = await gateway.request("/asyncapi.json", {
				headers: { "if-none-match": etag }
			});
			expect([again.status, await again.text()]).toEqual([304, ""]);
		});

		it("explains the code of each problem at the address that is its type", async () => {
			const refused = await problem(await gateway.request("/api/v1/users/me"));
			const explained = await gateway.request(refused["type"] as string);
			expect([explained.status, explained.headers.get("content-type")]).toEqual([
				200,
				"application/json; charset=utf-8"
			]);
			expect(await explained.json()).toMatchObject({
				code: "UNAUTHENTICATED",
				status: 401,
				messages: ["Sign in to do this."],
				routes: expect.arrayContaining(["GET /api/v1/users/me"])
			});
			const { items } = (await (await gateway.request("/errors")).json()) as { items: unknown[] };
			// With what has joined above.
			const { live } = gateway.broker.getLocalService("gateway") as unknown as {
				live: LiveContracts;
			};
			expect(live.contracts).toEqual(expect.arrayContaining([...allContracts]));
			expect(items).toEqual(errorCatalogue(live.contracts));
			const unknown = await gateway.request("/errors/NO_SUCH_CODE");
			expect((await problem(unknown))["code"]).toBe("NOT_FOUND");
		});

		it("explains it to a browser as a page", async () => {
			const accept = "text/html,application/xhtml+xml,*/*;q=0.8";
			for (const path of ["/errors", "/errors/CART_EMPTY"]) {
				const page = await gateway.request(path, { headers: { accept } });
				expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
				expect(page.headers.get("vary")).toBe("Origin, Accept, Accept-Encoding");
				expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
				expect(await page.text()).toContain("CART_EMPTY");
				const etag = page.headers.get("etag")!;
				const again = { headers: { accept, "if-none-match": etag } };
				expect((await gateway.request(path, again)).status).toBe(304);
				expect((await gateway.request(path, { headers: { "if-none-match": etag } })).status).toBe(
					200
				);
			}
		});

		it("is a page that needs nothing from other addresses", async () => {
			const page = await gateway.request("/docs");
			const html = await page.text();
			const policy = page.headers.get("content-security-policy")!;
			expect(policy).toContain("default-src 'none'; script-src 'self';");
			expect(policy).not.toContain("http");
			expect(html).not.toMatch(/https?:|<script>|<style/);
			const own = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
			expect(own).toHaveLength(8);
			for (const path of own)
				expect([path, (await gateway.request(path)).status]).toEqual([path, 200]);
			expect((await gateway.request("/docs/package.json")).status).toBe(404);
			expect(
				(await gateway.request("/docs/swagger-ui-bundle.js")).headers.get("content-type")
			).toContain("javascript");
		});
	});
});

/**
 * Every route of the OpenAPI document, met with wrong, huge, odd and hostile values. `FUZZ_SEED=…`
 * repeats a run, `FUZZ_RUNS=…` makes it longer.
 */
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { text as textOf } from "node:stream/consumers";
import fc from "fast-check";
import { loadDemoData } from "../bin/demo-data.ts";
import { allContracts } from "../contracts/index.ts";
import type { Role } from "../contracts/users.ts";
import { signAccessToken } from "../lib/access-token.ts";
import { UNITS } from "../lib/config.ts";
import { encodeCursor } from "../lib/cursor.ts";
import { readSigningKeys, type SigningKeys } from "../lib/signing-keys.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { openApiDocument } from "../services/gateway/openapi.ts";
import { Api } from "./support/api.ts";
import { requestsTo, type Known, type Sent } from "./support/hostile.ts";
import { rawRequest, SECRET } from "./support/hostile-values.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { Judge, operationsOf, type Operation, type Received } from "./support/openapi.ts";
import { until } from "./support/until.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 200);
const HANGS_MS = 15_000;

const document = openApiDocument(allContracts, { serverUrl: "/" });
const operations = operationsOf(document);
const judge = new Judge(document);

/** What only its owner and those who run the system may see. */
const PRIVATE = "Vict0ria-Priv4te";
const HER_PASSWORD = `${SECRET} of hers`;

/** Traces of the inside that nobody shall see; none of them is in what is sent. */
const INSIDE =
	/node_modules|\.ts:\d|\bat (?:async )?[\w.<>]+ \(|"stack"|nodeID|moleculer|sequelize|postgres|SQLSTATE|syntax error at|violates|relation "|passwordHash|password_hash|\$argon2/i;

/** A signed token, wherever it came from. */
const TOKEN = /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/;

const actors = [undefined, "customer", "staff", "admin"] as const;
type Actor = (typeof actors)[number];

/** What is wrong with an answer; undefined where nothing is. */
function fault(operation: Operation, actor: Actor, received: Received): string | undefined {
	const { status, headers, body } = received;
	if (status >= 500) return `It answered ${status}.`;
	if (!/^[\w.-]{1,64}$/.test(String(headers["x-request-id"]))) return "It has no request id.";
	if (INSIDE.test(body)) return "It shows something of the inside.";
	if ((!actor || actor === "customer") && body.includes(PRIVATE))
		return "It shows what is somebody else's.";
	return judge.fault(operation, received);
}

/** What any route answers before its action is asked. */
const BEFORE =
	/"code":"(?:BAD_|MALFORMED_|REPEATED_|HEADER|UNAUTH|FORBIDDEN|NOT_ACC|BODY_|URL_|UNSUPP|VALID)/;

/** Whether the action, or the page, has done something about the request. */
const hasReached = ({ status, body }: Received): boolean => status < 400 || !BEFORE.test(body);

describe("hostile requests", () => {
	let node: TestNode;
	let keys: SigningKeys;
	let port: number;
	let api: Api;
	let known: Known;
	const ids = new Map<Role, string>();
	const logged: string[] = [];
	const unhandled: unknown[] = [];
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	const note = (error: unknown) => void unhandled.push(error);

	beforeAll(async () => {
		console.log(`FUZZ_SEED=${SEED}`);
		for (const method of ["log", "info", "warn", "error", "debug", "trace"] as const)
			jest
				.spyOn(console, method)
				.mockImplementation((...all: unknown[]) => void logged.push(all.map(String).join(" ")));
		process.on("unhandledRejection", note);
		node = await startTestNode(UNITS, { env: { LOG_LEVEL: "debug", RATE_LIMIT_FACTOR: "0" } });
		await loadDemoData(node.config, () => {});
		keys = readSigningKeys(process.env["TEST_AUTH_KEYS"]);
		port = node.broker.metadata["gatewayPort"] as number;
		api = new Api([`http://127.0.0.1:${port}`]);
		await until(async () => (await api.get("//ready")).status === 200, "the gateway is ready");
		for (const role of ["customer", "staff", "admin"] as const) {
			const token = await api.login(`${role}@valence.test`);
			ids.set(role, (await api.get("/users/me", token)).body.id);
		}
		known = await whatThereIs();
		// That it is heard what is logged is the base of what is said about it below.
		if (logged.length === 0) throw new Error("Nothing was logged.");
	}, 60_000);
	beforeEach(async () => {
		// A cart that can be bought, whatever was done to it before.
		const token = await tokenOf("customer");
		await api.request("DELETE", "/cart", { token });
		await api.request("PUT", `/cart/items/${known["productId"]![0]}`, {
			token,
			body: { quantity: 1 }
		});
		logged.length = 0;
		unhandled.length = 0;
	});
	afterEach(() => {
		expect(logged.filter(line => line.includes(SECRET) || TOKEN.test(line))).toEqual([]);
		expect(logged.filter(line => /\b(?:ERROR|FATAL)\b/.test(line))).toEqual([]);
		expect(unhandled).toEqual([]);
	});
	afterAll(async () => {
		agent.destroy();
		process.off("unhandledRejection", note);
		await node.stop();
		jest.restoreAllMocks();
	}, 30_000);

	/** A token of a session of its own: what ends one must not end the next. */
	async function tokenOf(role: Role): Promise<string> {
		const roles: Role[] = role === "customer" ? ["customer"] : ["customer", role];
		return signAccessToken({ id: ids.get(role)!, roles, sessionId: uuidv7() }, keys, new Date());
	}

	function send({ method, target, headers, body }: Sent): Promise<Received> {
		const { promise, resolve, reject } = Promise.withResolvers<Received>();
		const outgoing = request({
			agent,
			host: "127.0.0.1",
			port,
			method,
			path: target,
			headers: ["Host", `127.0.0.1:${port}`, ...headers],
			timeout: HANGS_MS
		});
		outgoing.once("timeout", () =>
			outgoing.destroy(new Error(`There is no answer within ${HANGS_MS} ms.`))
		);
		outgoing.once("error", reject);
		outgoing.once("response", response => {
			const { statusCode, headers: answered } = response;
			textOf(response).then(
				text => resolve({ status: statusCode!, headers: answered, body: text }),
				reject
			);
		});
		outgoing.end(body);
		return promise;
	}

	it.each(
		operations.map(operation => [`${operation.method} ${operation.path}`, operation] as const)
	)(
		"to %s do no harm",
		async (_, operation) => {
			const cases = fc.tuple(fc.constantFrom(...actors), requestsTo(operation, known));
			let reached = 0;
			await fc.assert(
				fc.asyncProperty(cases, async ([actor, sent]) => {
					const token = actor && (await tokenOf(actor));
					const identity = token ? ["Authorization", `Bearer ${token}`] : [];
					const received = await send({ ...sent, headers: [...identity, ...sent.headers] });
					const found = fault(operation, actor, received);
					if (found)
						throw new Error(`${found}\n${received.status} ${received.body.slice(0, 2_000)}`);
					if (hasReached(received)) reached++;
				}),
				{ seed: SEED, numRuns: RUNS }
			);
			// Requests that all fail at the first check would prove little.
			expect(reached).toBeGreaterThan(RUNS < 200 ? -1 : 2);
		},
		120_000
	);

	it("on the level of the socket do no harm", async () => {
		await fc.assert(
			fc.asyncProperty(rawRequest, async sent => {
				const socket = connect({ port, host: "127.0.0.1" });
				socket.setTimeout(HANGS_MS, () => socket.destroy(new Error("The socket hangs.")));
				socket.end(sent);
				const answers = await textOf(socket);
				for (const [, status] of answers.matchAll(/^HTTP\/1\.1 (\d+) /gm))
					expect(Number(status)).toBeLessThan(500);
				expect(answers).not.toMatch(INSIDE);
			}),
			{ seed: SEED, numRuns: RUNS }
		);
		expect((await send({ method: "GET", target: "/health", headers: [] })).status).toBe(200);
	}, 120_000);

	/** Things that exist, so that requests get behind the first check; some are of somebody else. */
	async function whatThereIs(): Promise<Known> {
		const { body: page } = await api.get("/products?inStock=true&limit=2");
		// One is bought; to the other everything is done that staff can do.
		const [product, edited] = page.items;
		const buy = async (token: string, name: string) => {
			const { body: cart } = await api.request("PUT", `/cart/items/${product.id}`, {
				token,
				body: { quantity: 1 }
			});
			const order = await api.request("POST", "/checkout", {
				token,
				headers: { "Idempotency-Key": name },
				body: {
					shippingAddress: { name, line1: name, city: name, postalCode: "1", country: "GB" },
					paymentMethod: "tok_ok",
					expectedTotal: cart.total
				}
			});
			return order.body.id as string;
		};
		const victim = await api.request("POST", "/auth/register", {
			body: {
				email: `${PRIVATE}@example.com`,
				username: PRIVATE,
				name: PRIVATE,
				password: HER_PASSWORD
			}
		});
		expect(victim.status).toBe(201);
		const hers = await buy(await api.login(PRIVATE, HER_PASSWORD), PRIVATE);
		const own = await buy(await api.login("customer@valence.test"), "own");
		const session = await api.request("POST", "/auth/login", {
			body: { login: "customer@valence.test", password: "valence-demo-2026" }
		});
		const guest = (await api.get("/cart")).headers.get("x-cart-token");
		const nextOf = async (path: string, token?: string) =>
			(await api.get<{ nextCursor: string }>(path, token)).body.nextCursor;
		const many = <T>(make: (index: number) => T) => Array.from({ length: 200 }, (__, i) => make(i));
		return {
			id: [own, hers, product.id],
			ids: [["orders-17"], ["users-1", "catalog-2"]],
			productId: [product.id, product.id, uuidv7()],
			idOrSlug: [edited.id, edited.slug, edited.categoryId],
			sku: many(i => `FUZZ-${i}`),
			slug: many(i => `fuzz-${i}`),
			categoryId: [edited.categoryId, product.categoryId],
			parentId: [product.categoryId, null],
			// Of each list as it is asked for without a filter, and of one with.
			cursor: [
				page.nextCursor,
				...(await Promise.all([
					nextOf("/products?limit=1"),
					nextOf("/orders?limit=1", await tokenOf("staff"))
				])),
				encodeCursor({ list: "products.prices", filters: [product.id] }, 2),
				encodeCursor({ list: "events.deadLetters", filters: Array(5).fill(undefined) }, null)
			],
			login: ["customer@valence.test", PRIVATE],
			password: [SECRET, "valence-demo-2026"],
			refreshToken: [session.body.refreshToken, "A".repeat(43)],
			quantity: [1, 999],
			email: [`${PRIVATE}@example.com`, ...many(i => `fuzz${i}@example.com`)],
			username: many(i => `fuzz${i}`),
			expectedTotal: [product.price],
			cartToken: [guest],
			"X-Cart-Token": [guest],
			"Idempotency-Key": ["own", ...many(() => uuidv7())],
			"If-Match": ["*", '"1-0"', ...many(i => `"${i}"`)],
			Prefer: ["wait=1"]
		};
	}
});

describe("what would be harm", () => {
	const me = operations.find(({ path }) => path === "/api/v1/users/me")!;
	const problem = {
		type: "/errors/UNAUTHENTICATED",
		title: "Unauthenticated",
		status: 401,
		code: "UNAUTHENTICATED",
		instance: "/",
		requestId: "r"
	};
	const answer = (status: number, body: unknown, headers: object = {}): Received => ({
		status,
		headers: {
			"x-request-id": "r",
			"content-type": status < 300 ? "application/json" : "application/problem+json",
			...headers
		},
		body: typeof body === "string" ? body : JSON.stringify(body)
	});
	const user = me.responses["200"]!["content"]["application/json"].example as object;

	it("is nothing of what is documented", () => {
		expect(fault(me, undefined, answer(200, user))).toBeUndefined();
		expect(fault(me, undefined, answer(401, problem))).toBeUndefined();
	});

	it.each([
		["It answered 500.", answer(500, problem)],
		["418 is not documented.", answer(418, problem)],
		["It has no request id.", answer(200, user, { "x-request-id": "<b>" })],
		["It shows something of the inside.", answer(200, { ...user, name: "x at Foo (/a.ts:1)" })],
		["It shows what is somebody else's.", answer(200, { ...user, name: PRIVATE })],
		["text/plain is not documented.", answer(200, user, { "content-type": "text/plain" })],
		[
			"The body is not as documented: data must NOT have additional properties",
			answer(200, { ...user, salt: 1 })
		],
		[
			'The body is not as documented: data/id must match format "uuid"',
			answer(200, { ...user, id: "1" })
		],
		["Status and body differ.", answer(401, { ...problem, status: 400 })],
		["TOTAL_CHANGED is not documented.", answer(401, { ...problem, code: "TOTAL_CHANGED" })]
	])("is found: %s", (found, received) => {
		expect(fault(me, "customer", received)).toBe(found);
	});
});

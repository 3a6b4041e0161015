import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Errors, ServiceBroker } from "moleculer";
import { categories } from "../../contracts/categories.ts";
import { products, type Product } from "../../contracts/products.ts";
import { brokerOptions } from "../../lib/broker.ts";
import { currentContext } from "../../lib/context.ts";
import { bindRuntime, createRuntime } from "../../lib/runtime.ts";
import { implement } from "../../lib/service.ts";
import { somebody, testConfig } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import type { Gate } from "./gate.ts";
import gatewayService from "./gateway.service.ts";
import {
	orderResult,
	problem,
	productResult,
	startGateway,
	type TestGateway
} from "./gateway.fixtures.ts";

const checkOut = async (gateway: TestGateway) =>
	gateway.request("/api/v1/checkout", {
		method: "POST",
		headers: {
			...(await gateway.as(somebody())),
			"idempotency-key": "k",
			"content-type": "application/json"
		},
		body: JSON.stringify({
			shippingAddress: orderResult.shippingAddress,
			paymentMethod: "tok_ok",
			expectedTotal: orderResult.total
		})
	});

describe("the door", () => {
	it("takes more requests at once than one action may have, and each gets its answer", async () => {
		const gateway = await startGateway(
			{
				"products.get": async () => {
					await sleep(300);
					return productResult;
				},
				"categories.list": async () => {
					await sleep(300);
					return { items: [], nextCursor: null };
				}
			},
			{ BULKHEAD_CONCURRENCY: "5", BULKHEAD_QUEUE: "1" }
		);
		try {
			const paths = Array.from({ length: 10 }, (_, i) =>
				i % 2 ? "/api/v1/products/lamp" : `/api/v1/categories?tree=${i % 4 === 0}`
			);
			const responses = await Promise.all(paths.map(path => gateway.request(path)));
			expect(responses.map(({ status }) => status)).toEqual(paths.map(() => 200));
		} finally {
			await gateway.node.stop();
		}
	});

	it("finishes what is under way when the node stops, and is not ready meanwhile", async () => {
		const gateway = await startGateway({
			"products.get": async () => {
				await sleep(1_500);
				return productResult;
			}
		});
		const unused = connect(gateway.port, "127.0.0.1");
		unused.on("error", () => {});
		for (const end = Date.now() + 3_000; Date.now() < end; await sleep(20))
			if ((await gateway.request("/ready")).status === 200) break;
		expect((await gateway.request("/ready")).headers.get("connection")).toBe("keep-alive");
		const slow = gateway.request("/api/v1/products/lamp");
		await sleep(50);
		const started = Date.now();
		const stopped = gateway.node.stop();
		const ready = await gateway.request("/ready");
		expect([ready.status, ready.headers.get("connection")]).toEqual([503, "close"]);
		expect((await slow).status).toBe(200);
		await stopped;
		expect(Date.now() - started).toBeLessThan(4_000);
		await expect(gateway.request("/health")).rejects.toThrow("fetch failed");
		unused.destroy();
	});

	it("takes nothing new while it stops, so that the end comes under load too", async () => {
		const gateway = await startGateway({
			"products.get": async () => {
				await sleep(300);
				return productResult;
			}
		});
		const statuses: number[] = [];
		let isOpen = true;
		const client = async () => {
			while (isOpen) {
				try {
					statuses.push((await gateway.request("/api/v1/products/lamp")).status);
				} catch {
					isOpen = false;
				}
			}
		};
		const clients = Array.from({ length: 5 }, async (_, i) => {
			await sleep(i * 60);
			await client();
		});
		await sleep(400);
		const started = Date.now();
		await gateway.node.stop();
		expect(Date.now() - started).toBeLessThan(5_000);
		await Promise.all(clients);
		expect(new Set(statuses)).toEqual(new Set([200]));
	});

	it("does not log that a client has left", async () => {
		const gateway = await startGateway();
		try {
			const { logger } = gateway.broker.getLocalService("gateway");
			const log = jest.spyOn(logger, "error");
			const socket = connect(gateway.port, "127.0.0.1");
			socket.write(
				"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
			);
			await sleep(100);
			socket.destroy();
			await sleep(100);
			expect(log).not.toHaveBeenCalled();
		} finally {
			await gateway.node.stop();
		}
	});

	it("does not end the process when its port is taken, but refuses to start", async () => {
		const first = await startGateway();
		try {
			await expect(startGateway({}, { PORT: String(first.port) })).rejects.toMatchObject({
				name: "StartupError",
				message: `Port ${first.port} is taken. Set PORT to another one, or to 0 for any free one.`
			});
		} finally {
			await first.node.stop();
		}
	});

	it("gives up what hangs: each call, and the request with all that is tried for it", async () => {
		const gateway = await startGateway(
			{ "auth.login": () => new Promise(() => {}) },
			{ REQUEST_TIMEOUT_MS: "300", DRAIN_MS: "300" }
		);
		try {
			const started = Date.now();
			const response = await gateway.request("/api/v1/auth/login", {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ login: "ada", password: "x" })
			});
			expect(response.status).toBe(503);
			expect(Date.now() - started).toBeLessThan(1_500);
		} finally {
			await gateway.node.stop();
		}
	});

	it("lets the important in first and tells the others when to come back; probes wait for nothing", async () => {
		let finish = () => {};
		const gateway = await startGateway(
			{
				"products.get": () =>
					new Promise(resolve => {
						finish = () => resolve(productResult);
					})
			},
			{ REQUEST_CONCURRENCY: "1", REQUEST_QUEUE: "1" }
		);
		try {
			const { gate } = gateway.broker.getLocalService("gateway") as unknown as { gate: Gate };
			const browse = () => gateway.request("/api/v1/products/lamp");
			const inside = browse();
			await until(() => gate.inside === 1 && gateway.calls.length > 0, "a request at work");
			const waiting = browse();
			await until(() => gate.waiting === 1, "a request that waits");
			const refused = await browse();
			expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
			expect(await problem(refused)).toMatchObject({ code: "OVERLOADED" });
			expect((await gateway.request("/health")).status).toBe(200);
			const checkout = checkOut(gateway);
			// Its place in the queue is given to who buys.
			expect((await waiting).status).toBe(503);
			const figures = await gateway.node.runtime.metrics.text();
			expect(figures).toContain('valence_gateway_refused_total{code="OVERLOADED"} 2');
			expect(figures).toContain('valence_gateway_requests{state="inside"} 1');
			expect(figures).toContain('valence_gateway_requests{state="waiting"} 1');
			finish();
			expect([(await inside).status, (await checkout).status]).toEqual([200, 202]);
			expect([gate.inside, gate.waiting]).toEqual([0, 0]);
		} finally {
			finish();
			await gateway.node.stop();
		}
	});

	it("finishes what waits for its turn when the node stops", async () => {
		const gateway = await startGateway(
			{
				"products.get": async () => {
					await sleep(300);
					return { ...productResult, description: "long ".repeat(1_000) };
				}
			},
			{ REQUEST_CONCURRENCY: "1" }
		);
		const { gate } = gateway.broker.getLocalService("gateway") as unknown as { gate: Gate };
		const headers = { "accept-encoding": "br" };
		const all = [1, 2, 3].map(() => gateway.request("/api/v1/products/lamp", { headers }));
		await until(() => gate.waiting === 2, "two that wait");
		const stopped = gateway.node.stop();
		for (const response of await Promise.all(all)) {
			expect(response.status).toBe(200);
			expect(response.headers.get("content-encoding")).toBe("br");
			expect(((await response.json()) as Product).description).toHaveLength(5_000);
		}
		await stopped;
	});

	it("tells an action how much of the time is left after waiting for a turn", async () => {
		let told = Infinity;
		const gateway = await startGateway(
			{
				"products.get": async () => {
					await sleep(500);
					return productResult;
				},
				// Its contract would give it all of the time.
				"orders.place": async ctx => {
					told = (ctx as unknown as { options: { timeout: number } }).options.timeout;
					return orderResult;
				}
			},
			{ REQUEST_CONCURRENCY: "1" }
		);
		try {
			const first = gateway.request("/api/v1/products/lamp");
			await until(() => gateway.calls.some(({ action }) => action === "products.get"), "a call");
			expect((await checkOut(gateway)).status).toBe(202);
			expect((await first).status).toBe(200);
			expect(told).toBeGreaterThan(5_000);
			expect(told).toBeLessThan(14_800);
		} finally {
			await gateway.node.stop();
		}
	});

	it("frees the place of a client that has gone, and tells those who work for it", async () => {
		let signal: AbortSignal | undefined;
		const gateway = await startGateway(
			{
				"products.get": () => {
					signal = currentContext().signal;
					return new Promise(() => {});
				}
			},
			{ REQUEST_CONCURRENCY: "1", DRAIN_MS: "300" }
		);
		try {
			const { gate } = gateway.broker.getLocalService("gateway") as unknown as { gate: Gate };
			const client = new AbortController();
			const options = { signal: client.signal };
			const inside = gateway.request("/api/v1/products/lamp", options).catch(() => {});
			await until(() => signal, "a request at work");
			const waiting = gateway.request("/api/v1/products/lamp", options).catch(() => {});
			await until(() => gate.waiting === 1, "a request that waits");
			expect(signal!.aborted).toBe(false);
			client.abort();
			await Promise.all([inside, waiting]);
			await until(() => gate.inside === 0 && gate.waiting === 0, "an empty gate");
			expect(signal!.aborted).toBe(true);
			expect((await gateway.request("/api/v1/cart")).status).toBe(200);
		} finally {
			await gateway.node.stop();
		}
	});

	it("leaves the choice of a node to the broker: turns are taken, and a node that is gone is not asked", async () => {
		const config = testConfig();
		const runtime = await createRuntime(config);
		const node = (nodeID: string) => {
			const broker = new ServiceBroker({ ...brokerOptions(config, nodeID), transporter: "Fake" });
			bindRuntime(broker, runtime);
			return broker;
		};
		const served: string[] = [];
		/** A node that fails for a moment. */
		let failing = "";
		const catalog = (nodeID: string) => {
			const broker = node(nodeID);
			const answer = async () => {
				served.push(nodeID);
				if (failing === nodeID) throw new Errors.MoleculerRetryableError("not now", 503);
				return { items: [], nextCursor: null };
			};
			const unused = async () => {
				throw new Error("not faked");
			};
			const hang = () => new Promise<never>(() => {});
			broker.createService(
				implement(categories)({
					actions: { list: answer, get: hang, create: unused, update: unused, remove: unused }
				})
			);
			broker.createService(
				implement(products)({
					actions: {
						list: answer,
						get: unused,
						lookup: unused,
						create: unused,
						update: unused,
						archive: unused,
						prices: unused,
						import: unused,
						export: unused
					}
				})
			);
			return broker;
		};
		const [gateway, a, b] = [node("gateway"), catalog("a"), catalog("b")];
		gateway.createService(gatewayService);
		await Promise.all([gateway, a, b].map(broker => broker.start()));
		try {
			await gateway.waitForServices(["products"]);
			const url = `http://127.0.0.1:${gateway.metadata["gatewayPort"]}/api/v1/products`;
			for (const end = Date.now() + 5_000; Date.now() < end && new Set(served).size < 2;)
				await fetch(url);
			served.length = 0;
			for (let i = 0; i < 10; i++) expect((await fetch(url)).status).toBe(200);
			expect(served.filter(nodeID => nodeID === "a")).toHaveLength(5);
			served.length = 0;
			failing = "a";
			for (let i = 0; i < 2; i++) expect((await fetch(url)).status).toBe(200);
			expect(served).toContain("a");
			expect(served.filter(nodeID => nodeID === "b")).toHaveLength(2);
			failing = "";
			// A client that goes leaves nothing to wait for, on whichever node.
			const client = new AbortController();
			const { transit } = gateway as unknown as {
				transit: { pendingRequests: Map<string, object> };
			};
			const path = url.replace("products", "categories/lamps");
			const leaving = fetch(path, { signal: client.signal }).catch(() => {});
			await until(() => transit.pendingRequests.size === 1, "a call to another node");
			client.abort();
			await leaving;
			await until(() => transit.pendingRequests.size === 0, "a call given up");
			await a.stop();
			served.length = 0;
			for (let i = 0; i < 4; i++) expect((await fetch(url)).status).toBe(200);
			expect(served).toEqual(["b", "b", "b", "b"]);
			await b.stop();
			expect((await fetch(url)).status).toBe(503);
		} finally {
			await Promise.all([gateway, a, b].map(broker => broker.stop()));
			await runtime.close();
		}
	});
});

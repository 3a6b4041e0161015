/** A cluster whose processes are killed and stopped under load. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import { Type } from "typebox";
import { setTimeout as sleep } from "node:timers/promises";
import { Params } from "../contracts/common.ts";
import { brokerOptions } from "../lib/broker.ts";
import { readConfig } from "../lib/config.ts";
import { contract } from "../lib/contract.ts";
import { implement } from "../lib/service.ts";
import { ADDRESS, Api } from "./support/api.ts";
import { eventsOf, type ServerSentEvent } from "./support/event-source.ts";
import { violations } from "./support/invariants.ts";
import { eventually, runCommand, startCluster } from "./support/process.ts";

type Cluster = Awaited<ReturnType<typeof startCluster>>;

interface Failure {
	readonly what: string;
	readonly why: string;
}

/** Sends requests, one after the other, until told to stop; keeps what failed and how long each took. */
class Load {
	readonly failures: Failure[] = [];
	readonly times: number[] = [];
	done = 0;
	#stopping = false;
	readonly #workers: Promise<void>[];

	constructor(workers: number, step: (worker: number, turn: number) => Promise<void>) {
		this.#workers = Array.from({ length: workers }, async (_, worker) => {
			for (let turn = 0; !this.#stopping; turn++) {
				const began = performance.now();
				try {
					await step(worker, turn);
					this.done++;
				} catch (error) {
					this.failures.push({
						what: `worker ${worker}, turn ${turn}`,
						why: String((error as Error).cause ?? error)
					});
				}
				this.times.push(performance.now() - began);
			}
		});
	}

	/** Ends the load when `work` has ended, however it ends. */
	async during(work: () => Promise<void>): Promise<void> {
		try {
			await work();
		} finally {
			this.#stopping = true;
			await Promise.all(this.#workers);
		}
	}
}

describe("a cluster with two nodes of each unit", () => {
	let cluster: Cluster;
	let productIds: string[];

	beforeAll(async () => {
		cluster = await startCluster("users=2,catalog=2,orders=2,notifications=2,gateway=2", {
			RATE_LIMIT_FACTOR: "0"
		});
		const { body } = await new Api(cluster.urls).get("/products?inStock=true&sort=-price&limit=50");
		// With so much stock that the load cannot sell out.
		productIds = (body.items as { id: string; availability: { available: number } }[])
			.filter(({ availability }) => availability.available > 100)
			.map(({ id }) => id);
	}, 120_000);
	afterAll(async () => {
		const code = await cluster.stop();
		cluster.cleanUp();
		if (code !== 0) throw new Error(`The cluster ended with ${code}:\n${cluster.output()}`);
	}, 60_000);

	const pidOf = (nodeId: string): number =>
		cluster.info().nodes.find(node => node.nodeId === nodeId)!.pid;
	const isReady = async (opsPort: number): Promise<boolean> =>
		fetch(`http://127.0.0.1:${opsPort}/ready`).then(
			({ ok }) => ok,
			() => false
		);
	/** The node runs as another process, and is ready. */
	const isBack = (nodeId: string, before: number) =>
		eventually(
			`${nodeId} is back`,
			async () => {
				const node = cluster.info().nodes.find(entry => entry.nodeId === nodeId)!;
				return node.pid !== before && (await isReady(node.opsPort));
			},
			40_000
		).catch((error: Error) => {
			throw new Error(`${error.message}\n${cluster.output().slice(-6_000)}`);
		});

	it("writes down who runs where", () => {
		const { nodes, servers, urls } = cluster.info();
		expect(nodes.map(({ nodeId }) => nodeId)).toEqual(
			expect.arrayContaining(["catalog-2", "gateway-2", "orders-1"])
		);
		expect(Object.keys(servers)).toEqual(["nats", "redis", "postgres"]);
		expect(urls).toHaveLength(2);
	});

	it("lets the prompt join, and knows it without services", async () => {
		const prompt = spawn(process.execPath, ["bin/repl.ts"], {
			cwd: join(import.meta.dirname, ".."),
			env: { PATH: process.env["PATH"], HOME: cluster.dataDir, DATA_DIR: cluster.dataDir },
			stdio: ["pipe", "pipe", "pipe"]
		});
		let said = "";
		prompt.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
		try {
			await eventually("the prompt", () => said.includes("valence $"));
			prompt.stdin.write("nodes\n");
			await eventually("the nodes", () => said.includes("notifications-2"));
			prompt.stdin.write("call products.list --limit 1\n");
			await eventually("an answer", () => said.includes("nextCursor"));
		} finally {
			prompt.kill("SIGKILL");
		}
		expect(said).toMatch(/orders-1/);
	}, 60_000);

	it("goes on with the stream of an order after its gateway was killed", async () => {
		const api = new Api(cluster.urls);
		const { token } = await api.newCustomer();
		await api.request("PUT", `/cart/items/${productIds[0]}`, { token, body: { quantity: 1 } });
		const { body } = await api.checkOut(token, { method: "tok_slow", wait: 0 });
		const streamAt = (url: string) => `${url}/api/v1/orders/${body.id}/events`;
		const killed = pidOf("gateway-1");
		const seen: ServerSentEvent[] = [];
		const first = (async () => {
			for await (const event of eventsOf(streamAt(cluster.urls[0]!), { token })) {
				seen.push(event);
				if (event.data.status === "awaiting_payment") process.kill(killed, "SIGKILL");
			}
		})();
		await expect(first).rejects.toThrow("terminated");
		const after = seen.at(-1)!.id;
		for await (const event of eventsOf(streamAt(cluster.urls[1]!), { token, after }))
			seen.push(event);
		expect(seen.map(({ id }) => id)).toEqual(seen.map((_, index) => String(index + 1)));
		expect(seen.at(-1)!.data.status).toBe("confirmed");
		await isBack("gateway-1", killed);
	}, 60_000);

	it("leads to a service that joins, at each gateway, and says 503 when it has left", async () => {
		const late = contract({
			name: "late",
			failures: {},
			actions: {
				get: {
					summary: "Something new",
					access: "public",
					rest: { route: "GET /late/:id", tag: "Late" },
					idempotent: true,
					params: Params({ id: Type.String() }),
					result: Type.Object({ id: Type.String() })
				}
			},
			events: {}
		});
		const config = readConfig({
			NATS_URL: cluster.info().servers["nats"]!.url,
			DATA_DIR: cluster.dataDir,
			LOG_LEVEL: "fatal"
		});
		const broker = new ServiceBroker(brokerOptions(config, "late-1"));
		broker.createService(
			implement(late)({
				actions: {
					async get({ params: { id } }) {
						return { id };
					}
				}
			})
		);
		const statuses = async () =>
			(await Promise.all(cluster.urls.map(url => fetch(`${url}/api/v1/late/1`)))).map(
				({ status }) => status
			);
		expect(await statuses()).toEqual([404, 404]);
		await broker.start();
		try {
			await eventually("the route", async () => (await statuses()).join() === "200,200");
			const document = await (await fetch(`${cluster.urls[0]}/openapi.json`)).text();
			expect(document).toContain('"/api/v1/late/{id}"');
		} finally {
			await broker.stop();
		}
		await eventually("that it has left", async () => (await statuses()).join() === "503,503");
	}, 60_000);

	it("serves every read while a catalog node is killed", async () => {
		const api = new Api(cluster.urls);
		const load = new Load(4, async (worker, turn) => {
			const { status, body } = await api.get(
				`/products/${productIds[(worker + turn) % productIds.length]}`
			);
			if (status !== 200) throw new Error(`${status} ${body.code}`);
		});
		await load.during(async () => {
			await sleep(1_000);
			const killed = pidOf("catalog-1");
			process.kill(killed, "SIGKILL");
			await isBack("catalog-1", killed);
		});
		expect(load.failures).toEqual([]);
		expect(load.done).toBeGreaterThan(100);
		// Not a measure of speed: the stock transporter leaves calls hanging for many seconds here.
		expect(Math.max(...load.times)).toBeLessThan(3_000);
	}, 60_000);

	it("fails no request while every node in turn is stopped in order", async () => {
		const api = new FailoverApi(cluster.urls);
		const customers = await Promise.all(Array.from({ length: 3 }, () => api.newCustomer()));
		const load = new Load(3, async (worker, turn) => {
			const { token } = customers[worker]!;
			const productId = productIds[(worker * 7 + turn) % productIds.length]!;
			const expect2xx = (
				{ status, body }: { status: number; body: { code?: string } },
				what: string
			) => {
				if (status >= 300) throw new Error(`${what}: ${status} ${body.code}`);
			};
			expect2xx(await api.get(`/products/${productId}`), "read");
			const cart = await api.request("PUT", `/cart/items/${productId}`, {
				token,
				body: { quantity: 1 }
			});
			expect2xx(cart, "cart");
			const checkout = await api.request("POST", "/checkout", {
				token,
				headers: { "Idempotency-Key": randomUUID() },
				body: {
					shippingAddress: ADDRESS,
					paymentMethod: turn % 5 === 0 ? "tok_ok" : "tok_declined",
					expectedTotal: cart.body.total
				}
			});
			expect2xx(checkout, "checkout");
			expect2xx(await api.get(`/orders/${checkout.body.id}`, token), "order");
		});
		await load.during(async () => {
			for (const { nodeId } of cluster.info().nodes) {
				const before = pidOf(nodeId);
				process.kill(before, "SIGTERM");
				await isBack(nodeId, before);
			}
		});
		expect(load.failures).toEqual([]);
		expect(load.done).toBeGreaterThan(20);
	}, 240_000);

	it("ends every order after an orders node was killed in the middle of many checkouts", async () => {
		const demo = runCommand(
			"bin/demo.ts",
			["--url", cluster.urls[0]!, "--orders", "60", "--concurrency", "6", "--json"],
			{}
		);
		for (const nodeId of ["orders-1", "orders-2"]) {
			await sleep(1_500);
			const killed = pidOf(nodeId);
			process.kill(killed, "SIGKILL");
			await isBack(nodeId, killed);
		}
		const { code, output } = await demo;
		expect({ code, output: code === 0 ? "" : output }).toEqual({ code: 0, output: "" });
		const { url } = cluster.info().servers["postgres"]!;
		await eventually(
			"the books add up",
			async () => Object.keys(await violations(url)).length === 0,
			30_000
		).catch(() => {});
		expect(await violations(url)).toEqual({});
		const verified = await runCommand("bin/stock.ts", ["verify"], { DATA_DIR: cluster.dataDir });
		expect(verified).toMatchObject({ code: 0, output: expect.stringContaining("add up to") });
	}, 180_000);
});

/** A client that goes to the other gateway where one does not take its connection, as a load balancer would. */
class FailoverApi extends Api {
	override async request<T = any>(...args: Parameters<Api["request"]>) {
		let refusal: unknown;
		for (const url of this.urls.toSorted(() => Math.random() - 0.5)) {
			try {
				return await new Api([url]).request<T>(...args);
			} catch (error) {
				const { code } = ((error as Error).cause ?? {}) as { code?: string };
				// Refused before anything was sent: nothing can have happened yet.
				if (code !== "ECONNREFUSED") throw error;
				refusal = error;
			}
		}
		throw refusal;
	}
}

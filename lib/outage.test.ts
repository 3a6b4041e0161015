import { Errors, ServiceBroker } from "moleculer";
import { startTestNode, type TestNode } from "../tests/support/node.ts";
import { brokerOptions } from "./broker.ts";
import { readConfig } from "./config.ts";
import { isRetryable } from "./database.ts";
import { commonFailure } from "./failure.ts";

const config = readConfig({ LOG_LEVEL: "fatal", BREAKER_FAILURES: "1000" });

describe("an action whose database or network fails", () => {
	const brokers: ServiceBroker[] = [];
	let calls = 0;
	let thrown: Error;
	const start = async (nodeID: string, hasBox: boolean) => {
		const broker = new ServiceBroker({ ...brokerOptions(config, nodeID), transporter: "Fake" });
		brokers.push(broker);
		const handler = async () => {
			calls++;
			throw thrown;
		};
		if (hasBox)
			broker.createService({
				name: "box",
				actions: { open: { access: "internal", retryPolicy: { enabled: true }, handler } as never }
			});
		await broker.start();
		return broker;
	};
	beforeAll(async () => {
		await start("callee", true);
		await (await start("caller", false)).waitForServices("box");
	});
	afterAll(() => Promise.all(brokers.map(broker => broker.stop())));
	beforeEach(() => {
		calls = 0;
	});
	const errorAt = (broker: ServiceBroker) =>
		broker.call("box.open").catch((error: unknown) => error);
	const error = (properties: object, message = "x") =>
		Object.assign(new Error(message), properties);

	it.each([
		error({ code: "40P01" }, "deadlock detected"),
		error({ code: "55P03" }, "canceling statement due to lock timeout"),
		error({ code: "57014" }, "canceling statement due to statement timeout"),
		error({ code: "ECONNREFUSED" }, "connect ECONNREFUSED"),
		error({}, "Connection terminated unexpectedly")
	])(
		"says so, here and to another node, and is worth a retry but for the broker: %s",
		async trouble => {
			thrown = trouble;
			for (const [index, broker] of brokers.entries()) {
				const told = await errorAt(broker);
				expect(told).toBeInstanceOf(Errors.MoleculerRetryableError);
				expect(told).toMatchObject({
					code: 503,
					type: "UNAVAILABLE",
					message: `box.open: ${trouble.message}`
				});
				expect(isRetryable(told)).toBe(true);
				expect(calls).toBe(index + 1);
			}
		}
	);

	it("says as before what is something else", async () => {
		for (const other of [
			commonFailure("NOT_FOUND"),
			error({ code: "23505" }),
			new TypeError("x is not a function")
		]) {
			thrown = other;
			expect(await errorAt(brokers[0]!)).toBe(other);
		}
		expect(calls).toBe(3);
	});

	it("leaves to Moleculer's own what they say, and the broker to repeat them", async () => {
		thrown = new Errors.RequestTimeoutError({ action: "box.open", nodeID: "x" });
		const told = await brokers[0]!
			.call("box.open", {}, { retries: 1 })
			.catch((failure: unknown) => failure);
		expect(told).toBe(thrown);
		expect(calls).toBe(2);
	});
});

describe("a command that waits for a lock in vain", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users", "gateway"]);
	}, 30_000);
	afterAll(() => node.stop());

	it("is answered 503, when to come back and no more", async () => {
		const db = node.runtime.database("users");
		const { promise: done, resolve: finish } = Promise.withResolvers<void>();
		const { promise: locked, resolve: hasLock } = Promise.withResolvers<void>();
		const holding = db.transaction(async tx => {
			await tx.query("SELECT FROM security_chain FOR UPDATE");
			hasLock();
			await done;
		});
		await locked;
		// Sooner than they would give up by themselves.
		const cancelling = (async () => {
			for (let cancelled = 0; cancelled === 0;)
				cancelled = (
					await db.query(
						`SELECT pg_cancel_backend(pid) FROM pg_stat_activity
						 WHERE datname = current_database() AND wait_event_type = 'Lock'`
					)
				).length;
		})();
		const port = node.broker.metadata["gatewayPort"] as number;
		const response = await fetch(`http://127.0.0.1:${port}/api/v1/auth/login`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ login: "nobody", password: "correct horse battery" })
		});
		await cancelling;
		finish();
		await holding;
		expect(response.status).toBe(503);
		expect(response.headers.get("retry-after")).toBe("1");
		expect(await response.json()).toMatchObject({
			code: "UNAVAILABLE",
			detail: "A part of the system does not answer. Try again in a moment."
		});
	});
});

import type { ServiceSchema } from "moleculer";
import { setTimeout as sleep } from "node:timers/promises";
import { BreakableServer } from "../bin/breakable-server.ts";
import { createBroker } from "./broker.ts";
import { readConfig } from "./config.ts";
import { currentContext, runInContext, traceparentOf, type WorkContext } from "./context.ts";
import type { Runtime } from "./runtime.ts";

describe("a traceparent", () => {
	const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	it("is the caller's where it is one", () => {
		expect(traceparentOf(valid)).toBe(valid);
	});

	it.each([
		[undefined],
		[""],
		[[valid, valid]],
		["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
		["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
		["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
		["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
		[`${valid}\r\nX-Evil: 1`]
	])("is a new one instead of %j", header => {
		const made = traceparentOf(header);
		expect(made).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
		expect(traceparentOf(header)).not.toBe(made);
	});
});

describe("the context of work", () => {
	const context: Omit<Required<WorkContext>, "signal"> = {
		requestId: "r-1",
		correlationId: "order-1",
		causationId: "event-1",
		traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	};
	const inner = {
		name: "inner",
		actions: {
			tell: { access: "internal", handler: async () => currentContext() }
		}
	} as unknown as ServiceSchema;
	const outer = {
		name: "outer",
		actions: {
			relay: {
				access: "internal",
				async handler(ctx: any) {
					await sleep(1);
					return ctx.call("inner.tell");
				}
			}
		}
	} as unknown as ServiceSchema;

	let nats: BreakableServer;
	beforeAll(async () => {
		nats = await BreakableServer.nats();
	});
	afterAll(() => nats.stop());

	const start = async (cluster: boolean) => {
		const config = readConfig({
			LOG_LEVEL: "fatal",
			...(cluster ? { NATS_URL: nats.url } : {})
		});
		// These services need nothing of it but the configuration.
		const broker = (name: string, ...services: ServiceSchema[]) =>
			createBroker({ config } as Runtime, name, services);
		const brokers = cluster
			? [broker("one", outer), broker("two", inner)]
			: [broker("one", outer, inner)];
		for (const each of brokers) await each.start();
		await brokers[0]!.waitForServices(["outer", "inner"]);
		return brokers;
	};

	it.each([
		["in one process", false],
		["over NATS", true]
	])("goes with a call that calls another service, %s", async (_, cluster) => {
		const brokers = await start(cluster);
		try {
			const told = await runInContext(context, () => brokers[0]!.call("outer.relay"));
			expect(told).toEqual(context);
			// Nothing of it stays behind for the next one.
			expect(await brokers[0]!.call("outer.relay")).not.toMatchObject({ causationId: "event-1" });
		} finally {
			for (const each of brokers) await each.stop();
		}
	});

	it("tells a callee in the same process, through other calls, that nobody waits any more", async () => {
		const brokers = await start(false);
		try {
			const { signal } = new AbortController();
			const told = await brokers[0]!.call<WorkContext, object>("outer.relay", {}, {
				signal
			} as object);
			expect(told.signal).toBe(signal);
		} finally {
			for (const each of brokers) await each.stop();
		}
	});

	it("is not the callee's to change", async () => {
		const brokers = await start(false);
		try {
			const after = await runInContext(context, async () => {
				await brokers[0]!.call("outer.relay");
				return currentContext();
			});
			expect(after).toEqual(context);
		} finally {
			for (const each of brokers) await each.stop();
		}
	});
});

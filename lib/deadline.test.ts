import { Errors, ServiceBroker } from "moleculer";
import { setTimeout as sleep } from "node:timers/promises";
import { brokerOptions } from "./broker.ts";
import { readConfig } from "./config.ts";
import { deadlineMiddleware } from "./deadline.ts";

const config = readConfig({ LOG_LEVEL: "fatal", REQUEST_TIMEOUT_MS: "8000" });

describe("a deadline", () => {
	const brokers: ServiceBroker[] = [];
	const start = async (nodeID: string, handler?: (ctx: any) => Promise<unknown>) => {
		const broker = new ServiceBroker({ ...brokerOptions(config, nodeID), transporter: "Fake" });
		brokers.push(broker);
		if (handler)
			broker.createService({
				name: "box",
				actions: {
					open: { access: "internal", retryPolicy: { enabled: true }, handler },
					shut: { access: "internal", handler: async (ctx: any) => ctx.options.timeout }
				} as never
			});
		await broker.start();
		return broker;
	};
	afterEach(() => Promise.all(brokers.splice(0).map(broker => broker.stop())));
	const call = (broker: ServiceBroker, inMs: number, timeout?: number) =>
		broker.call("box.open", {}, { deadline: Date.now() + inMs, timeout } as object);

	it("tells the callee, on another node too, what is left of the time", async () => {
		await start("callee", async ctx => ctx.options.timeout);
		const caller = await start("caller");
		await caller.waitForServices("box");
		const left = (await call(caller, 3_000)) as number;
		expect(left).toBeGreaterThan(1_000);
		expect(left).toBeLessThanOrEqual(3_000);
		// An action's own time is not made longer.
		expect(await call(caller, 3_000, 500)).toBe(500);
	});

	it("tells those that the callee calls in turn", async () => {
		await start("callee", async ctx => {
			await sleep(200);
			return [ctx.options.timeout, await ctx.call("box.shut")];
		});
		const caller = await start("caller");
		await caller.waitForServices("box");
		const [own, inner] = (await call(caller, 3_000)) as [number, number];
		expect(own - inner).toBeGreaterThan(150);
	});

	it("is not put off by repetitions", async () => {
		const told: number[] = [];
		await start("callee", async ctx => {
			told.push(ctx.options.timeout);
			throw new Errors.MoleculerRetryableError("not now", 503);
		});
		const caller = await start("caller");
		await caller.waitForServices("box");
		await expect(call(caller, 200)).rejects.toThrow(/not now|timed out/);
		expect(told.length).toBeGreaterThan(1);
		expect(told.length).toBeLessThan(5);
		expect(told).toEqual([...told].sort((a, b) => b - a));
		expect(told[0]! - told[1]!).toBeGreaterThan(40);
	});

	it("that is over lets no call begin", async () => {
		const next = jest.fn(async () => "answer");
		const calling = deadlineMiddleware.call(next);
		await expect(calling("box.open", {}, { deadline: Date.now() - 1 })).rejects.toMatchObject({
			name: "RequestTimeoutError"
		});
		expect(next).not.toHaveBeenCalled();
		expect(await calling("box.open", {}, {})).toBe("answer");
	});
});

import { ServiceBroker } from "moleculer";
import { BreakableServer } from "../bin/breakable-server.ts";
import { until } from "../tests/support/until.ts";
import { cacherFor, type ForgivingRedisCacher } from "./cacher.ts";
import { readConfig } from "./config.ts";

const newBroker = (REDIS_URL = "") => {
	const broker = new ServiceBroker({
		logger: false,
		cacher: cacherFor(readConfig({ NATS_URL: "nats://unused", REDIS_URL }))
	});
	let runs = 0;
	broker.createService({
		name: "box",
		actions: {
			get: {
				params: { id: "string" },
				cache: { keys: ["id"], ttl: 30 },
				handler: ({ params }: { params: { id: string } }) => ({ ...params, run: ++runs })
			}
		}
	});
	return broker;
};
const get = (broker: ServiceBroker, id: string) =>
	broker.call<{ id: string; run: number }, { id: string }>("box.get", { id });
const failuresOf = ({ cacher }: ServiceBroker) =>
	(cacher as unknown as ForgivingRedisCacher).failures;

describe("the cache in one process", () => {
	it("answers from memory", async () => {
		const broker = newBroker();
		await broker.start();
		expect((await get(broker, "a")).run).toBe(1);
		expect((await get(broker, "a")).run).toBe(1);
		expect((await get(broker, "b")).run).toBe(2);
		await broker.stop();
	});
});

describe("the cache in Redis", () => {
	let redis: BreakableServer;
	let brokers: ServiceBroker[];
	const newNode = async () => {
		const broker = newBroker(redis.url);
		brokers.push(broker);
		await broker.start();
		return broker;
	};
	beforeEach(async () => {
		redis = await BreakableServer.redis();
		brokers = [];
	});
	afterEach(async () => {
		await Promise.all(brokers.map(broker => broker.stop()));
		await redis.stop();
	});
	/** Its answers come from the cache. */
	const caches = (broker: ServiceBroker, id: string) =>
		until(
			async () => (await get(broker, id)).run === (await get(broker, id)).run,
			"the cache answers"
		);

	it("is shared by all nodes", async () => {
		const [first, second] = [await newNode(), await newNode()];
		await caches(first, "a");
		const { run } = await get(first, "a");
		await get(first, "b");
		await until(async () => (await get(second, "a")).run === run, "the other node's answer");
		expect(failuresOf(first)).toBe(0);
	});

	it("is an empty one, at no cost in time, once Redis is killed in the middle of calls", async () => {
		const broker = await newNode();
		const rejections: unknown[] = [];
		const onRejection = (reason: unknown) => rejections.push(reason);
		process.on("unhandledRejection", onRejection);
		try {
			await caches(broker, "a");
			const answers: Promise<{ id: string }>[] = [];
			const killed = redis.kill();
			let gone = false;
			void killed.then(() => {
				gone = true;
			});
			for (let n = 0; !gone || n < 50; n++) {
				answers.push(get(broker, `k${n % 7}`));
				if (n % 10 === 0) await new Promise(setImmediate);
			}
			for (const answer of await Promise.all(answers)) expect(answer.id).toMatch(/^k/);
			await until(async () => {
				await get(broker, "b");
				return failuresOf(broker) > 0;
			}, "the cache is away");
			const began = performance.now();
			for (let n = 0; n < 50; n++) await get(broker, `c${n}`);
			expect(performance.now() - began).toBeLessThan(500);
			const cacher = broker.cacher!;
			await cacher.clean("box.**");
			await cacher.del("box.get:a");
			await new Promise(setImmediate);
			expect(rejections).toEqual([]);
		} finally {
			process.off("unhandledRejection", onRejection);
		}
		await redis.start();
		await caches(broker, "a");
	});

	it("is waited for a moment only when it does not answer", async () => {
		const broker = await newNode();
		await caches(broker, "a");
		redis.pause();
		const began = performance.now();
		expect((await get(broker, "a")).id).toBe("a");
		expect(performance.now() - began).toBeLessThan(1_000);
		redis.resume();
		await caches(broker, "a");
	});

	it("need not be there when a node starts or stops", async () => {
		await redis.kill();
		const broker = await newNode();
		expect((await get(broker, "a")).run).toBe(1);
		expect((await get(broker, "a")).run).toBe(2);
		const stopped = jest.fn();
		(broker as unknown as { metrics: { stop(): void } }).metrics = { stop: stopped };
		await broker.stop();
		// What Moleculer stops after the cache is stopped as well.
		expect(stopped).toHaveBeenCalled();
		brokers = [];
	});
});

describe("the address of Redis", () => {
	it("tells user, password, port and database", async () => {
		const cacher = cacherFor(
			readConfig({ REDIS_URL: "rediss://us%40er:p%3Ass@cache.example:7000/3" })
		) as unknown as { opts: { redis: object } };
		expect(cacher.opts.redis).toMatchObject({
			host: "cache.example",
			port: 7000,
			username: "us@er",
			password: "p:ss",
			db: 3,
			tls: {}
		});
		const plain = cacherFor(readConfig({ REDIS_URL: "redis://cache.example" })) as never;
		expect((plain as { opts: { redis: object } }).opts.redis).toMatchObject({ port: 6379, db: 0 });
		expect((plain as { opts: { redis: object } }).opts.redis).not.toHaveProperty("tls");
	});
});

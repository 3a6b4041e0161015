import { randomUUID } from "node:crypto";
import { databaseUrl, type Config } from "../lib/config.ts";
import { contract } from "../lib/contract.ts";
import { currentContext, runInContext } from "../lib/context.ts";
import type { Database, Tx } from "../lib/database.ts";
import { migrate } from "../lib/migrations.ts";
import { startNode, type ValenceNode } from "../lib/node.ts";
import { implement } from "../lib/service.ts";
import { testConfig } from "../tests/support/node.ts";
import { until } from "../tests/support/until.ts";
import { events } from "./events.mixin.ts";
import { jobs, type JobKind, type JobMethods } from "./jobs.mixin.ts";

const works = contract({ name: "works", actions: {}, events: {}, failures: {} });
type Payload = { id: string };

let config: Config;
let nodes: ValenceNode[];
let db: Database;
/** What the only kind of job does; a test sets parts of it. */
let kind: JobKind<Payload, string> & { giveUp: NonNullable<JobKind["giveUp"]> };
let performed: { id: string; key: string; attempt: number }[];

const note = (tx: Tx, id: string, what: string) =>
	tx.query("INSERT INTO outcome VALUES ($1, $2)", [id, what]);
const outcomes = async (id: string) =>
	(await db.query<{ what: string }>("SELECT what FROM outcome WHERE id = $1", [id])).map(
		({ what }) => what
	);
const job = (key: string) =>
	db.one<{
		attempts: number;
		done: boolean;
		failed: boolean;
		last_error: string | null;
		wait: number;
	}>(
		`SELECT attempts, done_at IS NOT NULL AS done, failed_at IS NOT NULL AS failed, last_error,
		   extract(epoch FROM run_at - clock_timestamp())::float AS wait FROM job WHERE key = $1`,
		[key]
	);

async function startWorks(maxAttempts?: number): Promise<ValenceNode & JobMethods> {
	const node = await startNode(config, {
		units: [],
		extra: [
			implement(works)({
				mixins: [
					events("orders"),
					jobs("orders", () => ({
						work: {
							...(maxAttempts === undefined ? {} : { maxAttempts }),
							perform: (payload, about) => kind.perform(payload, about),
							complete: (tx, payload, result) => kind.complete(tx, payload, result),
							giveUp: (tx, payload, error) => kind.giveUp(tx, payload, error)
						}
					}))
				],
				actions: {}
			})
		]
	});
	nodes.push(node);
	const { enqueue } = node.broker.getLocalService("works") as unknown as JobMethods;
	return { ...node, enqueue };
}
beforeEach(async () => {
	config = testConfig();
	await migrate("orders", databaseUrl(config, "orders"));
	nodes = [];
	performed = [];
	kind = {
		async perform({ id }, about) {
			performed.push({ id, ...about });
			return "fine";
		},
		async complete(tx, { id }, result) {
			await note(tx, id, result);
		},
		async giveUp(tx, { id }, error) {
			await note(tx, id, `given up: ${String(error)}`);
		}
	};
});
afterEach(() => Promise.all(nodes.map(node => node.stop())));

async function start(maxAttempts?: number) {
	const node = await startWorks(maxAttempts);
	db = node.runtime.database("orders");
	await db.query("CREATE TABLE outcome (id text, what text)");
	return {
		...node,
		ask: async (id: string = randomUUID()) => {
			await db.transaction(tx => node.enqueue(tx, "work", `k:${id}`, { id }));
			return id;
		}
	};
}
const settled = (id: string) =>
	until(async () => {
		const row = await job(`k:${id}`);
		return (row!.done || row!.failed) && row!;
	}, `the job ${id} is settled`);

describe("a job", () => {
	it("is done after the commit that asked for it, and its outcome recorded", async () => {
		const { enqueue } = await start();
		const id = randomUUID();
		await db.transaction(async tx => {
			await enqueue(tx, "work", `k:${id}`, { id });
			// Another one, asked for later and committed earlier.
			const other = randomUUID();
			await db.transaction(inner => enqueue(inner, "work", `k:${other}`, { id: other }));
			await settled(other);
			expect(performed.map(({ id: done }) => done)).toEqual([other]);
		});
		await settled(id);
		expect(performed.at(-1)).toEqual({ id, key: `k:${id}`, attempt: 1 });
		expect(await outcomes(id)).toEqual(["fine"]);
	});

	it("is never done when what asked for it is rolled back", async () => {
		const { enqueue, ask } = await start();
		const id = randomUUID();
		await expect(
			db.transaction(async tx => {
				await enqueue(tx, "work", `k:${id}`, { id });
				throw new Error("changed my mind");
			})
		).rejects.toThrow("changed my mind");
		await settled(await ask());
		expect(performed).toHaveLength(1);
		expect(await job(`k:${id}`)).toBeUndefined();
	});

	it("is done once for each key", async () => {
		const { ask } = await start();
		const id = randomUUID();
		await Promise.all([ask(id), ask(id), ask(id)]);
		await settled(id);
		await ask(id);
		await settled(await ask());
		expect(performed.filter(done => done.id === id)).toHaveLength(1);
	});

	it("is refused where nobody does such jobs", async () => {
		const { enqueue } = await start();
		await expect(db.transaction(tx => enqueue(tx, "play", "k", {}))).rejects.toThrow("play");
	});

	it("is tried again when it fails", async () => {
		const { ask } = await start();
		kind.perform = async ({ id: of }, about) => {
			performed.push({ id: of, ...about });
			if (about.attempt < 3) throw new Error("not yet");
			return "at last";
		};
		const id = await ask();
		const { last_error } = await settled(id);
		expect(last_error).toBe("Error: not yet");
		expect(performed.map(({ attempt, key }) => `${key} ${attempt}`)).toEqual(
			[1, 2, 3].map(attempt => `k:${id} ${attempt}`)
		);
		expect(await outcomes(id)).toEqual(["at last"]);
	});

	it("is given up after so many attempts, and that is recorded once", async () => {
		const { ask } = await start(2);
		kind.perform = async () => {
			throw new Error("never");
		};
		const id = await ask();
		expect(await settled(id)).toMatchObject({ attempts: 2, failed: true, done: false });
		expect(await outcomes(id)).toEqual(["given up: Error: never"]);
	});

	it("is tried again when its outcome could not be recorded", async () => {
		const { ask } = await start();
		let failures = 0;
		kind.complete = async (tx, { id: of }, result) => {
			await note(tx, of, result);
			if (failures++ === 0) throw new Error("no room");
		};
		const id = await ask();
		expect(await settled(id)).toMatchObject({ attempts: 2, last_error: "Error: no room" });
		expect(await outcomes(id)).toEqual(["fine"]);
	});

	it("works and records on behalf of what asked for it", async () => {
		const { ask } = await start();
		const seen: object[] = [];
		kind.perform = async () => {
			seen.push(currentContext());
			return "fine";
		};
		kind.complete = async () => {
			seen.push(currentContext());
		};
		const context = { requestId: "r1", correlationId: "c1", causationId: "e1" };
		const id = await runInContext(context, () => ask());
		await settled(id);
		expect(seen).toEqual([context, context]);
	});

	it("is let finish when the node stops", async () => {
		const { ask } = await start();
		let finish: (() => void) | undefined;
		kind.perform = () =>
			new Promise(resolve => {
				finish = () => resolve("in time");
			});
		const id = await ask();
		await until(() => finish !== undefined, "its attempt");
		const stopping = nodes[0]!.stop();
		finish!();
		await stopping;
		nodes = [];
		db = (await startWorks()).runtime.database("orders");
		expect(await job(`k:${id}`)).toMatchObject({ done: true, attempts: 1 });
	});
});

describe("two attempts that overlap", () => {
	/** Ends the lease of the attempt that runs, as if its process had been paused for longer. */
	const endLease = (id: string) =>
		db.query("UPDATE job SET lease_until = now() - interval '1 s' WHERE key = $1", [`k:${id}`]);
	/** Attempts that wait for the test to say how they end. */
	const holdAttempts = () => {
		const attempts = new Map<number, { succeed(): void; fail(): void }>();
		kind.perform = (_payload, { attempt }) =>
			new Promise((resolve, reject) => {
				attempts.set(attempt, {
					succeed: () => resolve(`by attempt ${attempt}`),
					fail: () => reject(new Error(`attempt ${attempt}`))
				});
			});
		/** The newest attempt of this number, once. */
		return async (number: number) => {
			const attempt = await until(() => attempts.get(number), `attempt ${number}`);
			attempts.delete(number);
			return attempt;
		};
	};
	/** Two nodes, and a job with an attempt under way on each. */
	async function overlap(maxAttempts?: number) {
		const attempt = holdAttempts();
		const { ask } = await start(maxAttempts);
		await startWorks(maxAttempts);
		const id = await ask();
		const first = await attempt(1);
		await endLease(id);
		return { id, first, second: await attempt(2), attempt };
	}

	it("complete the job once", async () => {
		const { id, first, second } = await overlap();
		first.succeed();
		second.succeed();
		await settled(id);
		await Promise.all(nodes.map(node => node.stop()));
		nodes = [];
		db = (await startWorks()).runtime.database("orders");
		expect(await outcomes(id)).toHaveLength(1);
	});

	it("let the one that succeeds win, though the other has failed", async () => {
		const { id, first, second, attempt } = await overlap();
		first.fail();
		// It does not start a third one beside the second.
		await anotherJob(attempt);
		expect(await job(`k:${id}`)).toMatchObject({ attempts: 2, last_error: null });
		second.succeed();
		expect(await settled(id)).toMatchObject({ done: true });
		expect(await outcomes(id)).toEqual(["by attempt 2"]);
	});
	/** Time enough for what was to be written about the first attempt of the other one. */
	async function anotherJob(attempt: (n: number) => Promise<{ succeed(): void }>) {
		const id = randomUUID();
		const { enqueue } = nodes[0]!.broker.getLocalService("works") as unknown as JobMethods;
		await db.transaction(tx => enqueue(tx, "work", `k:${id}`, { id }));
		await until(async () => (await job(`k:${id}`))!.attempts === 1, "its attempt");
		(await attempt(1)).succeed();
		await settled(id);
	}

	it("are not given up while one of them may still succeed", async () => {
		const { id, first, second, attempt } = await overlap(1);
		first.fail();
		await anotherJob(attempt);
		second.succeed();
		expect(await settled(id)).toMatchObject({ done: true, failed: false });
		expect(await outcomes(id)).toEqual(["by attempt 2"]);
	});
});

describe("an attempt that takes too long", () => {
	afterEach(() => jest.restoreAllMocks());

	it("counts as failed before its lease ends", async () => {
		const { setTimeout: wait } = globalThis;
		jest
			.spyOn(globalThis, "setTimeout")
			// The one that limits an attempt comes early.
			.mockImplementation((work: () => void, ms?: number) => wait(work, ms === 25_000 ? 20 : ms));
		const { ask } = await start();
		kind.perform = (_payload, { attempt }) =>
			attempt === 1 ? new Promise(() => {}) : Promise.resolve("second");
		const id = await ask();
		expect(await settled(id)).toMatchObject({
			attempts: 2,
			last_error: "Error: no answer within 25000 ms"
		});
		expect(await outcomes(id)).toEqual(["second"]);
	});
});

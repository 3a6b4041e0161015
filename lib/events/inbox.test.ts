import fc from "fast-check";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry, type Counter } from "prom-client";
import { testDatabase } from "../../tests/support/database.ts";
import { envelope } from "../../tests/support/publisher.ts";
import { currentContext } from "../context.ts";
import type { Database, Tx } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import type { Envelope } from "./envelope.ts";
import { Inbox, MAX_ATTEMPTS, type EventHandler } from "./inbox.ts";

let db: Database;
beforeAll(async () => {
	db = await testDatabase("users");
	await db.query(
		"CREATE TABLE effect (seq bigint GENERATED ALWAYS AS IDENTITY, consumer text, event_id uuid)"
	);
});
afterAll(() => db.close());

const silent = { info() {}, warn() {}, error() {} };
const metrics = new EventMetrics(new Registry());
const HANDLED = "session.revoked.v1";
const PASSED = "user.created.v1";

/** The first events of one aggregate; their types repeat. */
const eventsOf = (id: string, count: number, types = [HANDLED]): Envelope[] =>
	Array.from({ length: count }, (_, index) => ({
		...envelope(HANDLED, id, index + 1, {
			sessionId: id,
			userId: id,
			reason: "logout",
			until: new Date().toISOString()
		}),
		type: types[index % types.length]!
	}));
const eventOf = (id: string = randomUUID()): Envelope => eventsOf(id, 1)[0]!;

const effect = (consumer: string, event: Envelope, tx: Tx) =>
	tx.query("INSERT INTO effect (consumer, event_id) VALUES ($1, $2)", [consumer, event.id]);

/** A consumer whose handler writes down each event that it is given. */
class Consumer {
	readonly name: string;
	/** Runs in the handler, before its effect. */
	before: (event: Envelope, tx: Tx) => Promise<void> = async () => {};
	/** Runs in the handler, after its effect. */
	after: (event: Envelope, tx: Tx) => Promise<void> = async () => {};
	readonly inbox: Inbox;

	constructor({
		ordered = true,
		concurrency = 8,
		name = `consumer-${randomUUID()}`,
		batch = false,
		budgetMs = 5_000,
		patienceMs = 60
	} = {}) {
		this.name = name;
		const handler: EventHandler = async (event, tx) => {
			await this.before(event, tx);
			await effect(this.name, event, tx);
			await this.after(event, tx);
		};
		this.inbox = new Inbox({
			database: db,
			consumer: this.name,
			handlers: new Map([[HANDLED, handler]]),
			ordered,
			metrics,
			logger: silent,
			concurrency,
			batch,
			budgetMs,
			patienceMs
		});
	}

	deliver = (event: Envelope, deliveries = 1) => this.inbox.consume(event, deliveries);

	/** Delivers until the inbox is done with it, without waiting; returns how often that was. */
	async deliverUntilDone(event: Envelope, max = 50): Promise<number> {
		for (let deliveries = 1; deliveries <= max; deliveries++)
			if ((await this.deliver(event, deliveries)).done) return deliveries;
		throw new Error(`Not done after ${max} deliveries.`);
	}

	effects = async (): Promise<string[]> =>
		(
			await db.query<{ event_id: string }>(
				"SELECT event_id FROM effect WHERE consumer = $1 ORDER BY seq",
				[this.name]
			)
		).map(row => row.event_id);
	deadLetters = () =>
		db.query<{ event_id: string; state: string; reason: string; deliveries: number }>(
			"SELECT event_id, state, reason, error->>'message' AS message, deliveries FROM dead_letter WHERE consumer = $1 ORDER BY id",
			[this.name]
		);
	/** Replays what is open of these aggregates, all in order, until nothing more is to be had. */
	async replayAll(ids: readonly string[]): Promise<void> {
		for (let resolved = 1; resolved > 0;) {
			resolved = 0;
			const letters = await db.query<{ id: string }>(
				`SELECT id FROM dead_letter WHERE consumer = $1 AND aggregate_id = ANY ($2::uuid[])
				   AND state IN ('dead', 'parked') ORDER BY aggregate_id, aggregate_version`,
				[this.name, ids]
			);
			for (const { id } of letters)
				if ((await this.inbox.replay(id, "test")).outcome === "resolved") resolved++;
		}
	}
	cursor = (id: string) =>
		db.one<{ version: number; blocked: boolean }>(
			"SELECT version, blocked FROM inbox_cursor WHERE consumer = $1 AND aggregate_id = $2",
			[this.name, id]
		);
	attempts = () =>
		db.query<{ attempts: number }>("SELECT attempts FROM inbox_attempt WHERE consumer = $1", [
			this.name
		]);
}

const fail = async (): Promise<never> => {
	throw new Error("out of order");
};
const databaseIsAway = async (): Promise<never> => {
	throw Object.assign(new Error("the database is away"), { code: "57P01" });
};

describe.each([
	["an ordered consumer", true],
	["an unordered consumer", false]
])("%s", (_, ordered) => {
	it("lets an event take effect once, however often it is delivered", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		expect(await consumer.deliver(event)).toEqual({ done: true });
		const again = await Promise.all([1, 2, 3].map(n => consumer.deliver(event, n)));
		expect(again).toEqual([1, 2, 3].map(() => ({ done: true })));
		expect(await consumer.effects()).toEqual([event.id]);
		expect(await consumer.attempts()).toEqual([]);
	});

	it("lets it take effect once on two replicas at the same time", async () => {
		const one = new Consumer({ ordered });
		// The same durable consumer in another process.
		const replica = new Consumer({ ordered, name: one.name });
		for (let n = 0; n < 10; n++) {
			const event = eventOf();
			await Promise.all([one.deliver(event), replica.deliver(event)]);
			expect((await one.effects()).filter(id => id === event.id)).toHaveLength(1);
		}
	});

	it("undoes what a failed handler did, and tries again", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		consumer.after = fail;
		const verdict = await consumer.deliver(event);
		expect(verdict).toEqual({ done: false, delayMs: expect.any(Number) });
		expect(await consumer.effects()).toEqual([]);
		consumer.after = async () => {};
		expect((await consumer.deliver(event, 2)).done).toBe(true);
		expect(await consumer.effects()).toEqual([event.id]);
		expect(await consumer.attempts()).toEqual([]);
	});

	it("waits longer after each trouble of the database, however often the event was delivered before", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		const expectDelay = async (deliveries: number, delay: number) => {
			const verdict = await consumer.deliver(event, deliveries);
			expect(verdict).toEqual({ done: false, delayMs: expect.any(Number) });
			const { delayMs } = verdict as { delayMs: number };
			expect(delayMs / delay).toBeGreaterThanOrEqual(0.75);
			expect(delayMs / delay).toBeLessThanOrEqual(1.25);
		};
		consumer.before = databaseIsAway;
		for (let tries = 1; tries <= 12; tries++)
			await expectDelay(20, Math.min(30_000, 100 * 2 ** Math.min(10, tries)));
		await expectDelay(2, 400);
		consumer.before = async () => {};
		expect((await consumer.deliver(eventOf())).done).toBe(true);
		consumer.before = databaseIsAway;
		await expectDelay(20, 200);
	});

	it("makes a dead letter of an event that always fails", async () => {
		const consumer = new Consumer({ ordered });
		let tries = 0;
		consumer.before = () => {
			tries++;
			return fail();
		};
		const event = eventOf();
		expect(await consumer.deliverUntilDone(event)).toBe(MAX_ATTEMPTS);
		expect(tries).toBe(MAX_ATTEMPTS);
		expect(await consumer.deadLetters()).toEqual([
			{
				event_id: event.id,
				state: "dead",
				reason: "the handler failed",
				message: "out of order",
				deliveries: MAX_ATTEMPTS
			}
		]);
		expect(await consumer.effects()).toEqual([]);
		expect(await consumer.attempts()).toEqual([]);
	});

	it("makes a dead letter of an event whose deliveries all ended in a crash", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		// As a process leaves it that died in the handler at each delivery.
		await db.query("INSERT INTO inbox_attempt VALUES ($1, $2, $3)", [
			consumer.name,
			event.id,
			MAX_ATTEMPTS
		]);
		expect((await consumer.deliver(event, MAX_ATTEMPTS + 1)).done).toBe(true);
		expect(await consumer.effects()).toEqual([]);
		expect(await consumer.deadLetters()).toMatchObject([
			{ event_id: event.id, state: "dead", reason: "attempts exhausted" }
		]);
	});

	it("counts a delivery before its handler runs", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		let counted: { attempts: number }[] = [];
		consumer.before = async () => {
			counted = await consumer.attempts();
		};
		await consumer.deliver(event, 2);
		expect(counted).toEqual([{ attempts: 2 }]);
	});

	it("never gives an event up for the database's trouble", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		consumer.before = databaseIsAway;
		let deliveries = 1;
		for (; deliveries <= 3 * MAX_ATTEMPTS; deliveries++)
			expect((await consumer.deliver(event, deliveries)).done).toBe(false);
		consumer.before = fail;
		expect((await consumer.deliver(event, deliveries++)).done).toBe(false);
		consumer.before = async () => {};
		expect((await consumer.deliver(event, deliveries)).done).toBe(true);
		expect(await consumer.effects()).toEqual([event.id]);
		expect(await consumer.deadLetters()).toEqual([]);
	});

	it("makes no dead letter of what another replica has handled meanwhile", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		await consumer.deliver(event);
		await db.query("INSERT INTO inbox_attempt VALUES ($1, $2, $3)", [
			consumer.name,
			event.id,
			MAX_ATTEMPTS
		]);
		expect((await consumer.deliver(event, MAX_ATTEMPTS + 1)).done).toBe(true);
		expect(await consumer.deadLetters()).toEqual([]);
	});

	it("works on behalf of the event", async () => {
		const consumer = new Consumer({ ordered });
		const event = eventOf();
		let context: object = {};
		consumer.before = async () => {
			context = currentContext();
		};
		await consumer.deliver({ ...event, requestid: "r1", traceparent: "00-1" });
		expect(context).toEqual({
			requestId: "r1",
			correlationId: event.correlationid,
			causationId: event.id,
			traceparent: "00-1"
		});
	});

	it("works on so many aggregates at once and no more", async () => {
		const consumer = new Consumer({ ordered, concurrency: 2 });
		let running = 0;
		let most = 0;
		consumer.before = async (_event, tx) => {
			most = Math.max(most, ++running);
			await tx.query("SELECT pg_sleep(0.01)");
			running--;
		};
		await Promise.all(Array.from({ length: 8 }, () => consumer.deliver(eventOf())));
		expect(most).toBe(2);
	});
});

describe("the order of an aggregate's events", () => {
	it("is kept: a later one waits until its predecessor came", async () => {
		const consumer = new Consumer();
		const [first, second, third] = eventsOf(randomUUID(), 3);
		expect((await consumer.deliver(third!)).done).toBe(false);
		expect((await consumer.deliver(second!)).done).toBe(false);
		expect((await consumer.deliver(first!)).done).toBe(true);
		expect((await consumer.deliver(third!, 2)).done).toBe(false);
		expect((await consumer.deliver(second!, 2)).done).toBe(true);
		expect((await consumer.deliver(third!, 3)).done).toBe(true);
		expect(await consumer.effects()).toEqual([first!.id, second!.id, third!.id]);
	});

	it("is no failure to wait for", async () => {
		const consumer = new Consumer();
		const [first, second] = eventsOf(randomUUID(), 2);
		for (let deliveries = 1; deliveries <= 3 * MAX_ATTEMPTS; deliveries++) {
			const verdict = await consumer.deliver(second!, deliveries);
			expect(verdict).toEqual({ done: false, delayMs: expect.any(Number), unbegun: true });
			expect((verdict as { delayMs: number }).delayMs).toBeLessThanOrEqual(1_500);
		}
		await consumer.deliver(first!);
		expect((await consumer.deliver(second!, 3 * MAX_ATTEMPTS + 1)).done).toBe(true);
		expect(await consumer.deadLetters()).toEqual([]);
	});

	it("counts the types that nobody handles", async () => {
		const consumer = new Consumer();
		const id = randomUUID();
		const events = eventsOf(id, 5, [PASSED, HANDLED, PASSED]);
		expect((await consumer.deliver(events[2]!)).done).toBe(false);
		for (const event of events.slice(0, 4)) await consumer.deliverUntilDone(event);
		expect(await consumer.effects()).toEqual([events[1]!.id]);
		expect(await consumer.cursor(id)).toEqual({ version: 4, blocked: false });
		// Duplicates do not turn it back.
		for (const event of events.slice(0, 3)) await consumer.deliver(event, 2);
		expect(await consumer.cursor(id)).toEqual({ version: 4, blocked: false });
	});

	it("is nothing to an unordered consumer, which passes over what it does not handle", async () => {
		const consumer = new Consumer({ ordered: false });
		const events = eventsOf(randomUUID(), 4, [PASSED, HANDLED]);
		for (const event of events.toReversed())
			expect((await consumer.deliver(event)).done).toBe(true);
		expect(await consumer.effects()).toEqual([events[3]!.id, events[1]!.id]);
	});

	it("holds for any order of deliveries, with duplicates and failures", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(
					fc.record({
						aggregate: fc.nat(2),
						version: fc.integer({ min: 1, max: 5 }),
						fails: fc.boolean()
					}),
					{ minLength: 10, maxLength: 40 }
				),
				async schedule => {
					const consumer = new Consumer();
					const aggregates = Array.from({ length: 3 }, () =>
						eventsOf(randomUUID(), 5, [HANDLED, PASSED, HANDLED])
					);
					let failing = new Set<string>();
					consumer.after = async ({ id }) => {
						if (failing.delete(id)) throw new Error("just once");
					};
					const deliveries = schedule.map(({ aggregate, version, fails }) => {
						const event = aggregates[aggregate]![version - 1]!;
						if (fails) failing.add(event.id);
						return consumer.deliver(event);
					});
					await Promise.all(deliveries);
					failing = new Set();
					// What was not done is delivered again, in any case once more.
					for (const events of aggregates)
						for (const event of events) await consumer.deliverUntilDone(event);
					const effects = await consumer.effects();
					for (const events of aggregates) {
						const handled = events.filter(({ type }) => type === HANDLED).map(({ id }) => id);
						expect(effects.filter(id => handled.includes(id))).toEqual(handled);
					}
				}
			),
			{ numRuns: 15 }
		);
	});

	it("holds, each effect once, whatever fails, is buried, replayed and delivered again, on two nodes", async () => {
		const step = fc.record({
			what: fc.constantFrom("deliver", "deliver", "insist", "replay"),
			aggregate: fc.nat(2),
			version: fc.integer({ min: 1, max: 5 }),
			node: fc.nat(1),
			fails: fc.constantFrom("never", "never", "once", "always", "retryable")
		});
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { minLength: 10, maxLength: 40 }),
				fc.boolean(),
				async (schedule, batch) => {
					// Few at once, so that some wait and are handled together.
					const one = new Consumer({ batch, concurrency: 2 });
					const nodes = [one, new Consumer({ batch, concurrency: 2, name: one.name })];
					const aggregates = Array.from({ length: 3 }, () =>
						eventsOf(randomUUID(), 5, [HANDLED, PASSED, HANDLED])
					);
					const ids = aggregates.map(([first]) => first!.aggregateid);
					const [once, always, retryable] = [new Set<string>(), new Set(), new Set<string>()];
					for (const node of nodes)
						node.after = async ({ id }) => {
							if (retryable.delete(id)) await databaseIsAway();
							if (always.has(id) || once.delete(id)) throw new Error("it fails");
						};
					const steps = schedule.map(async ({ what, aggregate, version, node, fails }) => {
						const event = aggregates[aggregate]![version - 1]!;
						const consumer = nodes[node]!;
						if (what === "replay") return consumer.replayAll([ids[aggregate]!]);
						if (fails === "once") once.add(event.id);
						if (fails === "always") always.add(event.id);
						if (fails === "retryable") retryable.add(event.id);
						const times = what === "insist" ? MAX_ATTEMPTS + 2 : 1;
						for (let count = 1; count <= times; count++)
							if ((await consumer.deliver(event, count)).done) return;
					});
					await Promise.all(steps);
					for (const failing of [once, always, retryable]) failing.clear();
					await one.replayAll(ids);
					// What was not done is delivered again, in any case once more.
					for (const events of aggregates)
						for (const event of events) {
							await one.deliverUntilDone(event);
							await one.replayAll(ids);
						}
					const effects = await one.effects();
					for (const [index, events] of aggregates.entries()) {
						const handled = events.filter(({ type }) => type === HANDLED).map(({ id }) => id);
						expect(effects.filter(id => handled.includes(id))).toEqual(handled);
						expect(await one.cursor(ids[index]!)).toEqual({ version: 5, blocked: false });
					}
					const open = (await one.deadLetters()).filter(({ state }) => state !== "resolved");
					expect(open).toEqual([]);
				}
			),
			{ numRuns: 15 }
		);
	}, 60_000);
});

describe("an aggregate with a dead letter", () => {
	it("is blocked: what comes after it is parked in order, while others flow", async () => {
		const consumer = new Consumer();
		const id = randomUUID();
		const events = eventsOf(id, 4, [HANDLED, HANDLED, PASSED, HANDLED]);
		consumer.before = async event => {
			if (event.id === events[1]!.id) throw new Error("poison");
		};
		for (const event of events) await consumer.deliverUntilDone(event);
		expect(await consumer.deadLetters()).toMatchObject([
			{ event_id: events[1]!.id, state: "dead" },
			{ event_id: events[2]!.id, state: "parked" },
			{ event_id: events[3]!.id, state: "parked" }
		]);
		expect(await consumer.cursor(id)).toEqual({ version: 1, blocked: true });
		expect(await consumer.effects()).toEqual([events[0]!.id]);
		// None of them is in the inbox, so that a replay can handle them.
		expect(
			await db.query("SELECT event_id FROM inbox WHERE consumer = $1", [consumer.name])
		).toEqual([{ event_id: events[0]!.id }]);

		const other = eventOf();
		expect((await consumer.deliver(other)).done).toBe(true);
		expect(await consumer.effects()).toEqual([events[0]!.id, other.id]);
		// Delivered again: already there.
		for (const event of events) expect((await consumer.deliver(event, 2)).done).toBe(true);
		expect(await consumer.deadLetters()).toHaveLength(3);
	});

	it("parks many at once without running out of connections", async () => {
		const consumer = new Consumer();
		const ids = Array.from({ length: 16 }, () => randomUUID());
		await db.query(
			`INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version, blocked)
			 SELECT $1, 'session', unnest($2::uuid[]), 0, true`,
			[consumer.name, ids]
		);
		const verdicts = await Promise.all(ids.map(id => consumer.deliver(eventOf(id))));
		expect(verdicts).toEqual(ids.map(() => ({ done: true })));
		expect(await consumer.deadLetters()).toHaveLength(ids.length);
	});
});

describe("a handler that takes too long", () => {
	it("is undone and counted, and what it still does has no effect", async () => {
		const consumer = new Consumer({ budgetMs: 50 });
		const event = eventOf();
		const late = Promise.withResolvers<unknown>();
		consumer.after = async (_, tx) => {
			await sleep(150);
			late.resolve(tx.query("SELECT 1").catch((error: unknown) => error));
		};
		expect((await consumer.deliver(event)).done).toBe(false);
		expect(await late.promise).toBeInstanceOf(Error);
		expect(await consumer.effects()).toEqual([]);
		expect(await consumer.attempts()).toEqual([{ attempts: 1 }]);
		consumer.after = async () => {};
		expect(await consumer.deliver(event, 2)).toEqual({ done: true });
		expect(await consumer.effects()).toEqual([event.id]);
	});
});

describe("events that wait together", () => {
	/** A consumer with one place, taken by an event that is let go once all others wait behind it. */
	async function behindOne(consumer: Consumer, events: readonly Envelope[]) {
		const first = eventOf();
		const gate = Promise.withResolvers<void>();
		const before = consumer.before;
		consumer.before = async (event, tx) =>
			event.id === first.id ? gate.promise : before(event, tx);
		const verdicts = [first, ...events].map(event => consumer.deliver(event));
		await sleep(20);
		gate.resolve();
		return (await Promise.all(verdicts)).slice(1);
	}
	/** How many transactions have made the effects of these events. */
	const transactions = async (events: readonly Envelope[]) =>
		(
			await db.query("SELECT DISTINCT xmin::text FROM effect WHERE event_id = ANY ($1::uuid[])", [
				events.map(({ id }) => id)
			])
		).length;
	const ten = () => Array.from({ length: 10 }, () => eventOf());

	it("share a transaction where the service allows it, each with a context of its own", async () => {
		const consumer = new Consumer({ concurrency: 1, batch: true });
		const events = ten();
		const causes: string[] = [];
		consumer.before = async () => void causes.push(currentContext().causationId ?? "none");
		expect(await behindOne(consumer, events)).toEqual(events.map(() => ({ done: true })));
		expect(causes.toSorted()).toEqual(events.map(({ id }) => id).toSorted());
		expect(await transactions(events)).toBe(1);
	});

	it("have one each where it does not", async () => {
		const consumer = new Consumer({ concurrency: 1 });
		const events = ten();
		await behindOne(consumer, events);
		expect(await transactions(events)).toBe(10);
	});

	it("have one each as soon as one of them fails, which alone is tried again", async () => {
		const consumer = new Consumer({ concurrency: 1, batch: true });
		const events = ten();
		const [, , , bad] = events;
		consumer.before = async ({ id }) => {
			if (id === bad!.id) throw new Error("this one not");
		};
		const verdicts = await behindOne(consumer, events);
		expect(verdicts.map(({ done }) => done)).toEqual(events.map(event => event !== bad));
		const well = events.filter(event => event !== bad);
		const effects = (await consumer.effects()).filter(id => well.some(event => event.id === id));
		expect(effects.toSorted()).toEqual(well.map(({ id }) => id).toSorted());
		expect(await consumer.attempts()).toEqual([{ attempts: 1 }]);
	});

	it("take along what was delivered before, and count it first: where it ends the process it is alone the next time", async () => {
		const consumer = new Consumer({ concurrency: 1, batch: true });
		const first = eventOf();
		const gate = Promise.withResolvers<void>();
		const seen: object[] = [];
		const [again, fresh, suspect] = [eventOf(), eventOf(), eventOf()];
		consumer.before = async ({ id }) => {
			if (id === first.id) await gate.promise;
			// As another connection sees it, and a process that comes after this one.
			if (id === fresh.id) seen.push(...(await consumer.attempts()));
		};
		await db.query("INSERT INTO inbox_attempt VALUES ($1, $2, 2)", [consumer.name, suspect.id]);
		const all = [
			consumer.deliver(first),
			consumer.deliver(again, 2),
			consumer.deliver(fresh),
			consumer.deliver(suspect, 3)
		];
		await sleep(20);
		gate.resolve();
		for (const verdict of await Promise.all(all)) expect(verdict).toEqual({ done: true });
		expect(await transactions([again, fresh])).toBe(1);
		expect(await transactions([again, fresh, suspect])).toBe(2);
		expect(seen).toEqual([{ attempts: 2 }, { attempts: 2 }]);
		expect(await consumer.attempts()).toEqual([]);
	});

	it("count nothing twice where they fail together and are tried alone", async () => {
		const consumer = new Consumer({ concurrency: 1, batch: true });
		const [bad, ...others] = ten();
		consumer.before = async ({ id }) => {
			if (id === bad!.id) throw new Error("this one not");
		};
		const first = eventOf();
		const all = [first, bad!, ...others].map(event =>
			consumer.deliver(event, event === first ? 1 : 2)
		);
		await Promise.all(all);
		expect(await consumer.attempts()).toEqual([{ attempts: 2 }]);
	});

	it("leave out what comes before its predecessor, and does nothing to its order", async () => {
		const consumer = new Consumer({ concurrency: 1, batch: true });
		const [one, two] = eventsOf(randomUUID(), 2);
		const others = ten();
		const verdicts = behindOne(consumer, [two!, ...others]);
		const [early, ...rest] = await verdicts;
		expect(early!.done).toBe(false);
		expect(rest.every(({ done }) => done)).toBe(true);
		expect((await consumer.deliver(one!)).done).toBe(true);
		expect((await consumer.deliver(two!, 2)).done).toBe(true);
		expect(await consumer.attempts()).toEqual([]);
	});
});

describe("an event that comes before its predecessor", () => {
	it("waits for a moment, and is handled here as soon as another replica has handled that", async () => {
		const here = new Consumer();
		const there = new Consumer({ name: here.name });
		const [one, two] = eventsOf(randomUUID(), 2);
		const waiting = here.deliver(two!);
		await sleep(10);
		expect((await there.deliver(one!)).done).toBe(true);
		expect(await waiting).toEqual({ done: true });
		expect(await here.effects()).toEqual([one!.id, two!.id]);
	});

	it("makes room for it where it comes here after all, and goes behind it", async () => {
		const consumer = new Consumer({ concurrency: 1 });
		const [one, two, three] = eventsOf(randomUUID(), 3);
		const verdicts = [three!, two!, three!, one!].map(event => consumer.deliver(event));
		expect(await Promise.all(verdicts)).toEqual(verdicts.map(() => ({ done: true })));
		expect(await consumer.effects()).toEqual([one!.id, two!.id, three!.id]);
		expect(await consumer.attempts()).toEqual([]);
	});

	it("waits for as long as its aggregate moves on, and is not sent back meanwhile", async () => {
		const here = new Consumer({ patienceMs: 600 });
		const there = new Consumer({ name: here.name });
		const events = eventsOf(randomUUID(), 7);
		const waiting = here.deliver(events[6]!);
		// In all longer than it waits for one that stands still.
		for (const event of events.slice(0, 6)) {
			await sleep(150);
			expect((await there.deliver(event)).done).toBe(true);
		}
		expect(await waiting).toEqual({ done: true });
	});

	it("is sent back after a while, with those behind it, and nothing is tried meanwhile", async () => {
		const consumer = new Consumer();
		const [, two, three] = eventsOf(randomUUID(), 3);
		const verdicts = [two!, three!, two!].map(event => consumer.deliver(event));
		for (const verdict of await Promise.all(verdicts)) expect(verdict.done).toBe(false);
		expect(await consumer.effects()).toEqual([]);
		expect(await consumer.attempts()).toEqual([]);
	});
});

describe("a message that is no event", () => {
	const message = {
		subject: "events.session.revoked.v1",
		sequence: 17,
		epoch: "2026-01-01",
		text: "not\0json"
	};

	it("becomes one dead letter of each consumer, which holds up nobody and can be discarded", async () => {
		const [consumer, other] = [new Consumer(), new Consumer({ ordered: false })];
		for (const { inbox } of [consumer, consumer, other])
			expect(await inbox.refuse(message)).toEqual({ done: true });
		await consumer.inbox.refuse({ ...message, sequence: 18 });
		expect(await other.deadLetters()).toHaveLength(1);
		expect(await consumer.deadLetters()).toMatchObject([
			{ state: "dead", reason: "it is no event" },
			{ state: "dead", reason: "it is no event" }
		]);
		const letter = (await db.one<{ id: string; type: string; text: string }>(
			"SELECT id, type, envelope->'data'->>'text' AS text FROM dead_letter WHERE consumer = $1 ORDER BY id",
			[consumer.name]
		))!;
		expect(letter).toMatchObject({ type: "session.revoked.v1", text: "not\uFFFDjson" });
		expect(await consumer.inbox.replay(letter.id, "ada")).toEqual({
			outcome: "failed",
			error: "it is no event"
		});
		await consumer.inbox.discard(letter.id, "ada", "A stranger's.");
		expect((await consumer.deadLetters()).map(({ state }) => state)).toEqual(["discarded", "dead"]);
		// The same message again stays what it is.
		await consumer.inbox.refuse(message);
		expect((await consumer.deadLetters()).map(({ state }) => state)).toEqual(["discarded", "dead"]);
		expect((await consumer.deliver(eventOf())).done).toBe(true);
	});

	it("is tried again where it cannot be kept", async () => {
		const consumer = new Consumer();
		jest.spyOn(db, "query").mockRejectedValueOnce(new Error("the database is away"));
		expect(await consumer.inbox.refuse(message)).toMatchObject({ done: false });
		expect(await consumer.inbox.refuse(message)).toEqual({ done: true });
	});
});

describe("a consumer that is new to a topic", () => {
	it("begins each aggregate with the first event that there still is, and is new only once", async () => {
		const consumer = new Consumer();
		const { inbox } = consumer;
		const [cut, whole] = [randomUUID(), randomUUID()];
		expect(await inbox.newTopics()).toEqual(["session"]);
		await inbox.join("session", [{ aggregateId: cut, version: 5 }]);
		expect(await inbox.newTopics()).toEqual([]);
		const events = eventsOf(cut, 6);
		expect((await consumer.deliver(events[5]!)).done).toBe(false);
		expect((await consumer.deliver(events[4]!)).done).toBe(true);
		expect((await consumer.deliver(events[5]!, 2)).done).toBe(true);
		const [first, second] = eventsOf(whole, 2);
		await consumer.deliver(first!);
		await consumer.deliver(second!);
		expect(await consumer.effects()).toEqual([events[4]!.id, events[5]!.id, first!.id, second!.id]);
	});

	it("and one that is not does not pass over what may still come", async () => {
		const consumer = new Consumer();
		await consumer.inbox.join("session", []);
		const id = randomUUID();
		const events = eventsOf(id, 8);
		for (const event of events.slice(0, 3)) await consumer.deliver(event);
		// Its durable was lost with the stream, which is being filled again.
		await consumer.inbox.join("session", [{ aggregateId: id, version: 8 }]);
		expect((await consumer.deliver(events[7]!)).done).toBe(false);
		for (const event of events.slice(3)) expect((await consumer.deliver(event)).done).toBe(true);
		expect(await consumer.effects()).toEqual(events.map(event => event.id));
	});

	it("begins an aggregate where it is told that nothing comes before, but not one it knows", async () => {
		const consumer = new Consumer();
		const [rested, known, dead] = [randomUUID(), randomUUID(), randomUUID()];
		const late = eventsOf(rested, 9)[8]!;
		expect(await consumer.deliver(late)).toMatchObject({ done: false, unbegun: true });
		await consumer.inbox.begin(late);
		expect((await consumer.deliver(late, 2)).done).toBe(true);

		const events = eventsOf(known, 4);
		await consumer.deliver(events[0]!);
		const verdict = await consumer.deliver(events[3]!);
		expect(verdict).toEqual({ done: false, delayMs: expect.any(Number) });
		await consumer.inbox.begin(events[3]!);
		expect((await consumer.deliver(events[3]!, 2)).done).toBe(false);

		const [poison, ...next] = eventsOf(dead, 3);
		consumer.before = async ({ id }) => {
			if (id === poison!.id) throw new Error("poison");
		};
		await consumer.deliverUntilDone(poison!);
		await consumer.inbox.begin(next[1]!);
		expect(await consumer.cursor(dead)).toEqual({ version: 0, blocked: true });
		expect(await consumer.effects()).toEqual([late.id, events[0]!.id]);
	});
});

describe("what the inbox counts", () => {
	const count = async (metric: keyof EventMetrics, consumer: string, labels: object = {}) => {
		const { values } = await (metrics[metric] as Counter).get();
		return values
			.filter(({ labels: of }) => of["consumer"] === consumer)
			.filter(({ labels: of }) => Object.entries(labels).every(([key, value]) => of[key] === value))
			.reduce((sum, { value }) => sum + value, 0);
	};

	it("are effects, duplicates, failures, events that come too early, and dead letters", async () => {
		const consumer = new Consumer();
		const [first, second, third] = eventsOf(randomUUID(), 3);
		await consumer.deliver(second!);
		await consumer.deliver(first!);
		await consumer.deliver(first!, 2);
		expect(await count("outOfOrder", consumer.name)).toBe(1);
		expect(await count("handled", consumer.name)).toBe(1);
		expect(await count("duplicates", consumer.name)).toBe(1);
		consumer.after = databaseIsAway;
		await consumer.deliver(second!, 2);
		consumer.after = fail;
		await consumer.deliverUntilDone(second!);
		await consumer.deliver(third!);
		expect(await count("retries", consumer.name, { reason: "retryable" })).toBe(1);
		expect(await count("retries", consumer.name, { reason: "failed" })).toBe(MAX_ATTEMPTS);
		expect(await count("deadLettered", consumer.name, { state: "dead" })).toBe(1);
		expect(await count("deadLettered", consumer.name, { state: "parked" })).toBe(1);
		await consumer.inbox.refuse({ subject: "events.session.x", sequence: 1, epoch: "e", text: "" });
		expect(await count("malformed", consumer.name)).toBe(1);
		expect(await count("handled", consumer.name)).toBe(1);
		const { values } = await metrics.recordedToHandled.get();
		expect(
			values.find(
				({ labels, metricName }) =>
					labels.consumer === consumer.name && metricName?.endsWith("_count")
			)?.value
		).toBe(1);
	});
});

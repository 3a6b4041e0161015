/** What the whole way of an event promises, outbox → relay → stream → inbox, on each of the streams. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "nats";
import { Registry } from "prom-client";
import { testDatabase } from "../../tests/support/database.ts";
import { streamsUnderTest } from "../../tests/support/streams.ts";
import { until } from "../../tests/support/until.ts";
import type { Database } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import type { Envelope } from "./envelope.ts";
import { openLettersOfAggregates } from "./dead-letters.ts";
import { Inbox, MAX_ATTEMPTS, type EventHandler } from "./inbox.ts";
import { durableName, STREAM } from "./jetstream.ts";
import { Relay } from "./relay.ts";
import type { EventStream, Verdict } from "./stream.ts";

const silent = { info() {}, warn() {}, error() {} };
/** What a process had been sent when it left comes back soon. */
const HASTY = { EVENT_ACK_WAIT_MS: "2000" };
const metrics = new EventMetrics(new Registry());

/** Where facts are recorded, and where they take effect. */
let recording: Database;
let consuming: Database;
let relays: Relay[];

beforeAll(async () => {
	[recording, consuming] = [await testDatabase("users"), await testDatabase("orders")];
	await consuming.query(
		"CREATE TABLE effect (seq bigint GENERATED ALWAYS AS IDENTITY, consumer text, event_id uuid, aggregate_id uuid, version int)"
	);
});
beforeEach(() => {
	relays = [];
});
afterAll(() => Promise.all([recording.close(), consuming.close()]));

/** Records these versions of an aggregate, each in a transaction of its own. */
async function record(id: string, from: number, to = from): Promise<void> {
	for (let version = from; version <= to; version++)
		await recording.transaction(async tx =>
			tx.record(
				"session.revoked.v1",
				{ id, version },
				{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
			)
		);
}

/** Resolves when it leads: what is in the outbox before may have been delivered before, and counts as a try. */
async function startRelay(stream: EventStream): Promise<Relay> {
	const relay = new Relay({
		database: recording,
		stream,
		metrics,
		logger: silent,
		onPublished: () => {}
	});
	relays.push(relay);
	relay.start();
	await until(() => relay.isLeader, "the lead");
	return relay;
}

/** A consumer that writes an effect for each event; what goes wrong is in its hands. */
class Consumer {
	readonly name: string;
	readonly inbox: Inbox;
	/** Runs in the handler, after the effect. */
	after: (event: Envelope) => Promise<void> = async () => {};
	/** Looks at what was made of a delivery, before the stream does. */
	judged: (event: Envelope, verdict: Verdict) => Promise<void> = async () => {};

	constructor({ ordered = true, name = `c-${randomUUID()}` } = {}) {
		this.name = name;
		const handler: EventHandler = async (event, tx) => {
			await tx.query(
				"INSERT INTO effect (consumer, event_id, aggregate_id, version) VALUES ($1, $2, $3, $4)",
				[name, event.id, event.aggregateid, event.aggregateversion]
			);
			await this.after(event);
		};
		this.inbox = new Inbox({
			database: consuming,
			consumer: name,
			handlers: new Map([["session.revoked.v1", handler]]),
			ordered,
			metrics,
			logger: silent,
			concurrency: 4
		});
	}

	async subscribeTo(stream: EventStream): Promise<this> {
		const { name, inbox } = this;
		await stream.subscribe({
			name,
			aggregateTypes: inbox.aggregateTypes,
			consume: async (event, deliveries) => {
				const verdict = await inbox.consume(event, deliveries);
				await this.judged(event, verdict);
				// The tests are in a hurry.
				return verdict.done
					? verdict
					: { ...verdict, delayMs: Math.min(verdict.delayMs, 10 * deliveries) };
			},
			refuse: inbox.refuse,
			join: inbox.join,
			begin: inbox.begin
		});
		return this;
	}

	/** The versions that took effect, in that order. */
	async versions(aggregateId: string): Promise<number[]> {
		const rows = await consuming.query<{ version: number }>(
			"SELECT version FROM effect WHERE consumer = $1 AND aggregate_id = $2 ORDER BY seq",
			[this.name, aggregateId]
		);
		return rows.map(({ version }) => version);
	}

	has(aggregateId: string, count: number): Promise<unknown> {
		return until(
			async () => (await this.versions(aggregateId)).length >= count,
			`${count} effects of ${aggregateId}`,
			30_000
		);
	}

	letters(aggregateId: string) {
		return consuming.query<{ id: string; version: number; state: string; reason: string }>(
			`SELECT id, aggregate_version AS version, state, reason FROM dead_letter
			 WHERE consumer = $1 AND aggregate_id = $2 ORDER BY aggregate_version`,
			[this.name, aggregateId]
		);
	}

	hasLetters(aggregateId: string, count: number): Promise<unknown> {
		return until(
			async () => (await this.letters(aggregateId)).length >= count,
			`${count} dead letters of ${aggregateId}`,
			30_000
		);
	}

	/** Replays what is open of the aggregate; answers the outcomes. */
	async replay(aggregateId: string): Promise<string[]> {
		const ids = (await this.letters(aggregateId)).map(({ id }) => id);
		const outcomes: string[] = [];
		for (const { id } of await openLettersOfAggregates(consuming, ids))
			outcomes.push((await this.inbox.replay(id, "test")).outcome);
		return outcomes;
	}
}

const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const published = () =>
	until(
		async () => !(await recording.one("SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1")),
		"an empty outbox",
		30_000
	);

describe.each(streamsUnderTest())("on the %s, an event", (_name, under) => {
	let stream: EventStream;
	beforeAll(() => under.start());
	beforeEach(async () => {
		stream = await under.open(HASTY);
	});
	afterEach(async () => {
		const stopped = Promise.all(relays.map(relay => relay.stop()));
		await under.close();
		await stopped;
		// The next test is not to be given what this one has left.
		await recording.query("UPDATE outbox SET published_at = clock_timestamp()");
	});
	afterAll(() => under.stop());

	/** Has every event that there ever was delivered to the consumer once more. */
	async function deliverAllAgain({ name }: Consumer): Promise<void> {
		if (under.keeps) {
			const connection = await connect({ servers: under.url.split(",") });
			const manager = await connection.jetstreamManager();
			const { created } = await manager.streams.info(STREAM);
			await manager.consumers.delete(STREAM, durableName(name, "session", created));
			await connection.close();
			return;
		}
		await published();
		await recording.query("UPDATE outbox SET published_at = NULL");
		relays.at(-1)!.nudge();
		await published();
	}

	it("takes effect once in each consumer, in the order of its aggregate", async () => {
		const [ordered, other] = [
			await new Consumer().subscribeTo(stream),
			await new Consumer({ ordered: false }).subscribeTo(stream)
		];
		await startRelay(stream);
		const ids = Array.from({ length: 6 }, () => randomUUID());
		const undone = randomUUID();
		await Promise.all([
			...ids.map(id => record(id, 1, 8)),
			...ids.map(id =>
				recording
					.transaction(async tx => {
						tx.record(
							"session.revoked.v1",
							{ id: undone, version: 1 },
							{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
						);
						throw new Error("changed my mind");
					})
					.catch(() => {})
			)
		]);
		for (const id of ids) await Promise.all([ordered.has(id, 8), other.has(id, 8)]);
		await published();
		for (const id of ids) {
			expect(await ordered.versions(id)).toEqual(oneTo(8));
			expect((await other.versions(id)).toSorted((a, b) => a - b)).toEqual(oneTo(8));
		}
		expect(await ordered.versions(undone)).toEqual([]);
		expect(await other.versions(undone)).toEqual([]);
	});

	it("takes effect once though everything is delivered again, to whichever node", async () => {
		const consumer = await new Consumer().subscribeTo(stream);
		await startRelay(stream);
		const [id, later] = [randomUUID(), randomUUID()];
		await record(id, 1, 5);
		await consumer.has(id, 5);
		const again = new Set<string>();
		consumer.judged = async event => {
			if (event.aggregateid === id) again.add(event.id);
		};
		await deliverAllAgain(consumer);
		await until(() => again.size === 5, "all of them again", 30_000);
		await record(id, 6);
		await record(later, 1);
		await Promise.all([consumer.has(id, 6), consumer.has(later, 1)]);
		expect(await consumer.versions(id)).toEqual(oneTo(6));
		expect(await consumer.letters(id)).toEqual([]);
	});

	it("that always fails is a dead letter, what comes after it is parked, and others flow", async () => {
		const consumer = await new Consumer().subscribeTo(stream);
		await startRelay(stream);
		const [id, other] = [randomUUID(), randomUUID()];
		let tries = 0;
		let poisoned = true;
		consumer.after = async event => {
			if (!poisoned || event.aggregateid !== id || event.aggregateversion !== 2) return;
			tries++;
			throw new Error("poison");
		};
		await record(id, 1, 4);
		await record(other, 1, 3);
		await consumer.has(other, 3);
		await consumer.hasLetters(id, 3);
		expect(tries).toBe(MAX_ATTEMPTS);
		expect(await consumer.letters(id)).toMatchObject([
			{ version: 2, state: "dead", reason: "the handler failed" },
			{ version: 3, state: "parked" },
			{ version: 4, state: "parked" }
		]);
		expect(await consumer.versions(id)).toEqual([1]);
		// Not before what makes it fail is mended.
		expect(await consumer.replay(id)).toEqual(["failed", "waiting", "waiting"]);
		poisoned = false;
		expect(await consumer.replay(id)).toEqual(["resolved", "resolved", "resolved"]);
		await record(id, 5);
		await consumer.has(id, 5);
		expect(await consumer.versions(id)).toEqual(oneTo(5));
	});

	it("is never given up for the trouble of a database or the network", async () => {
		const consumer = await new Consumer().subscribeTo(stream);
		await startRelay(stream);
		const id = randomUUID();
		let tries = 0;
		consumer.after = async event => {
			if (event.aggregateid === id && ++tries <= 2 * MAX_ATTEMPTS)
				throw Object.assign(new Error("the database is away"), { code: "57P01" });
		};
		await record(id, 1, 2);
		await consumer.has(id, 2);
		expect(tries).toBe(2 * MAX_ATTEMPTS + 2);
		expect(await consumer.versions(id)).toEqual([1, 2]);
		expect(await consumer.letters(id)).toEqual([]);
	});

	it("whose handler kills the process is buried unopened after so many deaths", async () => {
		const consumer = await new Consumer().subscribeTo(stream);
		await startRelay(stream);
		const [id, other] = [randomUUID(), randomUUID()];
		let deaths = 0;
		let counted = 0;
		const attempts = async (eventId: string) =>
			(
				await consuming.one<{ attempts: number }>(
					"SELECT attempts FROM inbox_attempt WHERE event_id = $1",
					[eventId]
				)
			)?.attempts ?? 0;
		consumer.after = async event => {
			if (event.aggregateid !== id) return;
			deaths++;
			counted = await attempts(event.id);
			throw Object.assign(new Error("killed"), { retryable: true });
		};
		// A process that is dead takes nothing back of what it had counted.
		consumer.judged = async (event, verdict) => {
			if (event.aggregateid !== id || verdict.done) return;
			await consuming.query("UPDATE inbox_attempt SET attempts = $2 WHERE event_id = $1", [
				event.id,
				counted
			]);
		};
		await record(id, 1);
		await record(other, 1);
		await consumer.has(other, 1);
		await consumer.hasLetters(id, 1);
		expect(deaths).toBe(MAX_ATTEMPTS);
		expect(await consumer.letters(id)).toMatchObject([
			{ version: 1, state: "dead", reason: "attempts exhausted" }
		]);
		expect(await consumer.versions(id)).toEqual([]);
	});

	it("survives that the node which relays and consumes is replaced in the middle", async () => {
		const before = await new Consumer().subscribeTo(stream);
		const first = await startRelay(stream);
		const ids = Array.from({ length: 4 }, () => randomUUID());
		const recorded = Promise.all(
			ids.map(async id => {
				for (let version = 1; version <= 12; version++) {
					await record(id, version);
					await sleep(5);
				}
			})
		);
		await before.has(ids[0]!, 3);
		await Promise.all([stream.unsubscribe(before.name), first.stop()]);
		await stream.close();
		const next = await under.open(HASTY);
		const consumer = await new Consumer({ name: before.name }).subscribeTo(next);
		await startRelay(next);
		await recorded;
		for (const id of ids) {
			await consumer.has(id, 12);
			expect(await consumer.versions(id)).toEqual(oneTo(12));
		}
	});

	// What follows a stream within one process does not have: it is the only one.
	if (!under.keeps) return;

	it("takes effect once and in order however many nodes share a consumer", async () => {
		const one = await new Consumer().subscribeTo(stream);
		await new Consumer({ name: one.name }).subscribeTo(await under.open(HASTY));
		await startRelay(stream);
		const ids = Array.from({ length: 3 }, () => randomUUID());
		await Promise.all(ids.map(id => record(id, 1, 15)));
		for (const id of ids) {
			await one.has(id, 15);
			expect(await one.versions(id)).toEqual(oneTo(15));
			expect(await one.letters(id)).toEqual([]);
		}
	});

	it("that a new consumer comes too late for does not hold up what there still is of its aggregate", async () => {
		await startRelay(stream);
		const [cut, whole, rested] = [randomUUID(), randomUUID(), randomUUID()];
		await record(cut, 1, 4);
		await record(rested, 1, 2);
		await published();
		await under.forget();
		await record(cut, 5);
		await record(whole, 1, 2);
		await published();
		const consumer = await new Consumer().subscribeTo(stream);
		await record(cut, 6);
		await record(whole, 3);
		await Promise.all([consumer.has(cut, 2), consumer.has(whole, 3)]);
		expect(await consumer.versions(cut)).toEqual([5, 6]);
		expect(await consumer.versions(whole)).toEqual([1, 2, 3]);
		// Of this one there was nothing left when it began.
		await record(rested, 3, 4);
		await consumer.has(rested, 2);
		expect(await consumer.versions(rested)).toEqual([3, 4]);
		expect(await consumer.letters(rested)).toEqual([]);
	}, 60_000);

	it("does not stand behind a message that is none: that is a dead letter of each consumer", async () => {
		const consumers = [
			await new Consumer().subscribeTo(stream),
			await new Consumer({ ordered: false }).subscribeTo(stream)
		];
		await startRelay(stream);
		const stranger = await connect({ servers: under.url.split(",") });
		const text = `not json ${randomUUID()}`;
		await stranger.jetstream().publish("events.session.revoked.v1", text);
		await stranger.jetstream().publish("events.session.revoked.v1", Buffer.from([0xff, 0xfe]));
		await stranger.close();
		const id = randomUUID();
		await record(id, 1);
		for (const consumer of consumers) {
			await consumer.has(id, 1);
			const malformed = () =>
				consuming.query<{ id: string; state: string; text: string }>(
					`SELECT id, state, envelope->'data'->>'text' AS text FROM dead_letter
					 WHERE consumer = $1 AND reason = 'it is no event' ORDER BY id`,
					[consumer.name]
				);
			const letters = await until(async () => {
				const rows = await malformed();
				return rows.some(row => row.text === text) && rows;
			}, "a dead letter");
			for (const { id: letter } of letters) await consumer.inbox.discard(letter, "ada", "Noise.");
			expect(new Set((await malformed()).map(({ state }) => state))).toEqual(
				new Set(["discarded"])
			);
		}
	});

	if (under.replicas < 3) return;

	it("is not lost, doubled or passed by when one of the servers is killed", async () => {
		const consumer = await new Consumer().subscribeTo(stream);
		await startRelay(stream);
		const ids = Array.from({ length: 4 }, () => randomUUID());
		const leader = await under.leader();
		const recorded = Promise.all(
			ids.map(async id => {
				for (let version = 1; version <= 30; version++) {
					await record(id, version);
					await sleep(10);
				}
			})
		);
		await consumer.has(ids[0]!, 5);
		await leader.kill();
		await recorded;
		for (const id of ids) {
			await consumer.has(id, 30);
			expect(await consumer.versions(id)).toEqual(oneTo(30));
		}
		await published();
		await leader.start();
	}, 60_000);
});

import { randomUUID } from "node:crypto";
import { Registry } from "prom-client";
import { Type } from "typebox";
import { testDatabase } from "../../tests/support/database.ts";
import { envelope } from "../../tests/support/publisher.ts";
import type { Group } from "../config.ts";
import type { Database } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import { declareEvents } from "./catalog.ts";
import type { Envelope } from "./envelope.ts";
import { tidyUp } from "./housekeeping.ts";
import { Inbox, MAX_ATTEMPTS, type EventHandler } from "./inbox.ts";

let db: Database;
const open = async (group: Group) => {
	db = await testDatabase(group);
};
afterEach(() => db.close());

const silent = { info() {}, warn() {}, error() {} };
const metrics = new EventMetrics(new Registry());
const retention = { OUTBOX_RETENTION_DAYS: 7, INBOX_RETENTION_DAYS: 30 };

const tidy = (inboxes: readonly Inbox[], isLeader = false) =>
	tidyUp({ database: db, inboxes, isLeader, config: retention, logger: silent });
const inboxOf = (handlers: Record<string, EventHandler>, ordered = true) =>
	new Inbox({
		database: db,
		consumer: "reader",
		handlers: new Map(Object.entries(handlers)),
		ordered,
		metrics,
		logger: silent
	});
const letters = () =>
	db.query<{ version: number; state: string; reason: string }>(
		"SELECT aggregate_version AS version, state, reason FROM dead_letter ORDER BY aggregate_version, id"
	);
/** Makes these types known, as a newer version of the code does. */
const learn = (...types: string[]) =>
	declareEvents({
		events: Object.fromEntries(
			types.map(type => [type, { summary: "A test's", data: Type.Object({ n: Type.Integer() }) }])
		)
	});
const events = (...types: string[]): Envelope[] => {
	const id = randomUUID();
	return types.map((type, index) => ({
		...envelope("session.revoked.v1", id, index + 1, { n: index + 1 } as never),
		type,
		aggregatetype: type.split(".")[0]!,
		subject: `${type.split(".")[0]}/${id}`
	}));
};

describe("what older code did not know", () => {
	beforeEach(() => open("users"));

	it("is parked with what comes after it, and handled in order once the code knows it", async () => {
		learn("tune.begun.v1", "tune.ended.v1");
		const given: number[] = [];
		const handler: EventHandler = async ({ aggregateversion }) => void given.push(aggregateversion);
		const old = inboxOf({ "tune.begun.v1": handler, "tune.ended.v1": handler });
		const some = events("tune.begun.v1", "tune.hummed.v1", "tune.ended.v1", "tune.hummed.v2");
		for (const event of some) expect(await old.consume(event, 1)).toEqual({ done: true });
		const parked = [
			{ version: 2, state: "parked", reason: "this node does not know the type" },
			{ version: 3, state: "parked", reason: "an earlier event of the aggregate is dead" },
			{ version: 4, state: "parked", reason: "an earlier event of the aggregate is dead" }
		];
		expect(await letters()).toEqual(parked);
		// Still the older code.
		await tidy([old]);
		expect(await letters()).toEqual(parked);
		expect(given).toEqual([1]);

		learn("tune.hummed.v1");
		const newer = inboxOf({
			"tune.begun.v1": handler,
			"tune.hummed.v1": handler,
			"tune.ended.v1": handler
		});
		await tidy([newer]);
		expect(given).toEqual([1, 2, 3]);
		expect((await letters()).map(({ state }) => state)).toEqual(["resolved", "resolved", "parked"]);

		// A type that it knows and has no handler for is passed over.
		learn("tune.hummed.v2");
		await tidy([newer]);
		expect(new Set((await letters()).map(({ state }) => state))).toEqual(new Set(["resolved"]));
		expect(
			await db.query("SELECT version, blocked FROM inbox_cursor WHERE consumer = 'reader'")
		).toEqual([{ version: 4, blocked: false }]);
		expect(await db.query("SELECT DISTINCT settled_by FROM dead_letter")).toEqual([
			{ settled_by: "upgrade" }
		]);
	});

	it("does not hide behind what nobody here knows, however much that is", async () => {
		const given: string[] = [];
		const types = Array.from({ length: 3 }, (_, index) => `noise${index}.made.v1`);
		learn("tone.made.v1");
		const handlers = { "tone.made.v1": async ({ id }: Envelope) => void given.push(id) };
		const old = inboxOf(handlers, false);
		for (const type of types) for (const event of events(type)) await old.consume(event, 1);
		await db.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id, aggregate_version, envelope, reason, deliveries, state)
			 SELECT consumer, gen_random_uuid(), type, aggregate_type, gen_random_uuid(), aggregate_version, envelope, reason, deliveries, state
			 FROM dead_letter, generate_series(1, 500)`
		);
		const [event] = events("tone.made.v2");
		await old.consume(event!, 1);
		learn("tone.made.v2");
		await tidy([inboxOf({ "tone.made.v2": handlers["tone.made.v1"] }, false)]);
		expect(given).toEqual([event!.id]);
	});

	it("goes on too where it came after its predecessor had been settled", async () => {
		learn("step.taken.v1");
		let poisoned = true;
		const given: number[] = [];
		const inbox = inboxOf({
			"step.taken.v1": async ({ aggregateversion }) => {
				if (poisoned) throw new Error("poison");
				given.push(aggregateversion);
			}
		});
		const [first, second, third] = events("step.taken.v1", "step.taken.v1", "step.taken.v1");
		for (let count = 1; !(await inbox.consume(first!, count)).done;) count++;
		await inbox.consume(third!, 1);
		// Nothing goes on behind what is dead.
		await tidy([inbox]);
		expect((await letters()).map(({ state }) => state)).toEqual(["dead", "parked"]);
		poisoned = false;
		const [dead] = await db.query<{ id: string }>(
			"SELECT id FROM dead_letter WHERE state = 'dead'"
		);
		expect(await inbox.replay(dead!.id, "ada")).toEqual({ outcome: "resolved" });
		// The third holds the aggregate, and the second was on its way.
		expect(await inbox.consume(second!, 1)).toEqual({ done: true });
		expect(given).toEqual([1]);
		await tidy([inbox]);
		expect(given).toEqual([1, 2, 3]);
	});

	it("is left to a person where it fails again and again", async () => {
		learn("wish.made.v1");
		let tries = 0;
		const inbox = inboxOf({
			"wish.made.v1": async () => {
				tries++;
				throw new Error("poison");
			}
		});
		const [event] = events("wish.made.v9");
		await inbox.consume(event!, 1);
		learn("wish.made.v9");
		const newer = inboxOf({
			"wish.made.v9": async () => {
				tries++;
				throw new Error("poison");
			}
		});
		for (let round = 0; round < MAX_ATTEMPTS + 3; round++) await tidy([newer]);
		expect(tries).toBe(MAX_ATTEMPTS);
		expect((await letters()).map(({ state }) => state)).toEqual(["parked"]);
	});
});

describe("what has had its time", () => {
	beforeEach(() => open("orders"));
	const insertOutbox = (count: number, published: string | null, days: number, type = "order") =>
		db.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, created_at, published_at)
			 SELECT gen_random_uuid(), $1 || '.x.v1', $1, gen_random_uuid(), 1, '{}',
			   now() - $2 * interval '1 day', now() - $3::float * interval '1 day'
			 FROM generate_series(1, $4)`,
			[type, days, published, count]
		);
	const count = async (table: string, condition = "true") =>
		(await db.one<{ n: number }>(`SELECT count(*)::int AS n FROM ${table} WHERE ${condition}`))!.n;

	it("leaves the outbox in batches, is counted, and was published for sure", async () => {
		await insertOutbox(5_400, "7.1", 8);
		await insertOutbox(3, "7.1", 9, "payment");
		// Recorded long ago, but published only lately, or never, or taken back.
		await insertOutbox(2, "6.9", 30);
		await insertOutbox(4, null, 30);
		const deletes = jest.spyOn(db, "query");
		await tidy([], true);
		const batches = await Promise.all(
			deletes.mock.results
				.filter((_, index) => JSON.stringify(deletes.mock.calls[index]).includes("outbox_purge"))
				.map(({ value }) => value as Promise<unknown[]>)
		);
		expect(batches.map(rows => rows.length)).toEqual([5_000, 403, 0]);
		expect(await count("outbox")).toBe(6);
		expect(await count("outbox", "published_at IS NULL")).toBe(4);
		const purged = await db.query<{ aggregate_type: string; events: string; days: number }>(
			`SELECT aggregate_type, events, extract(day FROM now() - newest)::int AS days
			 FROM outbox_purge ORDER BY aggregate_type`
		);
		expect(purged).toEqual([
			{ aggregate_type: "order", events: "5400", days: 8 },
			{ aggregate_type: "payment", events: "3", days: 9 }
		]);
		// It adds up.
		await insertOutbox(2, "7.5", 10);
		await tidy([], true);
		expect(await db.one("SELECT events FROM outbox_purge WHERE aggregate_type = 'order'")).toEqual({
			events: "5402"
		});
	});

	it("is deleted by the leader alone", async () => {
		await insertOutbox(1, "8", 8);
		await tidy([], false);
		expect(await count("outbox")).toBe(1);
		await tidy([], true);
		expect(await count("outbox")).toBe(0);
	});

	it("is known for longer in the inbox than it can be delivered again", async () => {
		await db.query(
			`INSERT INTO inbox (consumer, event_id, processed_at)
			 SELECT 'c', gen_random_uuid(), now() - n * interval '1 day' FROM generate_series(1, 40) AS n`
		);
		await tidy([], true);
		expect(await count("inbox")).toBe(29);
		expect(await count("inbox", "processed_at < now() - interval '30 days'")).toBe(0);
	});

	it("is no dead letter that is open; what was settled goes after 90 days", async () => {
		await db.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id, aggregate_version, envelope, reason, deliveries, state, created_at, settled_at)
			 SELECT 'c', gen_random_uuid(), 'order.x.v1', 'order', gen_random_uuid(), 1, '{}', 'r', 1, state,
			   now() - interval '400 days', CASE WHEN state IN ('resolved', 'discarded') THEN now() - days * interval '1 day' END
			 FROM unnest(ARRAY['dead', 'parked', 'resolved', 'discarded']) AS state, unnest(ARRAY[89, 91]) AS days`
		);
		await tidy([], true);
		const left = await db.query(
			"SELECT state, count(*)::int AS n FROM dead_letter GROUP BY state ORDER BY state"
		);
		expect(left).toEqual([
			{ state: "dead", n: 2 },
			{ state: "discarded", n: 1 },
			{ state: "parked", n: 2 },
			{ state: "resolved", n: 1 }
		]);
	});

	it("is also a try that is settled, a snapshot of yesterday, a job, a timer, a key", async () => {
		const [open_, settled] = [randomUUID(), randomUUID()];
		await db.query("INSERT INTO inbox (consumer, event_id) VALUES ('c', $1)", [settled]);
		await db.query(
			"INSERT INTO inbox_attempt (consumer, event_id, attempts) VALUES ('c', $1, 2), ('c', $2, 2)",
			[open_, settled]
		);
		await db.query(
			`INSERT INTO replay_snapshot (id, letters, by, created_at)
			 SELECT gen_random_uuid(), '{}', 'ada', now() - hours * interval '1 hour' FROM unnest(ARRAY[23, 25]) AS hours`
		);
		await db.query(
			`INSERT INTO job (kind, key, payload, done_at)
			 SELECT 'k', n, '{}', CASE n WHEN 'old' THEN now() - interval '8 days' WHEN 'young' THEN now() END
			 FROM unnest(ARRAY['old', 'young', 'open']) AS n`
		);
		await db.query(
			`INSERT INTO timer (kind, ref_id, fire_at, done_at)
			 SELECT n, gen_random_uuid(), now() - interval '9 days', CASE n WHEN 'old' THEN now() - interval '8 days' END
			 FROM unnest(ARRAY['old', 'open']) AS n`
		);
		await tidy([], true);
		expect(await db.query("SELECT event_id FROM inbox_attempt")).toEqual([{ event_id: open_ }]);
		expect(await count("replay_snapshot")).toBe(1);
		expect(await db.query("SELECT key FROM job ORDER BY key")).toEqual([
			{ key: "open" },
			{ key: "young" }
		]);
		expect(await db.query("SELECT kind FROM timer")).toEqual([{ kind: "open" }]);
	});
});

import { randomUUID } from "node:crypto";
import type { ServiceBroker } from "moleculer";
import type { Actions, Events } from "../contracts/index.ts";
import { contract } from "../lib/contract.ts";
import type { Database } from "../lib/database.ts";
import type { Envelope } from "../lib/events/envelope.ts";
import { MAX_ATTEMPTS } from "../lib/events/inbox.ts";
import { GROUPS } from "../lib/config.ts";
import { implement } from "../lib/service.ts";
import { startTestNode, type TestNode } from "../tests/support/node.ts";
import { envelope } from "../tests/support/publisher.ts";
import { events } from "./events.mixin.ts";

/** A projection of the sessions that ended; it cannot take those of these aggregates. */
const probe = contract({ name: "probe", actions: {}, events: {}, failures: {} });
const poisoned = new Set<string>();
const probeService = implement(probe)({
	mixins: [events("notifications", { projection: tx => tx.query("DELETE FROM effect") })],
	actions: {},
	events: {
		async "session.revoked.v1"({ id, aggregateid }, tx) {
			if (poisoned.has(aggregateid)) throw new Error("too much for the probe");
			await tx.query("INSERT INTO effect (event_id) VALUES ($1)", [id]);
		}
	}
});

/** A consumer whose dead letters are about money. It tells of each event that it handles. */
const purse = contract({ name: "purse", actions: {}, events: {}, failures: {} });
const purseService = implement(purse)({
	mixins: [events("notifications", { critical: true })],
	actions: {},
	events: {
		async "notification.failed.v1"(
			{ aggregateid, data: { messageId, userId, kind, channel } },
			tx
		) {
			if (poisoned.has(aggregateid)) throw new Error("too much for the purse");
			const told = { messageId, userId, kind, channel };
			tx.record("notification.sent.v1", { id: randomUUID(), version: 1 }, told);
		}
	}
});

let node: TestNode;
let db: Database;
beforeAll(async () => {
	node = await startTestNode(GROUPS, { fakes: [probeService, purseService] });
	db = node.runtime.database("notifications");
	await db.query(
		"CREATE TABLE effect (seq bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL)"
	);
}, 60_000);
afterAll(() => node.stop());
beforeEach(() => poisoned.clear());

const revocation = (id: string): Events["session.revoked.v1"] => ({
	sessionId: id,
	userId: id,
	reason: "logout",
	until: new Date().toISOString()
});
const revoked = (id: string, version: number): Envelope =>
	envelope("session.revoked.v1", id, version, revocation(id));
const failed = (id: string, version = 1): Envelope =>
	envelope("notification.failed.v1", id, version, {
		messageId: id,
		userId: id,
		kind: "welcome",
		channel: "email",
		reason: "none"
	});

/** Delivers an event at whose handler the last attempt fails. */
async function bury(consumer: string, event: Envelope): Promise<void> {
	poisoned.add(event.aggregateid);
	await db.query("INSERT INTO inbox_attempt (consumer, event_id, attempts) VALUES ($1, $2, $3)", [
		consumer,
		event.id,
		MAX_ATTEMPTS
	]);
	await node.runtime.stream.publish(event);
}

/** Versions 1 to `count` of a session of which the probe cannot take the first. */
async function buried(count: number): Promise<Envelope[]> {
	const id = randomUUID();
	const all = Array.from({ length: count }, (_, index) => revoked(id, index + 1));
	await bury("probe", all[0]!);
	for (const event of all.slice(1)) await node.runtime.stream.publish(event);
	return all;
}

const lettersOf = (event: Envelope) =>
	node.call("notifications-events.letters", {
		filter: { aggregateId: event.aggregateid },
		limit: 100
	});
const idOf = async (event: Envelope): Promise<string> =>
	(await lettersOf(event)).find(({ eventId }) => eventId === event.id)!.id;
const effects = async (): Promise<string[]> =>
	(await db.query<{ event_id: string }>("SELECT event_id FROM effect ORDER BY seq")).map(
		row => row.event_id
	);
const effectsOf = async (of: readonly Envelope[]): Promise<number[]> => {
	const versions = new Map(of.map(event => [event.id, event.aggregateversion]));
	return (await effects()).flatMap(id => versions.get(id) ?? []);
};
const audit = (action: string) =>
	db.query<{ by: string; detail: any }>(
		"SELECT by, detail FROM event_audit WHERE action = $1 ORDER BY id",
		[action]
	);
const replay = (
	params: Partial<Actions["notifications-events.replay"]["params"]>
): Promise<Actions["notifications-events.replay"]["result"]> =>
	node.call("notifications-events.replay", {
		snapshotId: randomUUID(),
		dryRun: false,
		by: "ada",
		...params
	});
const record = (id: string, version: number, more: object = {}) =>
	node.runtime
		.database("users")
		.transaction(async tx =>
			tx.record("session.revoked.v1", { id, version }, { ...revocation(id), ...more })
		);

describe("dead letters", () => {
	it("are listed with what is known of them, oldest first, page by page", async () => {
		const [first, second, third] = await buried(3);
		const letters = await lettersOf(first!);
		expect(letters).toMatchObject([
			{
				id: expect.stringMatching(/^notifications-\d+$/),
				group: "notifications",
				consumer: "probe",
				eventId: first!.id,
				type: "session.revoked.v1",
				topic: "session.events",
				aggregate: { type: "session", id: first!.aggregateid, version: 1 },
				state: "dead",
				reason: "the handler failed",
				error: "too much for the probe",
				settledAt: null
			},
			{ eventId: second!.id, state: "parked" },
			{ eventId: third!.id, state: "parked" }
		]);
		const page = await node.call("notifications-events.letters", {
			filter: { aggregateId: first!.aggregateid, consumer: "probe", topic: "session.events" },
			after: { createdAt: letters[0]!.createdAt, id: letters[0]!.id },
			limit: 1
		});
		expect(page).toMatchObject([{ eventId: second!.id }]);
		const none = await node.call("notifications-events.letters", {
			filter: { aggregateId: first!.aggregateid, type: "session.other.v1" },
			limit: 10
		});
		expect(none).toEqual([]);
	});

	it("begin after a place in another group's list", async () => {
		const [event] = await buried(1);
		const { createdAt } = (await lettersOf(event!))[0]!;
		const after = (id: string) =>
			node.call("notifications-events.letters", {
				filter: { aggregateId: event!.aggregateid },
				after: { createdAt, id },
				limit: 10
			});
		// Of one moment, the letters of `catalog` come before and those of `orders` after ours.
		expect(await after("catalog-999999")).toHaveLength(1);
		expect(await after("orders-1")).toEqual([]);
	});

	it("show the event and what was thrown", async () => {
		const [event] = await buried(1);
		const {
			letter,
			event: kept,
			stack
		} = await node.call("notifications-events.letter", {
			id: await idOf(event!)
		});
		expect(letter.eventId).toBe(event!.id);
		expect(kept).toEqual(event);
		expect(stack).toMatch(/^Error: too much for the probe\n\s+at /);
		for (const id of ["notifications-999999", "orders-1"])
			await expect(node.call("notifications-events.letter", { id })).rejects.toMatchObject({
				type: "NOT_FOUND"
			});
	});
});

describe("a dry run", () => {
	it("says what would run, in order, with all that waits behind it, and does nothing", async () => {
		const all = await buried(3);
		const plan = await replay({ ids: [await idOf(all[1]!)], dryRun: true });
		expect(plan).toMatchObject(
			all.map(({ aggregateversion: version }) => ({
				consumer: "probe",
				aggregate: { version },
				handler: "session.revoked.v1",
				effects: [],
				outcome: "planned",
				error: null
			}))
		);
		expect((await lettersOf(all[0]!)).map(({ state }) => state)).toEqual([
			"dead",
			"parked",
			"parked"
		]);
		expect(await effectsOf(all)).toEqual([]);
	});

	it("fixes what is replayed: what dies after it is left alone", async () => {
		const all = await buried(2);
		const snapshotId = randomUUID();
		await replay({ filter: { aggregateId: all[0]!.aggregateid }, snapshotId, dryRun: true });
		const late = revoked(all[0]!.aggregateid, 3);
		await node.runtime.stream.publish(late);
		const other = await buried(1);

		poisoned.clear();
		expect(await replay({ snapshotId })).toMatchObject([
			{ outcome: "resolved", state: "resolved", aggregate: { version: 1 } },
			{ outcome: "resolved", state: "resolved", aggregate: { version: 2 } }
		]);
		expect(await effectsOf([...all, late, ...other])).toEqual([1, 2]);
		expect((await lettersOf(late)).map(({ state }) => state)).toEqual([
			"resolved",
			"resolved",
			"parked"
		]);
		expect(await replay({ snapshotId })).toMatchObject([
			{ outcome: "settled-before" },
			{ outcome: "settled-before" }
		]);
		expect(await effectsOf(all)).toEqual([1, 2]);
	});

	it("tells what exists already because of the event", async () => {
		const event = failed(randomUUID());
		await node.runtime.stream.publish(event);
		const told = await db.one<{ event_id: string }>(
			"SELECT event_id FROM outbox WHERE headers->>'causationId' = $1",
			[event.id]
		);
		await db.query(
			`INSERT INTO job (kind, key, payload, context, done_at)
			 VALUES ('mail', $1, '{}', jsonb_build_object('causationId', $1::text), now())`,
			[event.id]
		);
		await db.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id,
			   aggregate_version, envelope, reason, deliveries)
			 VALUES ('purse', $1, $2, 'notification', $3, 1, $4::jsonb, 'the handler failed', 8)`,
			[event.id, event.type, event.aggregateid, JSON.stringify(event)]
		);
		const [item] = await replay({ ids: [await idOf(event)], dryRun: true });
		expect(item!.effects).toEqual([
			expect.stringMatching(/^handled at "?\d{4}-/),
			`event notification.sent.v1 ${told!.event_id}`,
			`job mail ${event.id}`
		]);
	});

	it("tells what is bound to fail", async () => {
		const unknown = { ...revoked(randomUUID(), 1), type: "session.vanished.v1" };
		await node.runtime.stream.publish(unknown);
		expect(await replay({ ids: [await idOf(unknown)], dryRun: true })).toMatchObject([
			{ handler: null, outcome: "planned", error: "this node does not know the type" }
		]);
	});
});

describe("a replay", () => {
	it("is no cause of its own: what the handler records comes of the event", async () => {
		const event = failed(randomUUID());
		await bury("purse", event);
		poisoned.clear();
		expect(await replay({ ids: [await idOf(event)] })).toMatchObject([{ outcome: "resolved" }]);
		const { correlationid: correlationId } = event;
		expect(
			await node.call("notifications-events.recorded", { correlationId, limit: 10 })
		).toMatchObject([{ type: "notification.sent.v1", causationId: event.id, correlationId }]);
	});

	it("leaves the rest of an aggregate waiting where one fails, and goes on with the others", async () => {
		const [stuck, well] = [await buried(3), await buried(2)];
		poisoned.delete(well[0]!.aggregateid);
		const ids = await Promise.all([stuck[0]!, well[0]!].map(idOf));
		const items = await replay({ ids });
		const outcomes = (of: readonly Envelope[]) =>
			items
				.filter(({ aggregate }) => aggregate.id === of[0]!.aggregateid)
				.map(({ outcome, error }) => [outcome, error]);
		expect(outcomes(stuck)).toEqual([
			["failed", "too much for the probe"],
			["waiting", null],
			["waiting", null]
		]);
		expect(outcomes(well)).toEqual([
			["resolved", null],
			["resolved", null]
		]);
		expect(await effectsOf(stuck)).toEqual([]);
		expect(await effectsOf(well)).toEqual([1, 2]);
		expect(await lettersOf(stuck[0]!)).toMatchObject([
			{ state: "dead", replays: 1 },
			{ state: "parked", replays: 0 },
			{ state: "parked", replays: 0 }
		]);
		const { by, detail } = (await audit("replay")).at(-1)!;
		expect(by).toBe("ada");
		expect(Object.values(detail.outcome)).toHaveLength(5);
		expect(detail.outcome[ids[0]!]).toBe("failed");
	});

	it("takes the aggregate on where it stood: what comes next is handled", async () => {
		const all = await buried(2);
		poisoned.clear();
		await replay({ ids: [await idOf(all[0]!)] });
		const next = revoked(all[0]!.aggregateid, 3);
		await node.runtime.stream.publish(next);
		expect(await effectsOf([...all, next])).toEqual([1, 2, 3]);
	});

	it("of a settled one does nothing, and says so", async () => {
		const [event] = await buried(1);
		poisoned.clear();
		const ids = [await idOf(event!)];
		await replay({ ids });
		expect(await replay({ ids })).toMatchObject([{ state: "resolved", outcome: "settled-before" }]);
	});

	it("refuses what it does not know", async () => {
		const [event] = await buried(1);
		const known = await idOf(event!);
		for (const id of ["notifications-999999", "orders-1"])
			await expect(replay({ ids: [known, id] })).rejects.toMatchObject({ type: "NOT_FOUND" });
		await expect(replay({})).rejects.toMatchObject({ type: "NO_SUCH_SNAPSHOT" });
		expect((await lettersOf(event!))[0]!.state).toBe("dead");
	});
});

describe("to discard", () => {
	const discard = (id: string, by: string) =>
		node.call("notifications-events.discard", { id, by, reason: `${by} says so` });

	it("settles it, and lets what waits behind it go on", async () => {
		const all = await buried(2);
		poisoned.clear();
		const id = await idOf(all[0]!);
		expect(await discard(id, "ada")).toMatchObject({
			state: "discarded",
			settledBy: "ada",
			note: "ada says so",
			settledAt: expect.any(String)
		});
		expect((await audit("discard")).at(-1)).toEqual({
			by: "ada",
			detail: { letter: id, reason: "ada says so", outcome: "done" }
		});
		expect(await replay({ ids: [await idOf(all[1]!)] })).toMatchObject([{ outcome: "resolved" }]);
		expect(await effectsOf(all)).toEqual([2]);
		// Once more changes nothing.
		expect(await discard(id, "bob")).toMatchObject({ state: "discarded", settledBy: "ada" });
	});

	it("takes two people where it is about money", async () => {
		const event = failed(randomUUID());
		await bury("purse", event);
		const id = await idOf(event);
		for (const _ of ["once", "and again"])
			await expect(discard(id, "ada")).rejects.toMatchObject({
				type: "SECOND_PERSON_NEEDED",
				code: 409
			});
		expect(await lettersOf(event)).toMatchObject([
			{ state: "dead", settledBy: "ada", note: "ada says so", settledAt: null }
		]);
		expect(await discard(id, "bob")).toMatchObject({
			state: "discarded",
			settledBy: "bob",
			note: "bob says so (asked for by ada: ada says so)"
		});
		expect((await audit("discard-asked")).map(({ by }) => by)).toEqual(["ada", "ada", "bob"]);
	});

	it("does for consumers that are no more", async () => {
		const event = revoked(randomUUID(), 1);
		await db.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id,
			   aggregate_version, envelope, reason, deliveries)
			 VALUES ('former', $1, $2, 'session', $3, 1, $4::jsonb, 'the handler failed', 8)`,
			[event.id, event.type, event.aggregateid, JSON.stringify(event)]
		);
		const ids = [await idOf(event)];
		expect(await replay({ ids })).toMatchObject([
			{ outcome: "failed", error: expect.stringContaining("no service of this name") }
		]);
		expect(await discard(ids[0]!, "ada")).toMatchObject({ state: "discarded" });
	});
});

describe("the outbox", () => {
	it("shows what was set aside, and lets it be tried again", async () => {
		const users = node.runtime.database("users");
		const id = randomUUID();
		const eventId = randomUUID();
		await users.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version,
			   payload, failed_at, attempts, last_error)
			 VALUES ($1, 'session.revoked.v1', 'session', $2, 1, $3::jsonb, now(), 10, 'refused')`,
			[eventId, id, JSON.stringify(revocation(id))]
		);
		const view = await node.call("users-events.outbox", {});
		expect(view).toMatchObject({
			group: "users",
			leader: node.broker.nodeID,
			unpublished: 1,
			setAside: 1,
			waiting: [{ id: eventId, attempts: 10, lastError: "refused", setAsideAt: expect.any(String) }]
		});
		const retried = await node.call("users-events.retryOutbox", { eventId, by: "ada" });
		expect(retried).toMatchObject({ id: eventId, setAsideAt: null, attempts: 0 });
		await node.settled("users");
		expect(await effects()).toContain(eventId);
		await expect(
			node.call("users-events.retryOutbox", { eventId, by: "ada" })
		).rejects.toMatchObject({ type: "NOT_FOUND" });
		expect(
			await users.query("SELECT by, detail FROM event_audit WHERE action = 'outbox-retry'")
		).toEqual([{ by: "ada", detail: { eventId } }]);
	});

	it("tells its newest events, those of a topic, of a story, and one", async () => {
		const id = randomUUID();
		await record(id, 1);
		await record(id, 2);
		await node.settled("users");
		const recorded = (params: object) =>
			node.call("users-events.recorded", { limit: 100, ...params });
		const story = await recorded({ correlationId: id });
		expect(story).toMatchObject([
			{ type: "session.revoked.v1", group: "users", aggregate: { id, version: 1 } },
			{ aggregate: { id, version: 2 }, correlationId: id, publishedAt: expect.any(String) }
		]);
		const [first, second] = story;
		expect(first!.data).toMatchObject({ sessionId: id });
		expect(await recorded({ eventId: first!.id })).toEqual([first]);
		expect(await recorded({ limit: 1 })).toEqual([second]);
		expect(await recorded({ aggregateType: "session", limit: 2 })).toEqual(story);
		expect(await recorded({ aggregateType: "user" })).toEqual([]);
		expect(await recorded({ since: first!.recordedAt, limit: 1 })).toEqual([second]);
		const future = new Date(Date.now() + 60_000).toISOString();
		expect(await recorded({ since: future })).toEqual([]);

		const handled = await node.call("notifications-events.handled", {
			eventIds: story.map(event => event.id)
		});
		expect(handled).toMatchObject(
			story.map(event => ({ eventId: event.id, consumer: "probe", state: "handled" }))
		);
	});

	it("tells of large events without their data what one answer cannot hold", async () => {
		const id = randomUUID();
		for (const version of [1, 2, 3]) await record(id, version, { padding: "x".repeat(200_000) });
		const story = await node.call("users-events.recorded", { correlationId: id, limit: 10 });
		expect(story.map(({ data }) => data !== null)).toEqual([true, true, false]);
	});
});

describe("the overview", () => {
	it("tells what is recorded and who consumes it, and in one process nothing of a stream", async () => {
		await buried(2);
		const own = await node.call("notifications-events.overview", {});
		expect(own.stream).toBeNull();
		const at = own.consumers.find(({ name }) => name === "probe");
		expect(at).toMatchObject({ topic: "session.events", pending: null, unacknowledged: null });
		const { n } = (await db.one<{ n: number }>(
			"SELECT count(*)::int AS n FROM dead_letter WHERE consumer = 'probe' AND state = 'parked'"
		))!;
		expect(at!.parked).toBe(n);
		expect(at!.blockedAggregates).toBeGreaterThan(0);
		expect(own.consumers.map(({ name }) => name)).toContain("recipients");
		expect(own.consumers.map(({ name }) => name)).not.toContain("orders");
		const users = await node.call("users-events.overview", {});
		expect(users.recorded).toMatchObject([
			{ topic: "session.events", newestAt: expect.any(String), setAside: 0 }
		]);
	});
});

describe("a rebuild", () => {
	const rebuild = () =>
		node.call("notifications-events.rebuild", { projection: "probe", by: "ada" });
	const recordedIds = async (): Promise<string[]> =>
		(
			await node.runtime
				.database("users")
				.query<{ event_id: string }>("SELECT event_id FROM outbox ORDER BY id")
		).map(row => row.event_id);

	it("makes a projection anew of what all groups have recorded, each aggregate in its order", async () => {
		const [one, other] = [randomUUID(), randomUUID()];
		for (const version of [1, 2, 3]) {
			await record(one, version);
			await record(other, version);
		}
		await node.settled("users");
		await db.query("DELETE FROM effect");
		const { consumer, events: count } = await rebuild();
		expect(consumer).toBe("probe");
		const ids = await recordedIds();
		expect(count).toBe(ids.length);
		expect(await effects()).toEqual(ids);
		expect((await audit("rebuild")).at(-1)).toEqual({
			by: "ada",
			detail: { consumer: "probe", outcome: String(count) }
		});
		// And it goes on from there.
		await record(one, 4);
		await node.settled("users");
		expect(await effects()).toHaveLength(count + 1);
	});

	it("leaves the old one where a handler fails", async () => {
		const before = await effects();
		const id = randomUUID();
		await record(id, 1);
		await node.settled("users");
		poisoned.add(id);
		await expect(rebuild()).rejects.toThrow("too much for the probe");
		expect(await effects()).toHaveLength(before.length + 1);
		expect((await audit("rebuild")).at(-1)!.detail.error).toMatch(/too much for the probe/);
	});

	it("brings nothing back that was given up, and goes on after it", async () => {
		const id = randomUUID();
		for (const version of [1, 2]) await record(id, version);
		await node.settled("users");
		const [first] = await node.call("users-events.recorded", { correlationId: id, limit: 2 });
		await db.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id,
			   aggregate_version, envelope, reason, deliveries, state)
			 VALUES ('probe', $1, 'session.revoked.v1', 'session', $2, 1, '{}', 'given up', 8, 'discarded')`,
			[first!.id, id]
		);
		poisoned.clear();
		await rebuild();
		const ids = await recordedIds();
		expect(await effects()).toEqual(ids.filter(each => each !== first!.id));
		await record(id, 3);
		await node.settled("users");
		expect(await effects()).toHaveLength(ids.length);
	});

	it("is only for what is a projection", async () => {
		for (const projection of ["purse", "nobody"])
			await expect(
				node.call("notifications-events.rebuild", { projection, by: "ada" })
			).rejects.toMatchObject({ type: "NO_SUCH_PROJECTION" });
	});

	it("refuses to forget what was purged", async () => {
		const users = node.runtime.database("users");
		await users.query("INSERT INTO outbox_purge VALUES ('session', 3, now())");
		const before = await effects();
		await expect(rebuild()).rejects.toMatchObject({ type: "HISTORY_PURGED", code: 409 });
		expect(await effects()).toEqual(before);
		await users.query("DELETE FROM outbox_purge");
	});

	it("does not pass over a group that is away", async () => {
		const broker: ServiceBroker = node.broker;
		const gone = broker.getLocalService("orders-events");
		const { schema } = gone;
		await broker.destroyService(gone);
		const before = await effects();
		await expect(rebuild()).rejects.toMatchObject({ type: "GROUP_AWAY", code: 503 });
		expect(await effects()).toEqual(before);
		broker.createService(schema);
		await broker.waitForServices("orders-events", 5_000);
	});
});

describe("the history", () => {
	const history = (after: string, limit: number) =>
		node.call("users-events.history", { aggregateTypes: ["session"], after, limit });

	it("comes in pages, smaller where the events are large", async () => {
		const first = await history("0", 2);
		expect(first.events).toHaveLength(2);
		const second = await history(first.next!, 1_000);
		const id = randomUUID();
		for (const version of [1, 2, 3]) await record(id, version, { padding: "x".repeat(300_000) });
		const end = (await node.runtime
			.database("users")
			.one<{ id: string }>("SELECT min(id) - 1 AS id FROM outbox WHERE aggregate_id = $1", [id]))!
			.id;
		const large = await history(end, 1_000);
		expect(large.events).toMatchObject([{ aggregateid: id, aggregateversion: 1 }]);
		expect((await history(large.next!, 1_000)).events).toHaveLength(1);
		expect(second.purged).toBe(0);
		expect(await history("999999", 1)).toEqual({ events: [], next: null, purged: 0 });
	});

	it("leaves out what was set aside, and what waits behind it", async () => {
		const id = randomUUID();
		for (const version of [1, 2, 3]) await record(id, version);
		await node.settled("users");
		const users = node.runtime.database("users");
		await users.query(
			"UPDATE outbox SET failed_at = now() WHERE aggregate_id = $1 AND aggregate_version = 2",
			[id]
		);
		const all: unknown[] = [];
		for (let after = "0"; ;) {
			const page = await history(after, 1_000);
			if (page.next === null) break;
			all.push(...page.events);
			after = page.next;
		}
		const own = (all as Envelope[]).filter(({ aggregateid }) => aggregateid === id);
		expect(own.map(({ aggregateversion }) => aggregateversion)).toEqual([1]);
	});
});

/** A stream that lost data is healed from the outboxes: with a NATS server that is emptied, restored and made anew. */
import { randomUUID } from "node:crypto";
import { connect } from "nats";
import { Registry } from "prom-client";
import type { BreakableServer } from "../../bin/breakable-server.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { StreamUnderTest } from "../../tests/support/streams.ts";
import { until } from "../../tests/support/until.ts";
import type { Database } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import type { Envelope } from "./envelope.ts";
import { healOutbox, takeBack } from "./healing.ts";
import { durableName, STREAM } from "./jetstream.ts";
import { Relay } from "./relay.ts";
import { DONE, type EventStream } from "./stream.ts";

const under = new StreamUnderTest("jetstream on one server", 1);
let nats: BreakableServer;
let db: Database;
let stream: EventStream;
let relay: Relay;
let metrics: EventMetrics;
/** What a consumer was given, in that order, with repetitions: `<aggregate>@<version>`. */
let given: string[];

beforeAll(async () => {
	await under.start();
	nats = under.servers[0]!;
});
afterAll(() => under.stop());
beforeEach(async () => {
	await nats.kill();
	nats.emptyStore();
	await nats.start();
	db = await testDatabase("users");
	stream = await under.open();
	metrics = new EventMetrics(new Registry());
	relay = new Relay({
		database: db,
		stream,
		metrics,
		logger: { info() {}, warn() {}, error() {} },
		onPublished: () => {}
	});
	given = [];
	await stream.subscribe({
		name: "witness",
		aggregateTypes: ["session"],
		consume: async (event: Envelope) => {
			given.push(`${event.aggregateid}@${event.aggregateversion}`);
			return DONE;
		}
	});
	relay.start();
});
afterEach(async () => {
	await relay.stop();
	await under.close();
	await db.close();
});

const ids = Array.from({ length: 3 }, () => randomUUID());
const commit = async (...versions: number[]) => {
	for (const version of versions)
		await db.transaction(async tx => {
			for (const id of ids)
				tx.record(
					"session.revoked.v1",
					{ id, version },
					{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
				);
		});
};
const published = () =>
	until(
		async () => !(await db.one("SELECT 1 FROM outbox WHERE published_at IS NULL")),
		"everything is published"
	);
/** Whether each row of the outbox lies where it says, in the stream as it is. */
async function isWhole(): Promise<boolean> {
	const rows = await db.query<{ event_id: string; seq: string; epoch: string }>(
		"SELECT event_id, stream_seq AS seq, stream_epoch AS epoch FROM outbox"
	);
	const { epoch } = await stream.kept!.state();
	for (const row of rows)
		if (row.epoch !== epoch || (await stream.kept!.messageIdAt(Number(row.seq))) !== row.event_id)
			return false;
	return true;
}
const whole = () => until(() => isWhole().catch(() => false), "the stream has all of it", 15_000);
const healed = async () => (await metrics.healed.get()).values[0]?.value ?? 0;
const versionsOf = (id: string) => [
	...new Set(given.filter(event => event.startsWith(id)).map(event => Number(event.split("@")[1])))
];

describe("a stream", () => {
	it("that has lost nothing is left alone, also by a reconnect", async () => {
		await commit(1, 2, 3);
		await published();
		await nats.kill();
		await nats.start();
		await until(() => stream.isUp(), "it is back");
		await commit(4);
		await published();
		expect(await healed()).toBe(0);
		await until(() => new Set(given).size === 12, "all is delivered");
		expect(await isWhole()).toBe(true);
	});

	it("that was emptied gets everything again", async () => {
		await commit(1, 2, 3);
		await published();
		await nats.kill();
		nats.emptyStore();
		const committed = commit(4, 5);
		await nats.start();
		await committed;
		await whole();
		expect(await healed()).toBe(9);
		await until(() => ids.every(id => versionsOf(id).length === 5), "all is delivered");
		for (const id of ids) expect(versionsOf(id)).toEqual([1, 2, 3, 4, 5]);
	});

	it("that is an older copy of itself gets what the copy lacks", async () => {
		await commit(1, 2, 3);
		await published();
		await nats.shutDown();
		nats.keepCopy();
		await nats.start();
		await commit(4, 5, 6);
		await published();
		await until(() => versionsOf(ids[0]!).length === 6, "all is delivered");
		await nats.shutDown();
		nats.restoreCopy();
		given = [];
		// New ones want to take the places of those that are lost.
		const committed = commit(7, 8);
		await nats.start();
		await committed;
		await whole();
		expect(await healed()).toBe(9);
		// The copy of the consumer stands where it was then, and is given on from there.
		await until(() => ids.every(id => versionsOf(id).includes(8)), "the new ones are delivered");
		for (const id of ids) expect(versionsOf(id).filter(v => v > 3)).toEqual([4, 5, 6, 7, 8]);
	});

	it("that is made anew while all is connected gets everything again", async () => {
		await commit(1, 2);
		await published();
		const admin = await connect({ servers: nats.url });
		await (await admin.jetstreamManager()).streams.delete(STREAM);
		await admin.close();
		await commit(3);
		await whole();
		expect(await healed()).toBe(6);
		await until(() => ids.every(id => versionsOf(id).length === 3), "all is delivered", 15_000);
	});

	it("of which a consumer is ahead makes that consumer anew", async () => {
		await commit(1, 2, 3);
		await published();
		await until(() => new Set(given).size === 9, "all is delivered");
		await relay.stop();
		const manager = async () => {
			const admin = await connect({ servers: nats.url });
			return { admin, jsm: await admin.jetstreamManager() };
		};
		// What a copy of the stream without its consumers would do: the stream ends before them.
		const { admin, jsm } = await manager();
		const { config, created } = await jsm.streams.info(STREAM);
		await under.close();
		const backup = await jsm.consumers.info(STREAM, durableName("witness", "session", created));
		expect(backup.delivered.stream_seq).toBe(9);
		await jsm.streams.delete(STREAM);
		const copy = await jsm.streams.add(config);
		const durable = durableName("witness", "session", copy.created);
		await jsm.consumers.add(STREAM, {
			...backup.config,
			name: durable,
			durable_name: durable,
			deliver_policy: "by_start_sequence" as never,
			opt_start_seq: 50
		});
		await admin.close();
		given = [];
		stream = await under.open();
		await stream.subscribe({
			name: "witness",
			aggregateTypes: ["session"],
			consume: async (event: Envelope) => {
				given.push(`${event.aggregateid}@${event.aggregateversion}`);
				return DONE;
			}
		});
		relay = new Relay({
			database: db,
			stream,
			metrics,
			logger: { info() {}, warn() {}, error() {} },
			onPublished: () => {}
		});
		relay.start();
		await whole();
		await until(() => new Set(given).size === 9, "all is delivered");
	});
});

describe("what is taken back", () => {
	it("goes in batches, however much it is, and only what meets the condition", async () => {
		await relay.stop();
		await db.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, published_at, stream_seq, stream_epoch)
			 SELECT gen_random_uuid(), 'session.revoked.v1', 'session', gen_random_uuid(), 1, '{}', now(), n,
			   CASE WHEN n <= 12000 THEN 'gone' ELSE 'local' END
			 FROM generate_series(1, 12500) AS n`
		);
		const batches: number[] = [];
		const counting = {
			query: async <Row extends object>(sql: string, bind?: readonly unknown[]) => {
				const rows = await db.query<Row>(sql, bind);
				batches.push(rows.length);
				return rows;
			}
		};
		expect(await takeBack(counting as never, "stream_epoch = $2", ["gone"])).toBe(12_000);
		expect(batches).toEqual([5_000, 5_000, 2_000, 0]);
		expect(
			await db.one(
				`SELECT count(*) FILTER (WHERE published_at IS NULL)::int AS back,
				   count(stream_seq)::int AS left FROM outbox`
			)
		).toEqual({ back: 12_000, left: 500 });
		// Of a life in one process nothing was in a stream that could have lost it.
		await db.query("UPDATE outbox_stream SET epoch = 'before'");
		expect(await healOutbox(db, stream)).toBe(0);
	}, 40_000);
});

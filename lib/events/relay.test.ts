import { randomUUID } from "node:crypto";
import { Registry } from "prom-client";
import { testDatabase } from "../../tests/support/database.ts";
import { until } from "../../tests/support/until.ts";
import { runInContext } from "../context.ts";
import { Database, type Tx } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import { createAjv } from "../validator.ts";
import { Attributes, type Envelope } from "./envelope.ts";
import { Inbox, MAX_ATTEMPTS, type EventHandler } from "./inbox.ts";
import { LocalStream } from "./local-stream.ts";
import { Relay } from "./relay.ts";
import { UnpublishableError, type EventStream, type Receipt, type Verdict } from "./stream.ts";

let db: Database;
let relays: Relay[];
beforeEach(async () => {
	db = await testDatabase("users");
	relays = [];
});
afterEach(async () => {
	await Promise.all(relays.map(relay => relay.stop()));
	await db.close();
});

const silent = { info() {}, warn() {}, error() {} };
const metrics = new EventMetrics(new Registry());

/** A stream that keeps what it is given, and does before what the test wants. */
class Recorder implements EventStream {
	readonly kind = "local";
	readonly kept = undefined;
	readonly published: Envelope[] = [];
	/** Runs before an event is kept. */
	before: (event: Envelope) => Promise<void> | void = () => {};
	async publish(event: Envelope): Promise<Receipt> {
		await this.before(event);
		this.published.push(event);
		return { sequence: this.published.length, epoch: "local", duplicate: false };
	}
	subscribe = () => Promise.resolve();
	unsubscribe = () => Promise.resolve();
	isUp = () => true;
	onBack = () => {};
	close = () => Promise.resolve();

	/** `<aggregate>@<version>`, in the order of publication. */
	get order(): string[] {
		return this.published.map(event => `${event.aggregateid}@${event.aggregateversion}`);
	}
	versionsOf = (id: string): number[] =>
		this.published
			.filter(({ aggregateid }) => aggregateid === id)
			.map(({ aggregateversion }) => aggregateversion);
}

function startRelay(
	stream: EventStream,
	{
		database = db,
		onPublished = () => {},
		concurrency = 16
	}: {
		database?: Database;
		onPublished?: (event: Envelope) => void;
		concurrency?: number;
	} = {}
): Relay {
	const relay = new Relay({ database, stream, metrics, logger: silent, onPublished, concurrency });
	relays.push(relay);
	relay.start();
	return relay;
}

const revoked = (id: string) =>
	({ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }) as const;
const record = (tx: Tx, id: string, version: number) =>
	tx.record("session.revoked.v1", { id, version }, revoked(id));
const commit = (id: string, ...versions: number[]) =>
	db.transaction(async tx => {
		for (const version of versions) record(tx, id, version);
	});
const unpublished = async (): Promise<number> =>
	(await db.one<{ n: number }>("SELECT count(*)::int AS n FROM outbox WHERE published_at IS NULL"))!
		.n;
const empty = () => until(async () => (await unpublished()) === 0, "an empty outbox");

/** A promise to be kept later. */
function gate() {
	let open = () => {};
	const opened = new Promise<void>(resolve => {
		open = resolve;
	});
	return { opened, open };
}

describe("the relay", () => {
	it("publishes what was committed, as the envelope that was recorded", async () => {
		const stream = new Recorder();
		const told: Envelope[] = [];
		startRelay(stream, { onPublished: event => told.push(event) });
		const id = randomUUID();
		await runInContext(
			{ requestId: "r1", correlationId: "c1", causationId: "e0", traceparent: "00-1" },
			() => commit(id, 1)
		);
		await empty();
		await until(() => told.length === 1, "word of it");
		expect(stream.published).toEqual([
			{
				specversion: "1.0",
				id: expect.stringMatching(/^[0-9a-f-]{36}$/),
				type: "session.revoked.v1",
				source: "/valence/users",
				subject: `session/${id}`,
				time: expect.any(String),
				datacontenttype: "application/json",
				data: revoked(id),
				aggregatetype: "session",
				aggregateid: id,
				aggregateversion: 1,
				correlationid: "c1",
				causationid: "e0",
				requestid: "r1",
				traceparent: "00-1"
			}
		]);
		expect(createAjv().validate(Attributes, stream.published[0])).toBe(true);
		expect(told).toEqual(stream.published);
		expect(await db.one("SELECT stream_seq::int, stream_epoch FROM outbox")).toEqual({
			stream_seq: 1,
			stream_epoch: "local"
		});
	});

	it("names the story after the aggregate where it began with nothing", async () => {
		const stream = new Recorder();
		startRelay(stream);
		const id = randomUUID();
		await commit(id, 1);
		await empty();
		expect(stream.published[0]).toMatchObject({ correlationid: id });
		expect(stream.published[0]).not.toHaveProperty("causationid");
	});

	it("publishes nothing before the commit, and nothing of what is rolled back", async () => {
		const stream = new Recorder();
		startRelay(stream);
		const [kept, undone, other] = [randomUUID(), randomUUID(), randomUUID()];
		await db.transaction(async tx => {
			record(tx, kept, 1);
			// Others go through meanwhile.
			await commit(other, 1);
			await until(() => stream.published.length === 1, "the other one");
			expect(stream.order).toEqual([`${other}@1`]);
		});
		await expect(
			db.transaction(async tx => {
				record(tx, undone, 1);
				throw new Error("changed my mind");
			})
		).rejects.toThrow("changed my mind");
		await empty();
		expect(stream.order).toEqual([`${other}@1`, `${kept}@1`]);
	});

	it("does not pass over a slower transaction with a smaller id", async () => {
		const stream = new Recorder();
		startRelay(stream);
		const [slow, quick] = [randomUUID(), randomUUID()];
		const ready = gate();
		const written = gate();
		const committed = db.sequelize.transaction(async transaction => {
			await db.sequelize.query(
				`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload)
				 VALUES (gen_random_uuid(), 'session.revoked.v1', 'session', '${slow}', 1, '${JSON.stringify(revoked(slow))}')`,
				{ transaction }
			);
			written.open();
			await ready.opened;
		});
		await written.opened;
		await commit(quick, 1);
		await until(() => stream.order.includes(`${quick}@1`), "the quick one");
		ready.open();
		await committed;
		await empty();
		expect(stream.order).toEqual([`${quick}@1`, `${slow}@1`]);
	});

	it("publishes after a restart what was left unpublished", async () => {
		const id = randomUUID();
		await commit(id, 1, 2, 3);
		const stream = new Recorder();
		startRelay(stream);
		await empty();
		expect(stream.versionsOf(id)).toEqual([1, 2, 3]);
	});

	it("has at most one publish of an aggregate in flight, and keeps their order", async () => {
		const stream = new Recorder();
		const inFlight = new Map<string, number>();
		stream.before = async ({ aggregateid: id }) => {
			const now = (inFlight.get(id) ?? 0) + 1;
			inFlight.set(id, now);
			expect(now).toBe(1);
			await new Promise(resolve => setImmediate(resolve));
			inFlight.set(id, now - 1);
		};
		startRelay(stream, { concurrency: 3 });
		const ids = Array.from({ length: 8 }, () => randomUUID());
		for (let version = 1; version <= 5; version++)
			await Promise.all(ids.map(id => commit(id, version)));
		await empty();
		for (const id of ids) expect(stream.versionsOf(id)).toEqual([1, 2, 3, 4, 5]);
	});

	it("does not hold up others behind one aggregate's long backlog", async () => {
		const [long, short] = [randomUUID(), randomUUID()];
		await commit(long, ...Array.from({ length: 450 }, (_, index) => index + 1));
		await commit(short, 1);
		const stream = new Recorder();
		const first = gate();
		stream.before = ({ aggregateid }) => (aggregateid === long ? first.opened : undefined);
		startRelay(stream);
		await until(() => stream.order.includes(`${short}@1`), "the short one");
		first.open();
		await empty();
		expect(stream.versionsOf(long)).toHaveLength(450);
	});

	it("finds every aggregate of a backlog that is longer than what it takes at once", async () => {
		const ids = Array.from({ length: 700 }, () => randomUUID());
		const long = ids[350]!;
		await db.transaction(async tx => {
			for (const id of ids) tx.record("session.revoked.v1", { id, version: 1 }, revoked(id));
		});
		await commit(long, ...Array.from({ length: 250 }, (_, index) => index + 2));
		const stream = new Recorder();
		startRelay(stream);
		await empty();
		expect(new Set(stream.order).size).toBe(950);
		expect(stream.published).toHaveLength(950);
		expect(stream.versionsOf(long)).toEqual(Array.from({ length: 251 }, (_, index) => index + 1));
	});

	it("tries again what could not be published; others do not wait for it", async () => {
		const stream = new Recorder();
		const [bad, good] = [randomUUID(), randomUUID()];
		const failures: number[] = [];
		stream.before = ({ aggregateid }) => {
			if (aggregateid !== bad || failures.length === 3) return;
			failures.push(Date.now());
			throw new Error("refused");
		};
		startRelay(stream);
		await commit(bad, 1, 2);
		await until(() => failures.length > 0, "a failure");
		await commit(good, 1);
		await empty();
		// The good one went by, and the bad one's own order was kept.
		expect(stream.order[0]).toBe(`${good}@1`);
		expect(stream.versionsOf(bad)).toEqual([1, 2]);
		// Not at once, and later each time: 100 and 200 ms.
		expect(failures[2]! - failures[0]!).toBeGreaterThan(280);
		// Only what the stream refuses counts towards being set aside.
		expect(
			await db.one(
				"SELECT attempts, last_error FROM outbox WHERE aggregate_version = 1 AND aggregate_id = $1",
				[bad]
			)
		).toEqual({ attempts: 0, last_error: "Error: refused" });
	});

	it("makes room for others when as many as it may publish at once are stuck", async () => {
		const stream = new Recorder();
		const healed = gate();
		const stuck = new Set<string>(Array.from({ length: 4 }, () => randomUUID()));
		stream.before = ({ aggregateid }) => (stuck.has(aggregateid) ? healed.opened : undefined);
		startRelay(stream, { concurrency: 2 });
		for (const id of stuck) await commit(id, 1);
		const other = randomUUID();
		await commit(other, 1);
		await until(() => stream.order.includes(`${other}@1`), "one that is not stuck");
		expect(stream.published).toHaveLength(1);
		healed.open();
		await empty();
		expect(stream.published).toHaveLength(5);
	});

	it("waits for what is in flight when it stops, and begins nothing new", async () => {
		const stream = new Recorder();
		const begun = gate();
		const finish = gate();
		stream.before = () => {
			begun.open();
			return finish.opened;
		};
		const relay = startRelay(stream);
		const id = randomUUID();
		await commit(id, 1, 2);
		await begun.opened;
		const stopped = relay.stop();
		finish.open();
		await stopped;
		expect(stream.versionsOf(id)).toEqual([1]);
		expect(await unpublished()).toBe(1);
	});
});

describe("two relays of one database", () => {
	let standbyDatabase: Database;
	beforeEach(() => {
		standbyDatabase = new Database("users", db.url, { poolSize: 2 });
	});
	afterEach(async () => {
		await Promise.all(relays.map(relay => relay.stop()));
		await standbyDatabase.close();
	});
	const pair = async () => {
		const streams = [new Recorder(), new Recorder()] as const;
		const leader = startRelay(streams[0]);
		await until(() => leader.isLeader, "a leader");
		const standby = startRelay(streams[1], { database: standbyDatabase });
		return { leader, standby, streams };
	};

	it("publish each event once: one leads, and the other takes over when it stops", async () => {
		const { leader, standby, streams } = await pair();
		const id = randomUUID();
		await commit(id, 1);
		await empty();
		expect(standby.isLeader).toBe(false);
		await leader.stop();
		expect(leader.isLeader).toBe(false);
		await commit(id, 2);
		await empty();
		expect(standby.isLeader).toBe(true);
		expect(streams.map(stream => stream.versionsOf(id))).toEqual([[1], [2]]);
	});

	it("take over when the leader's connection dies, and lose nothing", async () => {
		const { standby, leader, streams } = await pair();
		const ids = Array.from({ length: 5 }, () => randomUUID());
		for (let version = 1; version <= 6; version++) {
			await Promise.all(ids.map(id => commit(id, version)));
			if (version % 2 === 0)
				await db.query(
					`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					 WHERE application_name = 'valence-users-relay' AND datname = current_database()`
				);
		}
		await empty();
		await until(() => leader.isLeader !== standby.isLeader, "one leader");
		const both = streams.flatMap(({ published }) => published);
		for (const id of ids)
			for (let version = 1; version <= 6; version++)
				expect(both.some(e => e.aggregateid === id && e.aggregateversion === version)).toBe(true);
	});

	it("wake each other by NOTIFY: who commits need not be who leads", async () => {
		const { streams } = await pair();
		const id = randomUUID();
		await standbyDatabase.transaction(async tx => record(tx, id, 1));
		await empty();
		expect(streams[0].versionsOf(id)).toEqual([1]);
		// Only the leader's own process is spared the notification.
		expect([db.notify, standbyDatabase.notify]).toEqual([false, true]);
	});
});

describe("a lead that was lost", () => {
	const terminate = () =>
		db.query(
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			 WHERE application_name = 'valence-users-relay' AND datname = current_database()`
		);

	it("does not wait for what is stuck, nor publish it a second time meanwhile", async () => {
		const stream = new Recorder();
		const healed = gate();
		const begun: string[] = [];
		const stuck = randomUUID();
		stream.before = ({ aggregateid }) => {
			begun.push(aggregateid);
			return aggregateid === stuck ? healed.opened : undefined;
		};
		const relay = startRelay(stream);
		await commit(stuck, 1);
		await until(() => begun.length === 1, "the first publish");
		await terminate();
		await until(() => !relay.isLeader, "the loss");
		const other = randomUUID();
		await commit(other, 1);
		await until(() => stream.order.includes(`${other}@1`), "another one");
		expect(begun).toEqual([stuck, other]);
		healed.open();
		await empty();
		expect(begun).toEqual([stuck, other]);
	});
});

describe("an event that is refused", () => {
	const row = (id: string) =>
		db.one<{ aside: boolean; attempts: number; last_error: string }>(
			"SELECT failed_at IS NOT NULL AS aside, attempts, last_error FROM outbox WHERE aggregate_id = $1 AND aggregate_version = 1",
			[id]
		);
	const setAside = (...ids: string[]) =>
		until(
			async () => (await Promise.all(ids.map(row))).every(found => found!.aside),
			"they are set aside",
			15_000
		);
	const counted = async (metric: { get(): Promise<{ values: { value: number }[] }> }) =>
		(await metric.get()).values.reduce((sum, { value }) => sum + value, 0);

	it("again and again is set aside and holds up its aggregate alone, until somebody mends it", async () => {
		const stream = new Recorder();
		const [invalid, refused, failing, well] = Array.from({ length: 4 }, () => randomUUID()) as [
			string,
			string,
			string,
			string
		];
		let tries = 0;
		stream.before = ({ aggregateid }) => {
			if (aggregateid === refused) {
				tries++;
				throw new UnpublishableError("It is too large.");
			}
			if (aggregateid === failing) throw new Error("The stream is away.");
		};
		const before = await counted(metrics.setAside);
		startRelay(stream);
		// As code of another day may have left it.
		await db.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload)
			 VALUES (gen_random_uuid(), 'session.revoked.v1', 'session', $1, 1, '{"sessionId": "none"}')`,
			[invalid]
		);
		for (const id of [refused, failing]) await commit(id, 1);
		for (const id of [invalid, refused]) await commit(id, 2);
		await setAside(invalid, refused);
		await commit(well, 1);
		await until(() => stream.order.includes(`${well}@1`), "one that is well");
		expect(await row(invalid)).toEqual({
			aside: true,
			attempts: 10,
			last_error: expect.stringContaining("breaks its contract")
		});
		expect(await row(refused)).toEqual({
			aside: true,
			attempts: 10,
			last_error: "UnpublishableError: It is too large."
		});
		expect(await counted(metrics.setAside)).toBe(before + 2);
		// Trouble of the stream is no fault of the event's, however long it takes.
		expect(await row(failing)).toEqual({
			aside: false,
			attempts: 0,
			last_error: "Error: The stream is away."
		});
		expect(tries).toBe(10);
		expect(stream.order).toEqual([`${well}@1`]);

		stream.before = () => {};
		await db.query("UPDATE outbox SET payload = $2 WHERE aggregate_id = $1", [
			invalid,
			JSON.stringify(revoked(invalid))
		]);
		await db.query("UPDATE outbox SET failed_at = NULL WHERE failed_at IS NOT NULL");
		await empty();
		for (const id of [invalid, refused]) expect(stream.versionsOf(id)).toEqual([1, 2]);
		expect(stream.versionsOf(failing)).toEqual([1]);
	}, 30_000);
});

describe("what the outbox knows of the stream", () => {
	const marked = (id: string) =>
		db.one<{ published: boolean; stream_epoch: string | null }>(
			"SELECT published_at IS NOT NULL AS published, stream_epoch FROM outbox WHERE aggregate_id = $1",
			[id]
		);

	it("is nothing of a life of the stream that has ended", async () => {
		const stream = new Recorder();
		startRelay(stream);
		const [before, paused, after] = [randomUUID(), randomUUID(), randomUUID()];
		await commit(before, 1);
		await empty();
		// Another relay has seen a new life while this one stood still with a receipt of the one before.
		const held = gate();
		stream.before = ({ aggregateid }) => (aggregateid === paused ? held.opened : undefined);
		await commit(paused, 1);
		await db.query("UPDATE outbox_stream SET epoch = 'next'");
		held.open();
		await until(() => stream.versionsOf(paused).length > 0, "its publish");
		// It looks at the stream again, finds the life that it is in, and publishes once more.
		await until(async () => (await marked(paused))!.published, "the mark");
		expect(stream.versionsOf(paused)).toEqual([1, 1]);
		expect(await db.one("SELECT epoch FROM outbox_stream")).toEqual({ epoch: "local" });
		await commit(after, 1);
		await empty();
		expect(stream.versionsOf(after)).toEqual([1]);
	});

	it("may fail to be written down while the next event is published: it is published again", async () => {
		const stream = new Recorder();
		startRelay(stream);
		const id = randomUUID();
		const second = gate();
		let rounds = 0;
		stream.before = ({ aggregateversion }) => {
			if (aggregateversion === 1) rounds++;
			return aggregateversion === 2 && rounds === 1 ? second.opened : undefined;
		};
		await commit(randomUUID(), 1);
		await empty();
		const marking = jest.spyOn(db, "query").mockRejectedValueOnce(new Error("gone"));
		rounds = 0;
		await commit(id, 1, 2);
		await until(() => marking.mock.calls.length === 1, "the mark of the first");
		await new Promise(resolve => setTimeout(resolve, 20));
		marking.mockRestore();
		second.open();
		await empty();
		expect(stream.versionsOf(id)).toEqual([1, 2, 1]);
	});
});

describe("a process that dies in a handler, again and again", () => {
	it("ends with a dead letter, though the stream remembers nothing", async () => {
		const dead = () => db.one("SELECT reason FROM dead_letter");
		let deaths = 0;
		// Each life has a stream and a relay of its own; only the database stays.
		for (let life = 0; life < 2 * MAX_ATTEMPTS && !(await dead()); life++) {
			const stream = new LocalStream();
			const died = gate();
			let leftBehind = 0;
			const die: EventHandler = async () => {
				deaths++;
				leftBehind = await countedAttempts();
				throw Object.assign(new Error("killed"), { retryable: true });
			};
			const inbox = new Inbox({
				database: db,
				consumer: "audit",
				handlers: new Map([["session.revoked.v1", die]]),
				ordered: true,
				metrics,
				logger: silent
			});
			const consume = async (event: Envelope, deliveries: number): Promise<Verdict> => {
				const verdict = await inbox.consume(event, deliveries);
				if (verdict.done) return verdict;
				// A dead process takes nothing back, and delivers nothing more.
				await db.query("UPDATE inbox_attempt SET attempts = $1", [leftBehind]);
				died.open();
				return { done: false, delayMs: 60_000 };
			};
			await stream.subscribe({ name: "audit", aggregateTypes: ["session"], consume });
			const relay = startRelay(stream);
			if (life === 0) {
				await until(() => relay.isLeader, "the lead");
				await commit(randomUUID(), 1);
			}
			await Promise.race([died.opened, until(dead, "a dead letter")]);
			await stream.close();
			await relay.stop();
		}
		expect(await dead()).toEqual({ reason: "attempts exhausted" });
		expect(deaths).toBe(MAX_ATTEMPTS);
	});
	const countedAttempts = async (): Promise<number> =>
		(await db.one<{ attempts: number }>("SELECT attempts FROM inbox_attempt"))?.attempts ?? 0;
});

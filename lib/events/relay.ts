/** The publishing side: hands committed events from a group's outbox to the stream. */
import type { ServiceBroker } from "moleculer";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { crashPoint } from "../crash-point.ts";
import type { Database, Prepared, Queries } from "../database.ts";
import type { EventMetrics } from "../metrics.ts";
import { InvalidEventError, problemsOf } from "./catalog.ts";
import { OUTBOX_COLUMNS, toEnvelope, type Envelope, type OutboxRow } from "./envelope.ts";
import { healOutbox } from "./healing.ts";
import { UnpublishableError, type EventStream, type Receipt } from "./stream.ts";

export interface RelayOptions {
	readonly database: Database;
	readonly stream: EventStream;
	readonly metrics: EventMetrics;
	readonly logger: Pick<ServiceBroker["logger"], "info" | "warn" | "error">;
	/** Told of each event after the stream has it and the outbox knows. */
	readonly onPublished: (event: Envelope) => void;
	/** Aggregates published at once; those that take long do not count. */
	readonly concurrency?: number;
}

type RelayRow = OutboxRow & { readonly id: string; readonly attempts: number };

/** Every relay uses the same lock of its own database: one of them leads. */
const LEADER_LOCK = 0x72656c61;
const BATCH = 500;
/** Rows of one aggregate at once: a long backlog of one does not fill the batch. */
const BATCH_OF_ONE = 100;
/** Comes before every aggregate. */
const BEGINNING = ["", "00000000-0000-0000-0000-000000000000"] as const;
const POLL_MS = 250;
const STANDBY_MS = 200;
const HEARTBEAT_MS = 1_000;
/** PostgreSQL ends the session of a leader that says nothing for so long: a process that stands still must not keep the lead. */
const LEASE_MS = 3_000;
const HEAL_EVERY_MS = 60_000;
const MAX_DELAY_MS = 30_000;
/** Refusals after which a row is set aside. Between them whoever can may mend what is wrong. */
const MAX_REFUSALS = 10;
const REFUSED_DELAY_MS = 1_000;
/** A publish that takes longer (a consumer that cannot do its work, a stream that is away) makes room for others. */
const PATIENCE_MS = 500;

/**
 * Each node of a group runs a relay; the one that holds the database's advisory lock publishes.
 * It selects by state and never by a cursor (a slower transaction may commit a smaller id later),
 * and has at most one publish of an aggregate in flight, so that the stream gets them in order.
 */
export class Relay {
	readonly #options: Required<RelayOptions>;
	readonly #marks: Marks;
	/** Aggregates that wait for room, are being published, or wait after a failure. */
	readonly #active = new Set<string>();
	#waiting: [key: string, rows: readonly RelayRow[]][] = [];
	readonly #chains = new Set<Promise<void>>();
	/** How often in a row the publishes of an aggregate have failed. */
	readonly #failures = new Map<string, number>();
	/** Chains that count against the concurrency. */
	#busy = 0;
	#wake: () => void = () => {};
	#nudged = false;
	#stopping = false;
	#leader = false;
	/** When it last looked into the outbox. */
	#spokeAt = 0;
	/** The aggregate after which it looks next. */
	#from: readonly [type: string, id: string] = BEGINNING;
	/** Undefined where the stream may have lost something since. */
	#healedAt: number | undefined;
	#healing = false;
	/** Publishes whose outcome is not known yet. */
	readonly #publishing = new Set<Promise<unknown>>();
	#leftover = 0n;
	#loop: Promise<void> = Promise.resolve();

	constructor(options: RelayOptions) {
		this.#options = { concurrency: 64, ...options };
		this.#marks = new Marks(options.database);
	}

	/** Whether this relay is the one that publishes. */
	get isLeader(): boolean {
		return this.#leader;
	}

	start(): void {
		const { database, stream } = this.#options;
		database.onRecorded = () => this.nudge();
		stream.onBack(() => {
			this.#healedAt = undefined;
			this.nudge();
		});
		this.#loop = this.#run();
	}

	/** There is something new in the outbox. */
	nudge(): void {
		this.#nudged = true;
		// A standby looks for the lead at its own pace.
		if (this.#leader) this.#wake();
	}

	/** Publishes nothing new, waits for what is in flight, and gives up the lead. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#wake();
		await this.#loop;
		await Promise.allSettled(this.#chains);
	}

	async #run(): Promise<void> {
		const { database, logger } = this.#options;
		while (!this.#stopping) {
			const client = new pg.Client({
				connectionString: database.url,
				connectionTimeoutMillis: 3_000,
				query_timeout: 10_000,
				keepAlive: true,
				application_name: `valence-${database.group}-relay`
			});
			const lost = new Promise<void>(resolve => {
				client.on("error", () => resolve());
				client.on("end", () => resolve());
			});
			try {
				await client.connect();
				await this.#lead(client, lost);
			} catch (error) {
				if (!this.#stopping) logger.warn(`relay of ${database.group}: ${String(error)}`);
			} finally {
				this.#leader = false;
				database.notify = true;
				this.#dropWaiting();
				// Who leads next need not repeat what is under way. A lead that was lost waits for nothing: a consumer
				// may be stuck, and the next lead leaves the aggregates that are under way alone.
				if (this.#stopping) await Promise.allSettled(this.#chains);
				// A server that is cut off would keep us waiting.
				await Promise.race([client.end().catch(() => {}), sleep(1_000, undefined, { ref: false })]);
			}
			if (!this.#stopping) await this.#pause(STANDBY_MS);
		}
	}

	async #lead(client: pg.Client, lost: Promise<void>): Promise<void> {
		let up = true;
		void lost.then(() => {
			up = false;
			this.#wake();
		});
		await client.query(`SET idle_session_timeout = ${LEASE_MS}`);
		while (up && !this.#stopping) {
			const { rows } = await client.query<{ locked: boolean }>(
				"SELECT pg_try_advisory_lock($1) AS locked",
				[LEADER_LOCK]
			);
			if (rows[0]?.locked) break;
			await this.#pause(STANDBY_MS);
		}
		if (!up || this.#stopping) return;
		const heartbeat = setInterval(() => {
			if (Date.now() - this.#spokeAt >= HEARTBEAT_MS) client.query("SELECT 1").catch(() => {});
		}, HEARTBEAT_MS);
		try {
			await this.#publishWhile(() => up && !this.#stopping, client);
		} finally {
			clearInterval(heartbeat);
		}
	}

	async #publishWhile(mayLead: () => boolean, client: pg.Client): Promise<void> {
		client.on("notification", () => this.nudge());
		await client.query("LISTEN outbox");
		this.#leftover = await this.#newest(client);
		this.#leader = true;
		// Commits of this process nudge us directly; other processes still notify.
		this.#options.database.notify = false;
		this.#healedAt = undefined;
		while (mayLead()) {
			this.#nudged = false;
			if (!this.#options.stream.isUp()) {
				await this.#pause(STANDBY_MS);
				continue;
			}
			if (Date.now() - (this.#healedAt ?? 0) > HEAL_EVERY_MS && !(await this.#heal(client))) {
				await this.#pause(STANDBY_MS);
				continue;
			}
			if (this.#waiting.length < this.#options.concurrency) {
				const { rows, isAll } = await this.#select(client);
				this.#spokeAt = Date.now();
				// An empty look, as there are four a second, leaves nothing behind.
				if (rows.length > 0) crashPoint("relay.after-select");
				this.#enqueue(rows);
				if (this.#nudged || (!isAll && this.#hasRoom())) continue;
			}
			await this.#pause(POLL_MS);
		}
	}

	/** What is in the outbox at the start may have been published by a process that died. */
	async #newest(client: pg.Client): Promise<bigint> {
		const { rows } = await client.query<{ id: string | null }>(
			"SELECT max(id) AS id FROM outbox WHERE published_at IS NULL"
		);
		return BigInt(rows[0]?.id ?? 0);
	}

	/** False where the stream cannot say what it has: then nothing is published, which would only cover up a loss. */
	async #heal(client: pg.Client): Promise<boolean> {
		const { database, stream, logger, metrics } = this.#options;
		this.#healing = true;
		try {
			// It may come back once more while we look.
			this.#healedAt = Date.now();
			if (stream.kept) {
				// They were selected before what is taken back now, and would overtake it.
				this.#dropWaiting();
				await this.#quiet();
			}
			const lost = await healOutbox(queriesOf(client), stream);
			if (lost > 0) {
				metrics.healed.inc({ group: database.group }, lost);
				logger.error(
					`relay of ${database.group}: the stream has lost events; ${lost} are published again.`
				);
			}
			return true;
		} catch (error) {
			this.#healedAt = undefined;
			if (!this.#stopping)
				logger.warn(
					`relay of ${database.group}: it is not known yet what the stream has: ${String(error)}`
				);
			return false;
		} finally {
			this.#healing = false;
			this.#begin();
		}
	}

	/** Whether this relay leads and nothing is known of a loss, so that no new event can take the place of a lost one. */
	get #mayPublish(): boolean {
		return this.#leader && this.#healedAt !== undefined && !this.#healing && !this.#stopping;
	}

	/** Forgets what has not begun; it is selected anew. */
	#dropWaiting(): void {
		for (const [key] of this.#waiting.splice(0)) this.#active.delete(key);
	}

	/** Resolves when it is known, and written down, what became of all that was being published. */
	async #quiet(): Promise<void> {
		await Promise.allSettled(this.#publishing);
		await this.#marks.flushed();
	}

	/** Looks from one aggregate to the next, and goes on where it ended: so it costs what it finds, however much there is. */
	async #select(client: pg.Client): Promise<{ rows: RelayRow[]; isAll: boolean }> {
		const from = this.#from;
		const { rows } = await client.query<RelayRow>({
			name: "relay-select",
			text: SELECT,
			values: [[...this.#active], ...from]
		});
		const last = rows.length < BATCH ? undefined : rows.at(-1)!;
		this.#from = last ? [last.aggregate_type, last.aggregate_id] : BEGINNING;
		// The oldest first.
		rows.sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
		return { rows, isAll: !last && from === BEGINNING };
	}

	/** Makes a chain of each aggregate's rows; as many as there is room for begin at once. */
	#enqueue(rows: readonly RelayRow[]): void {
		const chains = new Map<string, RelayRow[]>();
		for (const row of rows) {
			const key = `${row.aggregate_type}/${row.aggregate_id}`;
			const chain = chains.get(key);
			if (chain) chain.push(row);
			else chains.set(key, [row]);
		}
		for (const [key, chain] of chains) {
			this.#active.add(key);
			this.#waiting.push([key, chain]);
		}
		this.#begin();
	}

	#hasRoom(): boolean {
		return this.#busy < this.#options.concurrency;
	}

	#begin(): void {
		while (this.#hasRoom() && this.#mayPublish) {
			const next = this.#waiting.shift();
			if (!next) return;
			const [key, rows] = next;
			const leave = this.#takeRoom();
			const run = this.#publishChain(key, rows).finally(() => {
				this.#chains.delete(run);
				leave();
			});
			this.#chains.add(run);
		}
	}

	/** Counts one chain as busy, until it is done or has taken too long. */
	#takeRoom(): () => void {
		this.#busy++;
		const leave = () => {
			clearTimeout(timer);
			if (left) return;
			left = true;
			this.#busy--;
			this.#begin();
			if (this.#waiting.length < this.#options.concurrency) this.nudge();
		};
		let left = false;
		const timer = setTimeout(leave, PATIENCE_MS);
		return leave;
	}

	async #publishChain(key: string, rows: readonly RelayRow[]): Promise<void> {
		const { database, onPublished } = this.#options;
		const marked: Promise<void>[] = [];
		try {
			for (const row of rows) {
				// The rest is selected anew.
				if (!this.#mayPublish) break;
				const event = toEnvelope(row, database.group);
				const receipt = await this.#publish(row, event);
				crashPoint("relay.after-puback");
				// The next one need not wait until the outbox knows; the aggregate as a whole does.
				const mark = this.#marks.add(row.id, receipt).then(() => {
					crashPoint("relay.after-mark");
					onPublished(event);
				});
				// It may fail while the next one is being published, and be met only then.
				mark.catch(() => {});
				marked.push(mark);
			}
			await Promise.all(marked);
		} catch (error) {
			await Promise.allSettled(marked);
			if (error instanceof NewLifeError) this.#healedAt = undefined;
			// What comes after it has to wait for the next start.
			if (!this.#stopping) this.#releaseLater(key);
			else this.#active.delete(key);
			this.#options.logger.warn(`relay of ${database.group}: ${key} waits: ${String(error)}`);
			return;
		}
		this.#failures.delete(key);
		this.#active.delete(key);
	}

	async #publish(row: RelayRow, event: Envelope): Promise<Receipt> {
		const { stream, database, metrics } = this.#options;
		const { group } = database;
		try {
			const problems = problemsOf(row.type, row.payload);
			if (problems.length > 0) throw new InvalidEventError(row.type, problems);
			crashPoint("relay.before-publish");
			const began = performance.now();
			const publishing = stream.publish(event, BigInt(row.id) <= this.#leftover);
			this.#publishing.add(publishing);
			const receipt = await publishing.finally(() => this.#publishing.delete(publishing));
			metrics.publish.observe({ group }, (performance.now() - began) / 1_000);
			metrics.published.inc({ group });
			metrics.recordedToPublished.observe({ group }, (Date.now() - Date.parse(event.time)) / 1_000);
			return receipt;
		} catch (error) {
			metrics.publishFailures.inc({ group });
			await this.#noteFailure(row, error).catch(() => {});
			throw error;
		}
	}

	/** A row that is refused again and again is set aside, where an operator sees it; its aggregate waits. */
	async #noteFailure(row: RelayRow, error: unknown): Promise<void> {
		const { database, logger, metrics } = this.#options;
		const refused = error instanceof InvalidEventError || error instanceof UnpublishableError;
		const aside = await database.one<{ failed_at: Date | null }>(
			`UPDATE outbox SET last_error = $2, attempts = attempts + $3::int,
			   failed_at = CASE WHEN $3::int = 1 AND attempts + 1 >= $4 THEN clock_timestamp() END
			 WHERE id = $1 AND published_at IS NULL RETURNING failed_at`,
			[row.id, String(error), refused ? 1 : 0, MAX_REFUSALS]
		);
		if (!aside?.failed_at) return;
		metrics.setAside.inc({ group: database.group });
		logger.error(
			`relay of ${database.group}: ${row.type} ${row.event_id} is set aside and holds up its aggregate: ${String(error)}`
		);
	}

	/** Only this aggregate waits; the others go on. */
	#releaseLater(key: string): void {
		const failures = (this.#failures.get(key) ?? 0) + 1;
		this.#failures.set(key, failures);
		const delay = Math.min(
			failures <= MAX_REFUSALS ? REFUSED_DELAY_MS : MAX_DELAY_MS,
			50 * 2 ** Math.min(failures, 10)
		);
		const timer = setTimeout(() => {
			this.#active.delete(key);
			this.nudge();
		}, delay);
		timer.unref();
	}

	/** Waits until woken, at most so long. */
	#pause(ms: number): Promise<void> {
		if (this.#nudged && this.#leader) return Promise.resolve();
		return new Promise(resolve => {
			const timer = setTimeout(resolve, ms);
			this.#wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}
}

/**
 * Selected by state: whatever is not published, of aggregates that are not at work ($1) nor held up,
 * after the aggregate that was the last one ($2, $3). The recursion finds the next aggregate by the
 * index, without passing over the rows between.
 */
const SELECT = `WITH RECURSIVE head AS (
		(SELECT aggregate_type, aggregate_id FROM outbox
			WHERE published_at IS NULL AND (aggregate_type, aggregate_id) > ($2::text, $3::uuid)
			ORDER BY aggregate_type, aggregate_id LIMIT 1)
		UNION ALL
		SELECT next.* FROM head CROSS JOIN LATERAL (
			SELECT o.aggregate_type, o.aggregate_id FROM outbox o
			WHERE o.published_at IS NULL
				AND (o.aggregate_type, o.aggregate_id) > (head.aggregate_type, head.aggregate_id)
			ORDER BY o.aggregate_type, o.aggregate_id LIMIT 1) next)
	SELECT o.* FROM head CROSS JOIN LATERAL (
		SELECT id, attempts, ${OUTBOX_COLUMNS} FROM outbox o
		WHERE o.published_at IS NULL
			AND o.aggregate_type = head.aggregate_type AND o.aggregate_id = head.aggregate_id
		ORDER BY o.aggregate_version LIMIT ${BATCH_OF_ONE}) o
	WHERE head.aggregate_type || '/' || head.aggregate_id <> ALL ($1::text[])
		AND NOT EXISTS (SELECT FROM outbox f WHERE f.failed_at IS NOT NULL
			AND f.aggregate_type = head.aggregate_type AND f.aggregate_id = head.aggregate_id)
	LIMIT ${BATCH}`;

const queriesOf = (client: pg.Client): Pick<Queries, "query"> => ({
	query: async <Row extends object>(sql: string, bind: readonly unknown[] = []) =>
		(await client.query<Row>(sql, [...bind])).rows
});

/** The stream has another life by now than the one that an event was published in. */
class NewLifeError extends Error {
	constructor() {
		super("The stream began a new life meanwhile.");
	}
}

// Not where the stream has another life by now: a relay that was paused may bring word of the one before.
const MARK: Prepared = {
	name: "relay-mark",
	text: `UPDATE outbox o SET published_at = clock_timestamp(), stream_seq = m.seq, stream_epoch = m.epoch
		FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS m(id, seq, epoch), outbox_stream s
		WHERE o.id = m.id AND s.epoch = m.epoch RETURNING o.id`
};

/** Writes down what was published, many rows at a time: while one write is under way the next ones gather. */
class Marks {
	readonly #database: Database;
	#gathered: {
		readonly id: string;
		readonly receipt: Receipt;
		readonly done: () => void;
		readonly failed: (error: unknown) => void;
	}[] = [];
	#writing: Promise<void> | undefined;

	constructor(database: Database) {
		this.#database = database;
	}

	/** Resolves when the outbox knows where this row is. */
	add(id: string, receipt: Receipt): Promise<void> {
		return new Promise((done, failed) => {
			this.#gathered.push({ id, receipt, done, failed });
			this.#writing ??= this.#write().finally(() => {
				this.#writing = undefined;
			});
		});
	}

	/** Resolves when nothing waits to be written. */
	async flushed(): Promise<void> {
		await this.#writing;
	}

	async #write(): Promise<void> {
		// Those of the same turn of the event loop go together.
		await Promise.resolve();
		while (this.#gathered.length > 0) {
			const marks = this.#gathered;
			this.#gathered = [];
			try {
				const rows = await this.#database.query<{ id: string }>(MARK, [
					marks.map(({ id }) => id),
					marks.map(({ receipt }) => receipt.sequence),
					marks.map(({ receipt }) => receipt.epoch)
				]);
				const known = new Set(rows.map(({ id }) => id));
				for (const { id, done, failed } of marks)
					if (known.has(id)) done();
					else failed(new NewLifeError());
			} catch (error) {
				for (const { failed } of marks) failed(error);
			}
		}
	}
}

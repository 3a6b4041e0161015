/** The publishing side: hands committed events from a group's outbox to the stream. */
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import type { Database } from "../database.ts";
import type { Envelope } from "./envelope.ts";
import type { EventStream, Receipt } from "./stream.ts";

export interface RelayOptions {
	readonly database: Database;
	readonly stream: EventStream;
	readonly logger: Pick<ServiceBroker["logger"], "info" | "warn" | "error">;
	/** Told of each event after the stream has it and the outbox knows. */
	readonly onPublished: (event: Envelope) => void;
	/** Aggregates published at once; those that take long do not count. */
	readonly concurrency?: number;
}

interface OutboxRow {
	readonly id: string;
	readonly event_id: string;
	readonly type: string;
	readonly aggregate_type: string;
	readonly aggregate_id: string;
	readonly aggregate_version: number;
	readonly payload: unknown;
	readonly headers: Record<string, string>;
	readonly created_at: Date;
	readonly attempts: number;
}

/** Every relay uses the same lock of its own database: one of them leads. */
const LEADER_LOCK = 0x72656c61;
const BATCH = 200;
const POLL_MS = 250;
const STANDBY_MS = 200;
const HEARTBEAT_MS = 1_000;
const MAX_DELAY_MS = 30_000;
/** A publish that takes longer (a consumer that cannot do its work, a stream that is away) makes room for others. */
const PATIENCE_MS = 500;

/**
 * Each node of a group runs a relay; the one that holds the database's advisory lock publishes.
 * It selects by state and never by a cursor (a slower transaction may commit a smaller id later),
 * and has at most one publish of an aggregate in flight, so that the stream gets them in order.
 */
export class Relay {
	readonly #options: Required<RelayOptions>;
	/** Aggregates being published, or waiting after a failure. */
	readonly #active = new Set<string>();
	readonly #chains = new Set<Promise<void>>();
	/** Chains that count against the concurrency. */
	#busy = 0;
	#wake: () => void = () => {};
	#nudged = false;
	#stopping = false;
	#leader = false;
	#loop: Promise<void> = Promise.resolve();

	constructor(options: RelayOptions) {
		this.#options = { concurrency: 16, ...options };
	}

	/** Whether this relay is the one that publishes. */
	get isLeader(): boolean {
		return this.#leader;
	}

	start(): void {
		this.#options.database.onRecorded = () => this.nudge();
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
				// Who leads next need not repeat what is under way. A lead that was lost waits for nothing: a consumer
				// may be stuck, and the next lead leaves the aggregates that are under way alone.
				if (this.#stopping) await Promise.allSettled(this.#chains);
				await client.end().catch(() => {});
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
		while (up && !this.#stopping) {
			const { rows } = await client.query<{ locked: boolean }>(
				"SELECT pg_try_advisory_lock($1) AS locked",
				[LEADER_LOCK]
			);
			if (rows[0]?.locked) break;
			await this.#pause(STANDBY_MS);
		}
		if (!up || this.#stopping) return;
		client.on("notification", () => this.nudge());
		await client.query("LISTEN outbox");
		this.#leader = true;
		// Commits of this process nudge us directly; other processes still notify.
		this.#options.database.notify = false;
		const leftover = await this.#newest(client);
		let lastQuery = 0;
		while (up && !this.#stopping) {
			this.#nudged = false;
			const room = this.#options.concurrency - this.#busy;
			if (room > 0) {
				const rows = await this.#select(client);
				lastQuery = Date.now();
				this.#dispatch(rows, room, leftover);
				// A full batch may have been one aggregate's, and hidden the others.
				if (this.#nudged || rows.length === BATCH) continue;
			} else if (Date.now() - lastQuery > HEARTBEAT_MS) {
				await client.query("SELECT 1");
				lastQuery = Date.now();
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

	async #select(client: pg.Client): Promise<OutboxRow[]> {
		const { rows } = await client.query<OutboxRow>(
			`SELECT id, event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers, created_at, attempts
			 FROM outbox WHERE published_at IS NULL AND NOT (aggregate_type || '/' || aggregate_id = ANY ($1::text[]))
			 ORDER BY id LIMIT ${BATCH}`,
			[[...this.#active]]
		);
		return rows;
	}

	/** Starts a chain for each of the first `room` aggregates; the rest is selected again when there is room. */
	#dispatch(rows: readonly OutboxRow[], room: number, leftover: bigint): void {
		const byAggregate = new Map<string, OutboxRow[]>();
		for (const row of rows) {
			const key = `${row.aggregate_type}/${row.aggregate_id}`;
			const chain = byAggregate.get(key);
			if (chain) chain.push(row);
			else if (byAggregate.size < room) byAggregate.set(key, [row]);
		}
		for (const [key, chain] of byAggregate) {
			this.#active.add(key);
			const leave = this.#takeRoom();
			const run = this.#publishChain(key, chain, leftover).finally(() => {
				this.#chains.delete(run);
				leave();
				this.nudge();
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
			this.nudge();
		};
		let left = false;
		const timer = setTimeout(leave, PATIENCE_MS);
		return leave;
	}

	async #publishChain(key: string, rows: readonly OutboxRow[], leftover: bigint): Promise<void> {
		const { stream, database, logger, onPublished } = this.#options;
		for (const row of rows) {
			if (this.#stopping) break;
			const event = toEnvelope(row, database.group);
			try {
				const receipt = await stream.publish(event, BigInt(row.id) <= leftover);
				await mark(database, row, receipt);
			} catch (error) {
				// What comes after it has to wait for the next start.
				if (this.#stopping) break;
				logger.warn(
					`relay of ${database.group}: ${row.type} ${row.event_id} is not published yet: ${String(error)}`
				);
				await database
					.query("UPDATE outbox SET attempts = attempts + 1, last_error = $2 WHERE id = $1", [
						row.id,
						String(error)
					])
					.catch(() => {});
				// Only this aggregate waits; the others go on.
				this.#release(key, Math.min(MAX_DELAY_MS, 100 * 2 ** Math.min(row.attempts, 10)));
				return;
			}
			onPublished(event);
		}
		this.#active.delete(key);
	}

	#release(key: string, delayMs: number): void {
		const timer = setTimeout(() => {
			this.#active.delete(key);
			this.nudge();
		}, delayMs);
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

async function mark(
	database: Database,
	row: OutboxRow,
	{ sequence, epoch }: Receipt
): Promise<void> {
	await database.query(
		"UPDATE outbox SET published_at = clock_timestamp(), stream_seq = $2, stream_epoch = $3 WHERE id = $1",
		[row.id, sequence, epoch]
	);
}

function toEnvelope(row: OutboxRow, group: string): Envelope {
	const { correlationId, causationId, requestId, traceparent } = row.headers;
	return {
		specversion: "1.0",
		id: row.event_id,
		type: row.type,
		source: `/valence/${group}`,
		subject: `${row.aggregate_type}/${row.aggregate_id}`,
		time: row.created_at.toISOString(),
		datacontenttype: "application/json",
		data: row.payload,
		aggregatetype: row.aggregate_type,
		aggregateid: row.aggregate_id,
		aggregateversion: row.aggregate_version,
		correlationid: correlationId ?? row.aggregate_id,
		...(causationId ? { causationid: causationId } : {}),
		...(requestId ? { requestid: requestId } : {}),
		...(traceparent ? { traceparent } : {})
	};
}

/** One group's database: its pool, its transactions, and the facts recorded in them. */
import { Sequelize, type Transaction, QueryTypes } from "sequelize";
import type { Events, Fact } from "../contracts/index.ts";
import { currentContext, type WorkContext } from "./context.ts";
import { aggregateType } from "./events/envelope.ts";
import { uuidv7 } from "./uuid.ts";

/** Runs SQL with `$1`-style parameters. Rows come as plain objects. */
export interface Queries {
	query<Row extends object>(sql: string, bind?: readonly unknown[]): Promise<Row[]>;
	/** The first row, if any. */
	one<Row extends object>(sql: string, bind?: readonly unknown[]): Promise<Row | undefined>;
}

/** An aggregate as an event names it; `version` is the one that this event brings about. */
export interface Versioned {
	readonly id: string;
	readonly version: number;
}

/** An open transaction. */
export interface Tx extends Queries {
	/** For Sequelize models: `Model.create(values, { transaction: tx.transaction })`. */
	readonly transaction: Transaction;
	/**
	 * Records a fact: it is stored with this transaction, and published after it has committed.
	 * Call it after the aggregate's row was written here, so that the row's lock puts the events of
	 * one aggregate in the order of their commits.
	 * Throws a RangeError for data of more than 900 kB, which no stream would take.
	 */
	record<K extends Fact>(type: K, aggregate: Versioned, data: Events[K]): void;
	/** Runs when the transaction has committed; for wake-ups, nothing that must happen. */
	afterCommit(work: () => void): void;
}

interface Recorded {
	readonly event_id: string;
	readonly type: string;
	readonly aggregate_type: string;
	readonly aggregate_id: string;
	readonly aggregate_version: number;
	readonly payload: unknown;
	readonly headers: Record<string, string>;
}

const MAX_DATA_BYTES = 900_000;

export class Database {
	readonly group: string;
	readonly url: string;
	readonly sequelize: Sequelize;
	/** Told after each commit that recorded events; true when the relay runs in this process. */
	onRecorded: (() => void) | undefined;
	/** False while the leading relay is in this process: then the nudge does, and NOTIFY's lock is saved. */
	notify = true;

	constructor(group: string, url: string, { poolSize = 10 } = {}) {
		this.group = group;
		this.url = url;
		this.sequelize = new Sequelize(url, {
			dialect: "postgres",
			logging: false,
			pool: { max: poolSize, min: 0, acquire: 10_000, idle: 30_000 },
			dialectOptions: {
				application_name: `valence-${group}`,
				statement_timeout: 4_000,
				// Where the server cannot say so any more.
				query_timeout: 6_000,
				idle_in_transaction_session_timeout: 10_000,
				connectionTimeoutMillis: 3_000,
				keepAlive: true
			}
		});
	}

	query<Row extends object>(sql: string, bind: readonly unknown[] = []): Promise<Row[]> {
		return select<Row>(this.sequelize, undefined, sql, bind);
	}

	async one<Row extends object>(
		sql: string,
		bind: readonly unknown[] = []
	): Promise<Row | undefined> {
		return (await this.query<Row>(sql, bind))[0];
	}

	/**
	 * Runs `work` in one transaction and returns what it returns. Whatever it throws rolls back
	 * everything, recorded facts included, and is thrown on.
	 */
	async transaction<T>(
		work: (tx: Tx) => Promise<T>,
		context: WorkContext = currentContext()
	): Promise<T> {
		const recorded: Recorded[] = [];
		const after: (() => void)[] = [];
		const result = await this.sequelize.transaction(async transaction => {
			const query = <Row extends object>(sql: string, bind: readonly unknown[] = []) =>
				select<Row>(this.sequelize, transaction, sql, bind);
			const answer = await work({
				transaction,
				query,
				one: async <Row extends object>(sql: string, bind: readonly unknown[] = []) =>
					(await query<Row>(sql, bind))[0],
				record: (type, aggregate, data) => {
					recorded.push(toRecorded(type, aggregate, data, context));
				},
				afterCommit: run => {
					after.push(run);
				}
			});
			if (recorded.length > 0) await this.#store(recorded, transaction);
			return answer;
		});
		if (recorded.length > 0) this.onRecorded?.();
		for (const run of after) run();
		return result;
	}

	async #store(recorded: readonly Recorded[], transaction: Transaction): Promise<void> {
		await select(
			this.sequelize,
			transaction,
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers)
			 SELECT event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers
			 FROM jsonb_to_recordset($1::jsonb) AS e(event_id uuid, type text, aggregate_type text,
			   aggregate_id uuid, aggregate_version int, payload jsonb, headers jsonb)`,
			[JSON.stringify(recorded)]
		);
		if (this.notify)
			await select(this.sequelize, transaction, "SELECT pg_notify('outbox', '')", []);
	}

	async close(): Promise<void> {
		await this.sequelize.close();
	}
}

function toRecorded(
	type: string,
	{ id, version }: Versioned,
	payload: unknown,
	{ correlationId = id, causationId, requestId, traceparent }: WorkContext
): Recorded {
	const bytes = Buffer.byteLength(JSON.stringify(payload));
	if (bytes > MAX_DATA_BYTES)
		throw new RangeError(
			`The data of ${type} has ${bytes} bytes; at most ${MAX_DATA_BYTES} can be published.`
		);
	const headers = { correlationId, causationId, requestId, traceparent };
	return {
		event_id: uuidv7(),
		type,
		aggregate_type: aggregateType(type),
		aggregate_id: id,
		aggregate_version: version,
		payload,
		headers: JSON.parse(JSON.stringify(headers)) as Record<string, string>
	};
}

async function select<Row extends object>(
	sequelize: Sequelize,
	transaction: Transaction | undefined,
	sql: string,
	bind: readonly unknown[]
): Promise<Row[]> {
	return sequelize.query<Row>(sql, {
		bind: [...bind],
		type: QueryTypes.SELECT,
		raw: true,
		...(transaction ? { transaction } : {})
	});
}

const RETRYABLE_STATES = /^(?:08|53|57P0|40001|40P01|55P03|57014)/;

/** Whether it was the database's (or the network's) trouble and the same work may well succeed later. */
export function isRetryable(error: unknown): boolean {
	if (!(error instanceof Error)) return false;
	const { name, parent, code, retryable } = error as Error & {
		parent?: { code?: string };
		code?: unknown;
		retryable?: boolean;
	};
	if (retryable === true) return true;
	if (/^Sequelize(?:Connection|HostNot|AccessDenied|Timeout)/.test(name)) return true;
	const state = parent?.code ?? code;
	return (
		typeof state === "string" &&
		(RETRYABLE_STATES.test(state) || /^E(?:CONN|PIPE|TIMEDOUT|HOST)/.test(state))
	);
}

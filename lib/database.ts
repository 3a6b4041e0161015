/** One group's database: its pool, its transactions, and the facts recorded in them. */
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Sequelize, Transaction } from "sequelize";
import type { Events, Fact } from "../contracts/index.ts";
import { currentContext, type WorkContext } from "./context.ts";
import { crashPoint } from "./crash-point.ts";
import { InvalidEventError, isKnown, problemsOf } from "./events/catalog.ts";
import { aggregateType } from "./events/envelope.ts";
import { StartupError } from "./startup-error.ts";
import { uuidv7 } from "./uuid.ts";

/**
 * A statement that each connection parses and plans once, under its name. For those that every order
 * or event passes; the name stands for this one text, for ever.
 */
export interface Prepared {
	readonly name: string;
	readonly text: string;
}

/** Runs SQL with `$1`-style parameters. Rows come as plain objects. */
export interface Queries {
	query<Row extends object>(sql: string | Prepared, bind?: readonly unknown[]): Promise<Row[]>;
	/** The first row, if any. */
	one<Row extends object>(
		sql: string | Prepared,
		bind?: readonly unknown[]
	): Promise<Row | undefined>;
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
	 * Throws an InvalidEventError for data that breaks the event's contract, and a RangeError for
	 * data of more than 900 kB, which no stream would take.
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

/** At once, it would take the same lock again before the one that it was undone for has been woken. */
const REPEAT_AFTER_MS = 40;

const LIMITS = {
	statement_timeout: 4_000,
	// Where the server cannot say so any more.
	query_timeout: 6_000,
	idle_in_transaction_session_timeout: 10_000,
	connectionTimeoutMillis: 3_000,
	keepAlive: true
};

/** For a statement that works through a whole table. `pg` takes it, but its types do not know. */
const PATIENT: object = { query_timeout: 600_000 };

const RECORD: Prepared = {
	name: "record",
	text: `INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers)
		SELECT event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers
		FROM jsonb_to_recordset($1::jsonb) AS e(event_id uuid, type text, aggregate_type text,
			aggregate_id uuid, aggregate_version int, payload jsonb, headers jsonb)`
};

const statement = (sql: string | Prepared, bind: readonly unknown[]): pg.QueryConfig => ({
	...(typeof sql === "string" ? { text: sql } : sql),
	values: [...bind]
});

/** A transaction that has committed, and what is to be done now. */
interface Attempt<T> {
	readonly answers: T[];
	readonly hasRecorded: boolean;
	readonly after: readonly (() => void)[];
}

/** A part of a transaction, and on whose behalf it is done. */
export interface Work<T> {
	readonly work: (tx: Tx) => Promise<T>;
	readonly context: WorkContext;
}

export interface TransactionOptions {
	/** For maintenance that moves much: its statements may take long, and it may wait between them. */
	readonly patient?: boolean;
	/** How long each piece of work may take; then it is undone with an OverrunError. */
	readonly budgetMs?: number;
	/**
	 * True where `work` does nothing outside the transaction: it is done once more where PostgreSQL has undone
	 * it in favour of another transaction (a deadlock, a serialization failure).
	 */
	readonly repeatable?: boolean;
}

/** Work in a transaction took longer than it may, and would have held its locks for ever. */
export class OverrunError extends Error {
	constructor(budgetMs: number) {
		super(`It took longer than ${budgetMs} ms in its transaction.`);
		this.name = "OverrunError";
	}
}

async function within<T>(budgetMs: number | undefined, work: Promise<T>): Promise<T> {
	if (budgetMs === undefined) return work;
	let timer: NodeJS.Timeout | undefined;
	const overrun = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new OverrunError(budgetMs)), budgetMs);
	});
	return Promise.race([work, overrun]).finally(() => clearTimeout(timer));
}

export class Database {
	readonly group: string;
	readonly url: string;
	readonly #pool: pg.Pool;
	#sequelize: Sequelize | undefined;
	/** Told after each commit that recorded events; set when the relay runs in this process. */
	onRecorded: (() => void) | undefined;
	/** False while the leading relay is in this process: then the nudge does, and NOTIFY's lock is saved. */
	notify = true;

	constructor(group: string, url: string, { poolSize = 10 } = {}) {
		this.group = group;
		this.url = url;
		this.#pool = new pg.Pool({
			connectionString: url,
			application_name: `valence-${group}`,
			max: poolSize,
			idleTimeoutMillis: 30_000,
			...LIMITS
		});
		// A connection that breaks while nobody uses it; the next query opens another one.
		this.#pool.on("error", () => {});
	}

	/**
	 * For Sequelize models, with connections of its own: at most two, since they only read. Inside a
	 * transaction a model uses the transaction's connection.
	 */
	get sequelize(): Sequelize {
		this.#sequelize ??= new Sequelize(this.url, {
			dialect: "postgres",
			logging: false,
			pool: { max: 2, min: 0, acquire: 10_000, idle: 30_000 },
			dialectOptions: { application_name: `valence-${this.group}-models`, ...LIMITS }
		});
		return this.#sequelize;
	}

	async query<Row extends object>(
		sql: string | Prepared,
		bind: readonly unknown[] = []
	): Promise<Row[]> {
		return (await this.#pool.query<Row>(statement(sql, bind))).rows;
	}

	async one<Row extends object>(
		sql: string | Prepared,
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
		context: WorkContext = currentContext(),
		options: TransactionOptions = {}
	): Promise<T> {
		const [answer] = await this.together([{ work, context }], options);
		return answer as T;
	}

	/**
	 * Runs several pieces of work one after the other in one transaction, each on behalf of its own
	 * context. All of it happens, or nothing: what one throws undoes the others too, and is thrown on.
	 */
	async together<T>(pieces: readonly Work<T>[], options: TransactionOptions = {}): Promise<T[]> {
		const { answers, hasRecorded, after } = await this.#attempt(pieces, options).catch(
			async (error: unknown) => {
				if (!options.repeatable || !isUndone(error)) throw error;
				await sleep(REPEAT_AFTER_MS * (0.5 + Math.random()));
				return this.#attempt(pieces, options);
			}
		);
		if (hasRecorded) {
			crashPoint("writer.after-commit");
			this.onRecorded?.();
		}
		for (const run of after) run();
		return answers;
	}

	async #attempt<T>(
		pieces: readonly Work<T>[],
		{ patient = false, budgetMs }: TransactionOptions
	): Promise<Attempt<T>> {
		const recorded: Recorded[] = [];
		const after: (() => void)[] = [];
		const answers = await this.#inTransaction(async client => {
			if (patient)
				await client.query(
					"SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'"
				);
			const done: T[] = [];
			for (const { work, context } of pieces)
				done.push(
					await within(budgetMs, work(this.#open(client, recorded, after, context, patient)))
				);
			if (recorded.length > 0) {
				await this.#store(client, recorded);
				crashPoint("writer.before-commit");
			}
			return done;
		});
		return { answers, hasRecorded: recorded.length > 0, after };
	}

	async #inTransaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
		const client = await this.#pool.connect();
		let broken: Error | undefined;
		const onError = (error: Error) => {
			broken = error;
		};
		client.on("error", onError);
		try {
			await client.query("BEGIN");
			const answer = await work(client);
			const { command } = await client.query("COMMIT");
			// PostgreSQL answers so to the COMMIT of a transaction in which a statement failed, whoever swallowed that.
			if (command === "ROLLBACK")
				throw new Error("The transaction was rolled back: one of its statements had failed.");
			return answer;
		} catch (error) {
			// Whoever has overrun its time may go on to use the connection, which is no longer its own.
			if (error instanceof OverrunError) broken = error;
			// A connection whose last statement may still be running, or that is gone, is of no use any more.
			else
				await client.query("ROLLBACK").catch((failed: Error) => {
					broken ??= failed;
				});
			throw error;
		} finally {
			client.off("error", onError);
			client.release(broken);
		}
	}

	#open(
		client: pg.PoolClient,
		recorded: Recorded[],
		after: (() => void)[],
		context: WorkContext,
		patient: boolean
	): Tx {
		const query = async <Row extends object>(
			sql: string | Prepared,
			bind: readonly unknown[] = []
		): Promise<Row[]> => {
			const asked = statement(sql, bind);
			return (await client.query<Row>(patient ? { ...asked, ...PATIENT } : asked)).rows;
		};
		const models = () => this.sequelize;
		let transaction: Transaction | undefined;
		return {
			query,
			one: async <Row extends object>(sql: string | Prepared, bind: readonly unknown[] = []) =>
				(await query<Row>(sql, bind))[0],
			get transaction() {
				transaction ??= joinTransaction(models(), client);
				return transaction;
			},
			record: (type, aggregate, data) => {
				recorded.push(toRecorded(type, aggregate, data, context));
			},
			afterCommit: run => {
				after.push(run);
			}
		};
	}

	async #store(client: pg.PoolClient, recorded: readonly Recorded[]): Promise<void> {
		await client.query(statement(RECORD, [JSON.stringify(recorded)]));
		if (this.notify) await client.query("SELECT pg_notify('outbox', '')");
	}

	async close(): Promise<void> {
		await Promise.all([this.#pool.end(), this.#sequelize?.close()]);
	}
}

/**
 * Throws a StartupError where the database may forget what it has confirmed: a client would be told
 * that its order is placed, an event be on its way to others, and neither have happened.
 */
export async function requireDurableCommits(database: Database): Promise<void> {
	const { group, url } = database;
	const row = await database.one<{ setting: string }>(
		"SELECT current_setting('synchronous_commit') AS setting"
	);
	if (row!.setting !== "off") return;
	const name = decodeURIComponent(new URL(url).pathname.slice(1));
	throw new StartupError(
		`The database of the group ${group} has synchronous_commit = off: a crash of PostgreSQL would lose what it has confirmed. Set it to on, as with \`ALTER DATABASE "${name}" RESET synchronous_commit\`; it may also stand in postgresql.conf, with the role, or in the URL.`
	);
}

/** Lets Sequelize's models take part in a transaction that is already open on a connection. */
function joinTransaction(sequelize: Sequelize, client: pg.PoolClient): Transaction {
	// Its types hide both: what a query looks at is the connection alone.
	const joined = new (
		Transaction as unknown as new (
			sequelize: Sequelize,
			options: object
		) => Transaction & { connection: unknown }
	)(sequelize, {});
	joined.connection = client;
	return joined;
}

function toRecorded(
	type: string,
	{ id, version }: Versioned,
	payload: unknown,
	{ correlationId = id, causationId, requestId, traceparent }: WorkContext
): Recorded {
	if (!isKnown(type)) throw new Error(`No contract declares the event ${type}.`);
	const json = JSON.stringify(payload);
	const problems = problemsOf(type, JSON.parse(json));
	if (problems.length > 0) throw new InvalidEventError(type, problems);
	const bytes = Buffer.byteLength(json);
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

const RETRYABLE_STATES = /^(?:08|53|57P0|40001|40P01|55P03|57014|25P03)/;
/** What Node says of a network, a host or its name that cannot be reached. */
const NETWORK_DOWN = /^E(?:CONN|PIPE|TIMEDOUT|HOST|NETUNREACH|AI_AGAIN|NOTFOUND)/;
/** What `pg` says without a code when a connection is lost or does not come about. */
const CONNECTION_LOST =
	/^(?:Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout|timeout (?:expired|exceeded)|Cannot use a pool after)/;

/** Whether it was the database's (or the network's) trouble and the same work may well succeed later. */
export function isRetryable(error: unknown): boolean {
	if (!(error instanceof Error)) return false;
	const { name, retryable, message } = error as Error & { retryable?: boolean };
	if (retryable === true) return true;
	if (/^Sequelize(?:Connection|HostNot|AccessDenied|Timeout)/.test(name)) return true;
	if (CONNECTION_LOST.test(message)) return true;
	const state = stateOf(error);
	return typeof state === "string" && (RETRYABLE_STATES.test(state) || NETWORK_DOWN.test(state));
}

/** PostgreSQL's SQLSTATE or Node's code of an error, also where Sequelize has wrapped it. */
function stateOf(error: Error): unknown {
	const { parent, code } = error as { parent?: { code?: string }; code?: unknown };
	return parent?.code ?? code;
}

/** serialization_failure and deadlock_detected: PostgreSQL says so of what it has rolled back, whatever it was asked. */
const UNDONE_STATES = new Set<unknown>(["40001", "40P01"]);
const isUndone = (error: unknown): boolean =>
	error instanceof Error && UNDONE_STATES.has(stateOf(error));

/** The unique constraint that a write ran into, where that was the trouble. */
export function violatedConstraint(error: unknown): string | undefined {
	const { code, constraint } = error as { code?: unknown; constraint?: string };
	return code === "23505" ? constraint : undefined;
}

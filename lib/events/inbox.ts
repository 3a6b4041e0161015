/** The consuming side: each event takes effect once, in the order of its aggregate, or lies in the dead letters. */
import type { ServiceBroker } from "moleculer";
import { runInContext } from "../context.ts";
import { isRetryable, type Database, type Queries, type Tx } from "../database.ts";
import type { Envelope } from "./envelope.ts";
import { DONE, type Consume, type Verdict } from "./stream.ts";

export type EventHandler = (event: Envelope, tx: Tx) => Promise<void>;

export interface InboxOptions {
	readonly database: Database;
	/** Names the consumer for ever: its inbox and its place in the stream hang on it. */
	readonly consumer: string;
	readonly handlers: ReadonlyMap<string, EventHandler>;
	/** False where the order of an aggregate's events does not matter. */
	readonly ordered: boolean;
	readonly logger: Pick<ServiceBroker["logger"], "warn" | "error">;
	/** Deliveries worked on at once. */
	readonly concurrency?: number;
}

/** Tries that may end in an error of the handler or a crash; retryable trouble does not count. */
export const MAX_ATTEMPTS = 8;
const MAX_DELAY_MS = 30_000;

const retry = (delayMs: number): Verdict => ({ done: false, delayMs });
const backoff = (tries: number): Verdict =>
	retry(Math.min(MAX_DELAY_MS, 100 * 2 ** Math.min(tries, 10)) * (0.75 + Math.random() / 2));
/** The predecessor is on its way on another replica. */
const outOfOrder = (deliveries: number): Verdict =>
	retry((25 + Math.random() * 50) * Math.min(deliveries, 20));

/** A handler of deliveries for one consumer, to be subscribed to a stream. It never throws. */
export function createInbox(options: InboxOptions): Consume {
	const { database, consumer, handlers, ordered, logger, concurrency = 8 } = options;
	const chains = new Map<string, Promise<unknown>>();
	const limit = createLimit(concurrency);

	const consume = async (event: Envelope, deliveries: number): Promise<Verdict> => {
		const handler = handlers.get(event.type);
		if (!handler && !ordered) return DONE;
		try {
			if (!handler) return await moveCursor(event, deliveries);
			// Counted before the handler runs, so that an event that kills the process is counted too.
			if (deliveries > 1) {
				const attempts = await startAttempt(event);
				if (attempts > MAX_ATTEMPTS) return await bury(event, deliveries, "attempts exhausted");
			}
			const verdict = await handle(handler, event, deliveries);
			if (deliveries > 1)
				await (verdict.done ? forgetAttempts(database, event) : takeBackAttempt(event));
			return verdict;
		} catch (error) {
			if (isRetryable(error)) {
				logger.warn(`${consumer}: ${event.type} ${event.id} is tried again: ${String(error)}`);
				if (deliveries > 1) await takeBackAttempt(event).catch(() => {});
				return backoff(deliveries);
			}
			logger.error(
				`${consumer}: ${event.type} ${event.id} failed (delivery ${deliveries}):`,
				error
			);
			return failed(event, deliveries, error).catch(() => backoff(deliveries));
		}
	};

	return (event, deliveries) => {
		const key = event.subject;
		// A local chain per aggregate: without it replicas of one aggregate's events would only collide in the database.
		const previous = chains.get(key) ?? Promise.resolve();
		const run = previous.then(() =>
			limit(() =>
				runInContext(
					{
						requestId: event.requestid,
						correlationId: event.correlationid,
						causationId: event.id,
						traceparent: event.traceparent
					},
					() => consume(event, deliveries)
				)
			)
		);
		chains.set(key, run);
		void run.finally(() => {
			if (chains.get(key) === run) chains.delete(key);
		});
		return run;
	};

	function handle(handler: EventHandler, event: Envelope, deliveries: number): Promise<Verdict> {
		return database.transaction(async tx => {
			const early = ordered && (await verdictOfOrder(tx, event, deliveries));
			if (early) return early;
			if (!(await enter(tx, event))) return DONE;
			await handler(event, tx);
			if (ordered) await setCursor(tx, event);
			return DONE;
		});
	}

	/** False where the event was handled before. */
	async function enter(tx: Tx, event: Envelope): Promise<boolean> {
		const entered = await tx.one(
			"INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING event_id",
			[consumer, event.id]
		);
		return entered !== undefined;
	}

	/** Undefined where it is this event's turn. Locks the aggregate for this consumer. */
	async function verdictOfOrder(
		tx: Tx,
		event: Envelope,
		deliveries: number
	): Promise<Verdict | undefined> {
		// The no-op update locks the row, which an INSERT … DO NOTHING would not.
		const cursor = await tx.one<{ version: number; blocked: boolean }>(
			`INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version) VALUES ($1, $2, $3, 0)
			 ON CONFLICT (consumer, aggregate_type, aggregate_id) DO UPDATE SET version = inbox_cursor.version
			 RETURNING version, blocked`,
			[consumer, event.aggregatetype, event.aggregateid]
		);
		if (cursor!.version >= event.aggregateversion) return DONE;
		if (cursor!.blocked) {
			const reason = "an earlier event of the aggregate is dead";
			await tx.query(PARK, [...deadLetter(event), reason, null, deliveries, "parked"]);
			return DONE;
		}
		return event.aggregateversion > cursor!.version + 1 ? outOfOrder(deliveries) : undefined;
	}

	async function setCursor(tx: Tx, event: Envelope): Promise<void> {
		await tx.query(
			"UPDATE inbox_cursor SET version = $4 WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3",
			[consumer, event.aggregatetype, event.aggregateid, event.aggregateversion]
		);
	}

	// An ordered consumer passes over types it has no handler for, but has to count them.
	async function moveCursor(event: Envelope, deliveries: number): Promise<Verdict> {
		const key = [consumer, event.aggregatetype, event.aggregateid, event.aggregateversion];
		const moved = await database.one(
			event.aggregateversion === 1
				? `INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version) VALUES ($1, $2, $3, $4)
				   ON CONFLICT (consumer, aggregate_type, aggregate_id) DO UPDATE SET version = $4
				   WHERE inbox_cursor.version < $4 AND NOT inbox_cursor.blocked RETURNING version`
				: `UPDATE inbox_cursor SET version = $4 WHERE consumer = $1 AND aggregate_type = $2
				   AND aggregate_id = $3 AND version = $4 - 1 AND NOT blocked RETURNING version`,
			key
		);
		if (moved) return DONE;
		return database.transaction(async tx => {
			const early = await verdictOfOrder(tx, event, deliveries);
			if (early) return early;
			await setCursor(tx, event);
			return DONE;
		});
	}

	async function startAttempt(event: Envelope): Promise<number> {
		const row = await database.one<{ attempts: number }>(
			`INSERT INTO inbox_attempt (consumer, event_id, attempts) VALUES ($1, $2, 2)
			 ON CONFLICT (consumer, event_id) DO UPDATE SET attempts = inbox_attempt.attempts + 1
			 RETURNING attempts`,
			[consumer, event.id]
		);
		return row!.attempts;
	}

	async function takeBackAttempt(event: Envelope): Promise<void> {
		await database.query(
			"UPDATE inbox_attempt SET attempts = attempts - 1 WHERE consumer = $1 AND event_id = $2",
			[consumer, event.id]
		);
	}

	async function forgetAttempts(db: Queries, event: Envelope): Promise<void> {
		await db.query("DELETE FROM inbox_attempt WHERE consumer = $1 AND event_id = $2", [
			consumer,
			event.id
		]);
	}

	async function failed(event: Envelope, deliveries: number, error: unknown): Promise<Verdict> {
		const row = await database.one<{ attempts: number }>(
			`INSERT INTO inbox_attempt (consumer, event_id, attempts, last_error) VALUES ($1, $2, 1, $3)
			 ON CONFLICT (consumer, event_id) DO UPDATE SET last_error = $3 RETURNING attempts`,
			[consumer, event.id, String(error)]
		);
		if (row!.attempts < MAX_ATTEMPTS) return backoff(row!.attempts);
		return bury(event, deliveries, "the handler failed", error);
	}

	// Atomic with the inbox's own database: there is no second write that could fail and lose the event.
	async function bury(
		event: Envelope,
		deliveries: number,
		reason: string,
		error?: unknown
	): Promise<Verdict> {
		const cause =
			error instanceof Error
				? JSON.stringify({ message: error.message, stack: error.stack })
				: null;
		return database.transaction(async tx => {
			const early = ordered && (await verdictOfOrder(tx, event, deliveries));
			if (early) return early;
			// Another replica may have handled it while this one failed.
			if (await tx.one(ENTERED, [consumer, event.id])) return DONE;
			await tx.query(PARK, [...deadLetter(event), reason, cause, deliveries, "dead"]);
			if (ordered) await block(tx, event);
			await forgetAttempts(tx, event);
			logger.error(`${consumer}: ${event.type} ${event.id} is a dead letter: ${reason}`);
			return DONE;
		});
	}

	// What comes after it is parked until it is replayed.
	async function block(tx: Tx, event: Envelope): Promise<void> {
		await tx.query(
			"UPDATE inbox_cursor SET blocked = true WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3",
			[consumer, event.aggregatetype, event.aggregateid]
		);
	}

	function deadLetter(event: Envelope): unknown[] {
		return [
			consumer,
			event.id,
			event.type,
			event.aggregatetype,
			event.aggregateid,
			event.aggregateversion,
			JSON.stringify(event)
		];
	}
}

const ENTERED = "SELECT 1 FROM inbox WHERE consumer = $1 AND event_id = $2";
const PARK = `INSERT INTO dead_letter
	(consumer, event_id, type, aggregate_type, aggregate_id, aggregate_version, envelope, reason, error, deliveries, state)
	VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9::jsonb, $10, $11) ON CONFLICT (consumer, event_id) DO NOTHING`;

/** Lets at most `max` pieces of work run at once; the others wait in line. */
function createLimit(max: number): <T>(work: () => Promise<T>) => Promise<T> {
	let running = 0;
	const waiting: (() => void)[] = [];
	return async work => {
		if (running >= max) await new Promise<void>(resolve => waiting.push(resolve));
		else running++;
		try {
			return await work();
		} finally {
			const next = waiting.shift();
			if (next) next();
			else running--;
		}
	};
}

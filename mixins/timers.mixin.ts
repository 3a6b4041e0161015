/** Deadlines that survive a crash: rows in the group's database, fired by whichever node comes first. */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import type { Config, Group } from "../lib/config.ts";
import type { Database, Queries, Tx } from "../lib/database.ts";
import type { Migration } from "../lib/migrations.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { Ticker } from "../lib/ticker.ts";

/**
 * What happens at the deadline, in the transaction that marks it as past. A timer that is cleared
 * while it fires still fires: the handler looks for itself whether it comes too late.
 */
export type TimerHandler = (tx: Tx, refId: string, config: Config) => Promise<unknown>;

const POLL_MS = 250;

export const createTimerTable: Migration = async ({ query }) => {
	await query(`CREATE TABLE timer (
		kind text NOT NULL,
		ref_id uuid NOT NULL,
		fire_at timestamptz NOT NULL,
		done_at timestamptz,
		attempts int NOT NULL DEFAULT 0,
		last_error text,
		PRIMARY KEY (kind, ref_id))`);
	await query("CREATE INDEX timer_due ON timer (fire_at) WHERE done_at IS NULL");
};

export const dropTimerTable: Migration = async ({ query }) => {
	await query("DROP TABLE timer");
};

/** Sets the deadline `kind` of `refId` so many milliseconds from now, by the database's clock; resets an earlier one. */
export async function setTimer(tx: Tx, kind: string, refId: string, inMs: number): Promise<void> {
	await tx.query(
		`INSERT INTO timer (kind, ref_id, fire_at) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
		 ON CONFLICT (kind, ref_id) DO UPDATE
		   SET fire_at = excluded.fire_at, done_at = NULL, attempts = 0, last_error = NULL`,
		[kind, refId, inMs]
	);
}

/** Takes the deadline back, unless it fires at this very moment. */
export async function clearTimer(tx: Tx, kind: string, refId: string): Promise<void> {
	// Waiting for a timer that fires, and so for its handler, which may wait for our locks, would be a deadlock.
	await tx.query(
		`UPDATE timer SET done_at = clock_timestamp()
		 WHERE (kind, ref_id) IN (SELECT kind, ref_id FROM timer
		   WHERE kind = $1 AND ref_id = $2 AND done_at IS NULL FOR UPDATE SKIP LOCKED)`,
		[kind, refId]
	);
}

/** When the deadline `kind` of `refId` is due (RFC 3339), if it is set and not past. */
export async function findDeadline(
	db: Queries,
	kind: string,
	refId: string
): Promise<string | undefined> {
	const row = await db.one<{ fire_at: Date }>(
		"SELECT fire_at FROM timer WHERE kind = $1 AND ref_id = $2 AND done_at IS NULL",
		[kind, refId]
	);
	return row?.fire_at.toISOString();
}

/** Fires the group's timers of these kinds while the node runs. */
export const timers = (
	group: Group,
	handlers: Readonly<Record<string, TimerHandler>>
): Mixin<unknown> =>
	mixin<unknown>({
		created(this: any) {
			const { config, database } = runtimeOf(this.broker);
			this.timerTicker = new Ticker(
				async () => {
					while (await fireOne(database(group), config, handlers, this.logger));
				},
				POLL_MS,
				error => this.logger.warn(`Timers of ${group} are tried again: ${String(error)}`)
			);
		},
		events: {
			"$broker.started"(this: any) {
				this.timerTicker.start();
			}
		},
		async stopped(this: any) {
			await this.timerTicker.stop();
		}
	} as Partial<ServiceSchema>);

/** Fires the timer that is due longest; false where none is. */
async function fireOne(
	database: Database,
	config: Config,
	handlers: Readonly<Record<string, TimerHandler>>,
	logger: Pick<ServiceBroker["logger"], "error">
): Promise<boolean> {
	let due: { kind: string; ref_id: string } | undefined;
	try {
		await database.transaction(async tx => {
			due = await tx.one(
				`SELECT kind, ref_id FROM timer
				 WHERE done_at IS NULL AND fire_at <= clock_timestamp() AND kind = ANY ($1::text[])
				 ORDER BY fire_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
				[Object.keys(handlers)]
			);
			if (!due) return;
			const { kind, ref_id: refId } = due;
			// Before the handler, which may set the same timer anew.
			await tx.query(
				"UPDATE timer SET done_at = clock_timestamp() WHERE kind = $1 AND ref_id = $2",
				[kind, refId]
			);
			await handlers[kind]!(tx, refId, config);
		});
	} catch (error) {
		if (!due) throw error;
		logger.error(`The timer ${due.kind} of ${due.ref_id} failed and is tried again:`, error);
		// Later, so that one bad timer does not hold up the others; unless it was reset meanwhile.
		await database.query(
			`UPDATE timer SET attempts = attempts + 1, last_error = $3,
			   fire_at = clock_timestamp() + least(300, power(2, least(attempts, 12))) * interval '1 second'
			 WHERE kind = $1 AND ref_id = $2 AND done_at IS NULL AND fire_at <= clock_timestamp()`,
			[due.kind, due.ref_id, String(error)]
		);
	}
	return due !== undefined;
}

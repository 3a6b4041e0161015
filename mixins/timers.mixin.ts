/** Deadlines that survive a crash: rows in the group's database, fired by whichever node comes first. */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import type { Config, Group } from "../lib/config.ts";
import { currentContext, runInContext, type WorkContext } from "../lib/context.ts";
import { crashPoint } from "../lib/crash-point.ts";
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

type TimerHandlers = Readonly<Record<string, TimerHandler>>;

/** What a factory of timer handlers is handed. */
export interface TimerHost {
	readonly broker: ServiceBroker;
	readonly logger: ServiceBroker["logger"];
}

const POLL_MS = 250;
/** After how long another node may fire a timer whose node has died. */
const LEASE_SECONDS = 30;

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

/** A lease, so that one whose handler kills the process is counted; and on whose behalf it was set. */
export const addTimerLease: Migration = async ({ query }) => {
	await query(
		"ALTER TABLE timer ADD COLUMN lease_until timestamptz, ADD COLUMN context jsonb NOT NULL DEFAULT '{}'"
	);
};

export const dropTimerLease: Migration = async ({ query }) => {
	await query("ALTER TABLE timer DROP COLUMN lease_until, DROP COLUMN context");
};

export const dropTimerTable: Migration = async ({ query }) => {
	await query("DROP TABLE timer");
};

/** Sets the deadline `kind` of `refId` so many milliseconds from now, by the database's clock; resets an earlier one. */
export async function setTimer(tx: Tx, kind: string, refId: string, inMs: number): Promise<void> {
	await tx.query(
		`INSERT INTO timer (kind, ref_id, fire_at, context)
		 VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', $4::jsonb)
		 ON CONFLICT (kind, ref_id) DO UPDATE
		   SET fire_at = excluded.fire_at, context = excluded.context, done_at = NULL,
		     lease_until = NULL, attempts = 0, last_error = NULL`,
		[kind, refId, inMs, JSON.stringify(currentContext())]
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
	declared: TimerHandlers | ((host: TimerHost) => TimerHandlers)
): Mixin<unknown> =>
	mixin<unknown>({
		created(this: any) {
			const { broker, logger } = this as TimerHost;
			const { config, database } = runtimeOf(broker);
			const handlers = typeof declared === "function" ? declared({ broker, logger }) : declared;
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

interface DueTimer {
	readonly kind: string;
	readonly ref_id: string;
	readonly attempts: number;
	readonly context: WorkContext;
}

/** Fires the timer that is due longest; false where none is. */
async function fireOne(
	database: Database,
	config: Config,
	handlers: TimerHandlers,
	logger: Pick<ServiceBroker["logger"], "error">
): Promise<boolean> {
	// Claimed before it fires, so that a handler that kills the process does so once in a lease and not all the time.
	const due = await database.one<DueTimer>(
		`UPDATE timer SET attempts = attempts + 1,
		   lease_until = clock_timestamp() + interval '${LEASE_SECONDS} seconds'
		 WHERE (kind, ref_id) = (SELECT kind, ref_id FROM timer
		   WHERE done_at IS NULL AND fire_at <= clock_timestamp() AND kind = ANY ($1::text[])
		     AND (lease_until IS NULL OR lease_until < clock_timestamp())
		   ORDER BY fire_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		 RETURNING kind, ref_id, attempts, context`,
		[Object.keys(handlers)]
	);
	if (!due) return false;
	crashPoint("timer.after-claim");
	const { kind, ref_id: refId, attempts, context } = due;
	const mine = [kind, refId, attempts];
	try {
		await database.transaction(async tx => {
			// Before the handler, which may set the same timer anew. It may have been reset or cleared since it was claimed.
			const fires = await tx.one(
				`UPDATE timer SET done_at = clock_timestamp(), lease_until = NULL
				 WHERE kind = $1 AND ref_id = $2 AND attempts = $3 AND done_at IS NULL
				   AND lease_until IS NOT NULL RETURNING kind`,
				mine
			);
			if (!fires) return;
			await runInContext(context, () => handlers[kind]!(tx, refId, config));
			crashPoint("timer.before-commit");
		}, context);
	} catch (error) {
		logger.error(`The timer ${kind} of ${refId} failed and is tried again:`, error);
		// Later, so that one bad timer does not hold up the others; unless it was reset meanwhile.
		await database.query(
			`UPDATE timer SET last_error = $4, lease_until = NULL,
			   fire_at = clock_timestamp() + least(300, power(2, least(attempts, 12))) * interval '1 second'
			 WHERE kind = $1 AND ref_id = $2 AND attempts = $3 AND done_at IS NULL
			   AND lease_until IS NOT NULL`,
			[...mine, String(error)]
		);
	}
	return true;
}

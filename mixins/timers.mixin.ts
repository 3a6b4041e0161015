/** Deadlines that survive a crash: rows in the group's database, fired by whichever node comes first. */
import type { ServiceSchema } from "moleculer";
import type { Config, Group } from "../lib/config.ts";
import type { Database, Queries, Tx } from "../lib/database.ts";
import type { Migration } from "../lib/migrations.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { Ticker } from "../lib/ticker.ts";

/** What happens at the deadline, in the transaction that marks it as past. */
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
export async function setTimer(
	tx: Queries,
	kind: string,
	refId: string,
	inMs: number
): Promise<void> {
	await tx.query(
		`INSERT INTO timer (kind, ref_id, fire_at) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
		 ON CONFLICT (kind, ref_id) DO UPDATE SET fire_at = excluded.fire_at, done_at = NULL, attempts = 0`,
		[kind, refId, inMs]
	);
}

export async function clearTimer(tx: Queries, kind: string, refId: string): Promise<void> {
	await tx.query(
		"UPDATE timer SET done_at = clock_timestamp() WHERE kind = $1 AND ref_id = $2 AND done_at IS NULL",
		[kind, refId]
	);
}

/** Fires the group's timers of these kinds while the node runs. */
export const timers = (
	group: Group,
	handlers: Readonly<Record<string, TimerHandler>>
): Mixin<unknown> =>
	mixin<unknown>({
		created(this: any) {
			const { config, database } = runtimeOf(this.broker);
			const kinds = Object.keys(handlers);
			this.timerTicker = new Ticker(
				async () => {
					while (await fireOne(database(group), config, kinds, handlers));
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

async function fireOne(
	database: Database,
	config: Config,
	kinds: readonly string[],
	handlers: Readonly<Record<string, TimerHandler>>
): Promise<boolean> {
	let due: { kind: string; ref_id: string } | undefined;
	try {
		await database.transaction(async tx => {
			due = await tx.one(
				`SELECT kind, ref_id FROM timer
				 WHERE done_at IS NULL AND fire_at <= clock_timestamp() AND kind = ANY ($1::text[])
				 ORDER BY fire_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
				[kinds]
			);
			if (!due) return;
			const { kind, ref_id: refId } = due;
			await handlers[kind]!(tx, refId, config);
			await tx.query(
				"UPDATE timer SET done_at = clock_timestamp() WHERE kind = $1 AND ref_id = $2",
				[kind, refId]
			);
		});
	} catch (error) {
		if (due)
			// Later, so that one bad timer does not hold up the others.
			await database.query(
				`UPDATE timer SET attempts = attempts + 1, last_error = $3,
				   fire_at = clock_timestamp() + least(300, power(2, attempts)) * interval '1 second'
				 WHERE kind = $1 AND ref_id = $2 AND done_at IS NULL`,
				[due.kind, due.ref_id, String(error)]
			);
		throw error;
	}
	return due !== undefined;
}

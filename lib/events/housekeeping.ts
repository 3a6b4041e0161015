/** Keeps a group's event tables small, and hands on what was parked only until this code came. */
import type { ServiceBroker } from "moleculer";
import type { Config } from "../config.ts";
import type { Database } from "../database.ts";
import { openLettersOfAggregates } from "./dead-letters.ts";
import type { Inbox } from "./inbox.ts";

export interface Housekeeping {
	readonly database: Database;
	/** The group's consumers on this node. */
	readonly inboxes: readonly Inbox[];
	/** Whether this node relays; the one that does also purges. */
	readonly isLeader: boolean;
	readonly config: Pick<Config, "OUTBOX_RETENTION_DAYS" | "INBOX_RETENTION_DAYS">;
	readonly logger: Pick<ServiceBroker["logger"], "info">;
}

/** Small enough not to hold up those who work. */
const BATCH = 5_000;
/** Settled dead letters tell of trouble long after. */
const SETTLED_DAYS = 90;

/** One round: replays what is understood by now; deletes what has had its time. */
export async function tidyUp(work: Housekeeping): Promise<void> {
	for (const inbox of work.inboxes) await replayUnderstood(work, inbox);
	if (work.isLeader) await purge(work);
}

/** An event of a newer version was parked by older code. This code knows it. */
async function replayUnderstood({ database, logger }: Housekeeping, inbox: Inbox): Promise<void> {
	const understood = await inbox.understood();
	if (understood.length === 0) return;
	let resolved = 0;
	for (const { id } of await openLettersOfAggregates(database, understood))
		if ((await inbox.replay(id, "upgrade")).outcome === "resolved") resolved++;
	if (resolved > 0)
		logger.info(`${inbox.consumer}: ${resolved} parked events that nothing holds up are handled.`);
}

async function purge({ database, config }: Housekeeping): Promise<void> {
	const { OUTBOX_RETENTION_DAYS: outboxDays, INBOX_RETENTION_DAYS: inboxDays } = config;
	await untilNothing(() => purgeOutbox(database, outboxDays));
	await untilNothing(() =>
		database.query(
			`DELETE FROM inbox WHERE (consumer, event_id) IN (
			   SELECT consumer, event_id FROM inbox WHERE processed_at < clock_timestamp() - $1 * interval '1 day'
			   ORDER BY processed_at LIMIT ${BATCH}) RETURNING event_id`,
			[inboxDays]
		)
	);
	await untilNothing(() =>
		database.query(
			`DELETE FROM dead_letter WHERE id IN (
			   SELECT id FROM dead_letter WHERE state IN ('resolved', 'discarded')
			     AND settled_at < clock_timestamp() - $1 * interval '1 day' LIMIT ${BATCH}) RETURNING id`,
			[SETTLED_DAYS]
		)
	);
	await database.query(
		"DELETE FROM replay_snapshot WHERE created_at < clock_timestamp() - interval '1 day'"
	);
	// Of events that another replica has settled since.
	await database.query(
		`DELETE FROM inbox_attempt a WHERE EXISTS (SELECT FROM inbox i
		   WHERE i.consumer = a.consumer AND i.event_id = a.event_id)`
	);
	for (const [table, condition] of await workTables(database))
		await untilNothing(() =>
			database.query(
				`DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE ${condition} LIMIT ${BATCH}) RETURNING 1`,
				[outboxDays]
			)
		);
}

/** What a rebuild cannot be made of any more is counted. Only the oldest rows are looked at: they go first. */
const purgeOutbox = (database: Database, days: number) =>
	database.query(
		`WITH oldest AS (SELECT id FROM outbox ORDER BY id LIMIT ${BATCH}),
		 gone AS (
		   DELETE FROM outbox o USING oldest WHERE o.id = oldest.id
		     AND o.published_at < clock_timestamp() - $1 * interval '1 day'
		   RETURNING o.aggregate_type, o.created_at),
		 counted AS (
		   INSERT INTO outbox_purge AS p (aggregate_type, events, newest)
		   SELECT aggregate_type, count(*), max(created_at) FROM gone GROUP BY aggregate_type
		   ON CONFLICT (aggregate_type) DO UPDATE
		     SET events = p.events + excluded.events, newest = greatest(p.newest, excluded.newest))
		 SELECT 1 FROM gone`,
		[days]
	);

/** Tables of the mixins that this group has, and what in them is done with. */
async function workTables(database: Database): Promise<[table: string, condition: string][]> {
	const age = "clock_timestamp() - $1 * interval '1 day'";
	const done: Record<string, string> = {
		job: `done_at < ${age}`,
		timer: `done_at < ${age}`,
		// The promise is 24 hours, and the answers may be personal.
		idempotency_key: `created_at < clock_timestamp() - least($1 * interval '1 day', interval '25 hours')`
	};
	const rows = await database.query<{ table: string }>(
		"SELECT t AS table FROM unnest($1::text[]) AS t WHERE to_regclass(t) IS NOT NULL",
		[Object.keys(done)]
	);
	return rows.map(({ table }) => [table, done[table]!]);
}

async function untilNothing(purgeSome: () => Promise<unknown[]>): Promise<void> {
	while ((await purgeSome()).length > 0);
}

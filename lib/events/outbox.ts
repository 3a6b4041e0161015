/** A group's outbox as its operators see it. */
import type { BackboneOverview } from "../../contracts/backbone.ts";
import type { OutboxView, RecordedEvent, WaitingEvent } from "../../contracts/events.ts";
import type { Database, Queries } from "../database.ts";
import { noteDeed } from "./audit.ts";

/** What an answer holds of data at most: NATS takes a megabyte a message. */
export const ANSWER_BYTES = 500_000;
const MOST_WAITING = 50;
/** Among so many of the newest rows is looked for what was recorded since some time, which is never long ago. */
const NEWEST = 5_000;

interface WaitingRow {
	readonly id: string;
	readonly type: string;
	readonly aggregate: WaitingEvent["aggregate"];
	readonly recordedAt: Date;
	readonly attempts: number;
	readonly lastError: string | null;
	readonly setAsideAt: Date | null;
}

const AGGREGATE = `jsonb_build_object('type', aggregate_type, 'id', aggregate_id,
	'version', aggregate_version) AS aggregate`;
const WAITING = `event_id AS id, type, ${AGGREGATE}, created_at AS "recordedAt", attempts,
	left(last_error, 1000) AS "lastError", failed_at AS "setAsideAt"`;

const toWaiting = (row: WaitingRow, group: string): WaitingEvent => ({
	...row,
	group,
	recordedAt: row.recordedAt.toISOString(),
	setAsideAt: row.setAsideAt?.toISOString() ?? null
});

/** How much waits, the oldest of it, and what was set aside. */
export async function outboxView(db: Database): Promise<Omit<OutboxView, "leader">> {
	const figures = await db.one<Omit<OutboxView, "leader" | "group" | "waiting">>(
		`SELECT count(*)::int AS unpublished, count(failed_at)::int AS "setAside",
		   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS "oldestUnpublishedSeconds"
		 FROM outbox WHERE published_at IS NULL`
	);
	const oldest = await db.query<WaitingRow>(
		`(SELECT ${WAITING} FROM outbox WHERE published_at IS NULL AND failed_at IS NOT NULL
		  ORDER BY id LIMIT ${MOST_WAITING})
		 UNION ALL
		 (SELECT ${WAITING} FROM outbox WHERE published_at IS NULL AND failed_at IS NULL
		  ORDER BY id LIMIT ${MOST_WAITING})`
	);
	return { ...figures!, group: db.group, waiting: oldest.map(row => toWaiting(row, db.group)) };
}

/** Lets the relay try an event again that was set aside; undefined where none of this id is. */
export async function retrySetAside(
	db: Database,
	{ eventId, by }: { readonly eventId: string; readonly by: string }
): Promise<WaitingEvent | undefined> {
	const row = await db.transaction(async tx => {
		const found = await tx.one<WaitingRow>(
			`UPDATE outbox SET failed_at = NULL, attempts = 0
			 WHERE event_id = $1 AND published_at IS NULL AND failed_at IS NOT NULL RETURNING ${WAITING}`,
			[eventId]
		);
		if (found) await noteDeed(tx, { by, action: "outbox-retry", detail: { eventId } });
		return found;
	});
	// The relay that leads may be another node's.
	if (row) await db.query("SELECT pg_notify('outbox', '')");
	return row && toWaiting(row, db.group);
}

/** What the outbox holds of each topic. */
export async function recordedTopics(db: Queries): Promise<BackboneOverview["recorded"]> {
	const rows = await db.query<BackboneOverview["recorded"][number] & { newestAt: Date }>(
		`SELECT aggregate_type || '.events' AS topic, count(*)::int AS events,
		   max(created_at) AS "newestAt",
		   count(*) FILTER (WHERE published_at IS NULL)::int AS unpublished,
		   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)
		     FILTER (WHERE published_at IS NULL)), 0)::float AS "oldestUnpublishedSeconds",
		   count(failed_at) FILTER (WHERE published_at IS NULL)::int AS "setAside"
		 FROM outbox GROUP BY aggregate_type ORDER BY aggregate_type`
	);
	return rows.map(row => ({ ...row, newestAt: row.newestAt.toISOString() }));
}

/** Which of the recorded events; all conditions hold. */
export interface RecordedQuery {
	readonly aggregateType?: string | undefined;
	readonly since?: string | undefined;
	readonly correlationId?: string | undefined;
	readonly eventId?: string | undefined;
	readonly limit: number;
}

type RecordedRow = RecordedEvent & { readonly recordedAt: Date; readonly publishedAt: Date | null };

/**
 * The oldest events of a story, else the newest ones, oldest first. Where the answer would grow too
 * large, the later ones come without their data.
 */
export async function recordedEvents(db: Database, query: RecordedQuery): Promise<RecordedEvent[]> {
	const { aggregateType, since, correlationId, eventId, limit } = query;
	const conditions = [
		["aggregate_type = $?", aggregateType],
		["created_at > $?::timestamptz", since],
		["headers->>'correlationId' = $?", correlationId],
		["event_id = $?::uuid", eventId]
	].filter((condition): condition is [string, string] => condition[1] !== undefined);
	const where = conditions.map(([sql], index) => sql.replace("?", String(index + 2))).join(" AND ");
	const source = since
		? `(SELECT * FROM outbox ORDER BY id DESC LIMIT ${NEWEST}) newest`
		: "outbox";
	const rows = await db.query<RecordedRow>(
		`SELECT event_id AS id, type, ${AGGREGATE}, created_at AS "recordedAt",
		   published_at AS "publishedAt", headers->>'correlationId' AS "correlationId",
		   headers->>'causationId' AS "causationId", headers->>'requestId' AS "requestId",
		   headers->>'traceparent' AS traceparent,
		   CASE WHEN sum(octet_length(payload::text)) OVER (ORDER BY o.id) <= ${ANSWER_BYTES}
		     THEN payload END AS data
		 FROM (SELECT * FROM ${source} WHERE ${where || "true"}
		       ORDER BY id ${correlationId ? "ASC" : "DESC"} LIMIT $1) o
		 ORDER BY o.id`,
		[limit, ...conditions.map(([, value]) => value)]
	);
	return rows.map(row => ({
		...row,
		group: db.group,
		correlationId: row.correlationId ?? row.aggregate.id,
		recordedAt: row.recordedAt.toISOString(),
		publishedAt: row.publishedAt?.toISOString() ?? null
	}));
}

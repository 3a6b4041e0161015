/** What a group has recorded, from its beginning, for those who make something anew from it. */
import type { Database } from "../database.ts";
import { OUTBOX_COLUMNS, toEnvelope, type Envelope, type OutboxRow } from "./envelope.ts";
import { ANSWER_BYTES } from "./outbox.ts";

export interface HistoryPage {
	readonly events: Envelope[];
	/** The place where this page ends; null where it is empty. */
	readonly next: string | null;
	/** How many events of these topics are gone for good. */
	readonly purged: number;
}

/**
 * A page of these topics' events, those of an aggregate in their order. What was set aside, and what
 * waits behind it, has been told to nobody yet and is left out.
 */
export async function historyPage(
	db: Database,
	aggregateTypes: readonly string[],
	{ after, limit }: { readonly after: string; readonly limit: number }
): Promise<HistoryPage> {
	const rows = await db.query<OutboxRow & { readonly id: string }>(
		`SELECT * FROM (
		   SELECT *, octet_length(payload::text) AS size,
		     sum(octet_length(payload::text)) OVER (ORDER BY id) AS total
		   FROM (SELECT id, ${OUTBOX_COLUMNS} FROM outbox o
		     WHERE aggregate_type = ANY ($1::text[]) AND id > $2::bigint
		       AND NOT EXISTS (SELECT FROM outbox f WHERE f.failed_at IS NOT NULL AND f.id <= o.id
		         AND f.aggregate_type = o.aggregate_type AND f.aggregate_id = o.aggregate_id)
		     ORDER BY id LIMIT $3) page) sized
		 WHERE total <= ${ANSWER_BYTES} OR total = size ORDER BY id`,
		[aggregateTypes, after, limit]
	);
	// Looked up last, so that nothing can go between the two unnoticed.
	const gone = await db.one<{ events: number }>(
		`SELECT coalesce(sum(events), 0)::int AS events FROM outbox_purge
		 WHERE aggregate_type = ANY ($1::text[])`,
		[aggregateTypes]
	);
	return {
		events: rows.map(row => toEnvelope(row, db.group)),
		next: rows.at(-1)?.id ?? null,
		purged: gone!.events
	};
}

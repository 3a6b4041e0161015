/** Dead letters as their operators pick them. */
import type { Queries } from "../database.ts";

/** A dead letter that is not settled: enough to hand it to the inbox of its consumer. */
export interface OpenLetter {
	readonly id: string;
	readonly consumer: string;
}

/**
 * These dead letters, and whatever else is open of their aggregates at the same consumers: what was
 * parked behind one can go on only after it. In the order in which they have to be replayed.
 */
export const openLettersOfAggregates = (
	db: Queries,
	ids: readonly string[]
): Promise<OpenLetter[]> =>
	db.query<OpenLetter>(
		`SELECT l.id, l.consumer FROM dead_letter l
		 WHERE l.state IN ('dead', 'parked') AND EXISTS (SELECT FROM dead_letter p
		   WHERE p.id = ANY ($1::bigint[]) AND p.consumer = l.consumer
		     AND p.aggregate_type = l.aggregate_type AND p.aggregate_id = l.aggregate_id)
		 ORDER BY l.consumer, l.aggregate_type, l.aggregate_id, l.aggregate_version, l.id`,
		[ids]
	);

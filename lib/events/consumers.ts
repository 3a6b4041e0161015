/** A group's durable consumers as their operators see them. */
import type { BackboneOverview } from "../../contracts/backbone.ts";
import type { Handled } from "../../contracts/events.ts";
import type { Database, Queries } from "../database.ts";
import type { Inboxes } from "./replay.ts";
import type { KeptStream } from "./stream.ts";

type ConsumerFigures = BackboneOverview["consumers"][number];

/** How far each consumer is in each of its topics, and what holds it up. */
export async function consumerFigures(
	db: Queries,
	inboxes: Inboxes,
	kept: KeptStream | undefined
): Promise<ConsumerFigures[]> {
	const troubles = await troublesOf(db);
	const places = (await kept?.consumers()) ?? [];
	return [...inboxes.values()].flatMap(({ consumer, aggregateTypes }) =>
		aggregateTypes.map(aggregateType => {
			const place = places.find(
				state => state.consumer === consumer && state.aggregateType === aggregateType
			);
			return {
				name: consumer,
				topic: `${aggregateType}.events`,
				pending: place?.pending ?? null,
				unacknowledged: place?.unacknowledged ?? null,
				oldestPendingSeconds: place?.oldestSeconds ?? null,
				...(troubles.get(`${consumer} ${aggregateType}`) ?? NO_TROUBLE)
			};
		})
	);
}

type Trouble = Pick<ConsumerFigures, "dead" | "parked" | "blockedAggregates">;
const NO_TROUBLE: Trouble = { dead: 0, parked: 0, blockedAggregates: 0 };

async function troublesOf(db: Queries): Promise<Map<string, Trouble>> {
	const rows = await db.query<Trouble & { key: string }>(
		`SELECT consumer || ' ' || aggregate_type AS key, sum(dead)::int AS dead,
		   sum(parked)::int AS parked, sum(blocked)::int AS "blockedAggregates"
		 FROM (
		   SELECT consumer, aggregate_type, (state = 'dead')::int AS dead, (state = 'parked')::int AS parked,
		     0 AS blocked FROM dead_letter WHERE state IN ('dead', 'parked')
		   UNION ALL
		   SELECT consumer, aggregate_type, 0, 0, 1 FROM inbox_cursor WHERE blocked) trouble
		 GROUP BY consumer, aggregate_type`
	);
	return new Map(rows.map(({ key, ...trouble }) => [key, trouble]));
}

/** What became of these events at these consumers; nothing is said of what is still on its way. */
export async function handledEvents(
	db: Database,
	consumers: readonly string[],
	eventIds: readonly string[]
): Promise<Handled[]> {
	const rows = await db.query<Omit<Handled, "at" | "group"> & { at: Date }>(
		`SELECT event_id AS "eventId", consumer, state, coalesce(settled_at, created_at) AS at
		   FROM dead_letter WHERE event_id = ANY ($2::uuid[])
		 UNION ALL
		 SELECT event_id, consumer, 'handled', processed_at FROM inbox i
		   WHERE consumer = ANY ($1::text[]) AND event_id = ANY ($2::uuid[])
		     AND NOT EXISTS (SELECT FROM dead_letter l
		       WHERE l.consumer = i.consumer AND l.event_id = i.event_id)
		 ORDER BY at`,
		[consumers, eventIds]
	);
	return rows.map(row => ({ ...row, group: db.group, at: row.at.toISOString() }));
}

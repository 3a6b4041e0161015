/** Dead letters as their operators see and pick them. */
import type { DeadLetter, LetterFilter, LetterState } from "../../contracts/events.ts";
import type { Database, Queries } from "../database.ts";
import { aggregateTypeOf } from "./envelope.ts";

/** What is named by `orders-17`. */
export interface LetterName {
	readonly group: string;
	readonly number: string;
}

/** Takes a name apart that the contract's pattern lets through. */
export function parseLetterId(id: string): LetterName {
	const dash = id.lastIndexOf("-");
	return { group: id.slice(0, dash), number: id.slice(dash + 1) };
}

/** The states in which something has to be done about a dead letter. */
const OPEN: readonly LetterState[] = ["dead", "parked"];
const ALL: readonly LetterState[] = [...OPEN, "resolved", "discarded"];

export const isOpen = ({ state }: Pick<DeadLetter, "state">): boolean => OPEN.includes(state);

/** As many as one replay takes on. */
export const MOST = 1_000;

interface Row {
	readonly number: string;
	readonly consumer: string;
	readonly eventId: string;
	readonly type: string;
	readonly aggregateType: string;
	readonly aggregateId: string;
	readonly aggregateVersion: number;
	readonly correlationId: string;
	readonly state: LetterState;
	readonly reason: string;
	readonly error: string | null;
	readonly deliveries: number;
	readonly replays: number;
	readonly createdAt: Date;
	readonly settledAt: Date | null;
	readonly settledBy: string | null;
	readonly note: string | null;
}

const COLUMNS = `id AS number, consumer, event_id AS "eventId", type, aggregate_type AS "aggregateType",
	aggregate_id AS "aggregateId", aggregate_version AS "aggregateVersion",
	envelope->>'correlationid' AS "correlationId", state, reason,
	left(error->>'message', 1000) AS error, deliveries, replays, created_at AS "createdAt",
	settled_at AS "settledAt", settled_by AS "settledBy", note`;

function toLetter(row: Row, group: string): DeadLetter {
	const { number, aggregateType, aggregateId, aggregateVersion, createdAt, settledAt, ...rest } =
		row;
	return {
		...rest,
		id: `${group}-${number}`,
		group,
		topic: `${aggregateType}.events`,
		aggregate: { type: aggregateType, id: aggregateId, version: aggregateVersion },
		createdAt: createdAt.toISOString(),
		settledAt: settledAt?.toISOString() ?? null
	};
}

const FITS = `state = ANY ($1::text[]) AND ($2::text IS NULL OR consumer = $2)
	AND ($3::text IS NULL OR aggregate_type = $3) AND ($4::text IS NULL OR type = $4)
	AND ($5::uuid IS NULL OR aggregate_id = $5)`;

const fitting = (states: readonly LetterState[], filter: LetterFilter): unknown[] => [
	states,
	filter.consumer ?? null,
	filter.topic === undefined ? null : aggregateTypeOf(filter.topic),
	filter.type ?? null,
	filter.aggregateId ?? null
];

/** Where a page ended, at a dead letter of any group. */
export interface Place {
	readonly createdAt: string;
	readonly id: string;
}

/**
 * Orders the dead letters of all groups: by time, then by group, then by number. The time is cut to
 * what a timestamp of the API tells.
 */
export function comparePlaces(a: Place, b: Place): number {
	if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
	const [one, other] = [parseLetterId(a.id), parseLetterId(b.id)];
	if (one.group !== other.group) return one.group < other.group ? -1 : 1;
	return Number(BigInt(one.number) - BigInt(other.number));
}

/** The number that a group's next dead letter of the same moment has to exceed. */
function numberAfter(group: string, { id }: Place): string {
	const last = parseLetterId(id);
	if (last.group === group) return last.number;
	return group < last.group ? MAX_BIGINT : "0";
}
const MAX_BIGINT = "9223372036854775807";

export interface LetterQuery {
	readonly state?: LetterState | undefined;
	readonly filter?: LetterFilter | undefined;
	readonly after?: Place | undefined;
	readonly limit: number;
}

/** The group's dead letters in the order of `comparePlaces`. */
export async function findLetters(
	db: Database,
	{ state, filter = {}, after, limit }: LetterQuery
): Promise<DeadLetter[]> {
	const rows = await db.query<Row>(
		`SELECT ${COLUMNS} FROM dead_letter WHERE ${FITS} AND ($6::timestamptz IS NULL
		   OR (date_trunc('milliseconds', created_at), id) > ($6::timestamptz, $7::bigint))
		 ORDER BY date_trunc('milliseconds', created_at), id LIMIT $8`,
		[
			...fitting(state ? [state] : ALL, filter),
			after?.createdAt ?? null,
			after ? numberAfter(db.group, after) : null,
			limit
		]
	);
	return rows.map(row => toLetter(row, db.group));
}

/** A dead letter with what it holds. */
export interface OpenedLetter {
	readonly letter: DeadLetter;
	readonly event: unknown;
	readonly stack: string | null;
}

/** The dead letter of this name; undefined where the group has none. */
export async function findLetter(db: Database, id: string): Promise<OpenedLetter | undefined> {
	const { group, number } = parseLetterId(id);
	if (group !== db.group) return undefined;
	const row = await db.one<Row & { event: unknown; stack: string | null }>(
		`SELECT ${COLUMNS}, envelope AS event, error->>'stack' AS stack FROM dead_letter WHERE id = $1`,
		[number]
	);
	if (!row) return undefined;
	const { event, stack, ...letter } = row;
	return { letter: toLetter(letter, group), event, stack };
}

/** The dead letters of these numbers, in this order. */
export async function lettersOf(
	db: Database,
	numbers: readonly string[]
): Promise<readonly DeadLetter[]> {
	const rows = await db.query<Row>(
		`SELECT ${COLUMNS} FROM dead_letter WHERE id = ANY ($1::bigint[])
		 ORDER BY array_position($1::bigint[], id)`,
		[numbers]
	);
	return rows.map(row => toLetter(row, db.group));
}

/** The oldest open dead letters that fit, by number. */
export async function openLetters(db: Queries, filter: LetterFilter): Promise<string[]> {
	const rows = await db.query<{ id: string }>(
		`SELECT id FROM dead_letter WHERE ${FITS} ORDER BY id LIMIT ${MOST}`,
		fitting(OPEN, filter)
	);
	return rows.map(({ id }) => id);
}

/** A dead letter that is not settled: enough to hand it to the inbox of its consumer. */
export interface OpenLetter {
	readonly id: string;
	readonly consumer: string;
}

/**
 * These dead letters, and whatever else is open of their aggregates at the same consumers: what was
 * parked behind one can go on only after it. In the order in which they have to be replayed; where
 * there are too many for one go, the last ones are left for the next.
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
		 ORDER BY l.consumer, l.aggregate_type, l.aggregate_id, l.aggregate_version, l.id
		 LIMIT ${MOST}`,
		[ids]
	);

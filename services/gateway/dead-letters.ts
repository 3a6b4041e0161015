/** The dead letters of all groups as one list, page by page. */
import { events, type DeadLetter } from "../../contracts/events.ts";
import type { Actions } from "../../contracts/index.ts";
import { decodeCursor, encodeCursor, type Listing } from "../../lib/cursor.ts";
import { comparePlaces, type Place } from "../../lib/events/dead-letters.ts";
import { failure } from "../../lib/failure.ts";

type Params = Actions["events.deadLetters"]["params"];

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const NAME = /^[a-z][a-z0-9-]*-\d{1,18}$/;

const listingOf = ({ state, consumer, topic, type, aggregateId }: Params): Listing => ({
	list: "events.deadLetters",
	filters: [state, consumer, topic, type, aggregateId]
});

/** Where the page before ended; undefined for the first page. Throws INVALID_CURSOR for what no page gave. */
export function placeOf(params: Params): Place | undefined {
	if (params.cursor === undefined) return undefined;
	const place = decodeCursor(listingOf(params), params.cursor);
	const { createdAt, id } = (place ?? {}) as Record<string, unknown>;
	if (typeof createdAt !== "string" || typeof id !== "string") throw invalid();
	if (!TIME.test(createdAt) || Number.isNaN(Date.parse(createdAt)) || !NAME.test(id))
		throw invalid();
	return { createdAt, id };
}

const invalid = () => failure(events, "INVALID_CURSOR");

/** The first `limit` of what the groups have found, each of which was asked for one more than that. */
export function pageOf(
	found: readonly (readonly DeadLetter[])[],
	limit: number,
	params: Params
): { items: DeadLetter[]; nextCursor: string | null } {
	const all = found.flat().sort(comparePlaces);
	const items = all.slice(0, limit);
	const last = items.at(-1);
	const nextCursor =
		last && all.length > limit
			? encodeCursor(listingOf(params), {
					createdAt: last.createdAt,
					id: last.id
				} satisfies Place)
			: null;
	return { items, nextCursor };
}

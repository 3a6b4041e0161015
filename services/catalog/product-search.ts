/** What a search for products means: its words, its order, how it is gone about, and the cursor between pages. */
import { Type, type TSchema } from "typebox";
import type { Actions } from "../../contracts/index.ts";
import { products } from "../../contracts/products.ts";
import { decodeCursor, encodeCursor, type Listing } from "../../lib/cursor.ts";
import { failure } from "../../lib/failure.ts";
import { createAjv } from "../../lib/validator.ts";

export type SearchParams = Actions["products.list"]["params"];
export type Sort = NonNullable<SearchParams["sort"]>;

/**
 * The parts of an order by relevance: `ranked` where few enough were found to rank them all; of more, first
 * those that have the words in their name (`named`), and then the others (`mentioned`).
 */
export type Tier = "ranked" | "named" | "mentioned";

/** Where a page ended: what its last product was sorted by, that product's id, and by relevance the part it is in. */
export interface Position {
	readonly key: string | number;
	readonly id: string;
	readonly tier?: Tier;
}

/** The order of a search: words are answered by relevance, everything else newest first, unless asked otherwise. */
export function sortOf({ q, sort }: SearchParams): Sort {
	if (q === undefined) return sort === undefined || sort === "relevance" ? "newest" : sort;
	return sort ?? "relevance";
}

/** Words as `websearch_to_tsquery` takes them; all of them have to be found. */
export interface Words {
	readonly all: readonly string[];
	/** The last one, where more letters may follow. */
	readonly half: string | null;
	/** Whether somebody has written words, and no phrases, alternatives or exclusions. */
	readonly isPlain: boolean;
}

/** What is looked for. */
export function wordsOf(q: string): Words {
	const all = q.split(/\s+/u).filter(word => word !== "");
	if (all.some(word => /^-|"|^or$/iu.test(word)))
		return { all: [withoutRows(q)], half: null, isPlain: false };
	const last = all.at(-1) ?? "";
	const half = /^[\p{L}\p{N}]{2,}$/u.test(last) ? last : null;
	return { all: all.map(withoutRows), half, isPlain: true };
}

/**
 * PostgreSQL takes whatever people type but for a row of more than 31 negations, on which its parser's
 * stack overflows; of a row only the last one counts here.
 */
const withoutRows = (text: string): string => text.replaceAll(/-(?=[^\p{L}\p{N}]*-)/gu, " ");

/** How many of the coarse sample were found, and how many of these have the words in their name. */
export interface Estimate {
	readonly hits: number;
	readonly named: number;
}

/** One product in so many is in the samples, as the migration has made them. */
export const COARSE = 256;
export const FINE = 16;

/** Of so many hits in the coarse sample at most all are ranked: about 2,000. */
export const MOST_RANKED = 8;

/**
 * In which sample of one in how many facets are counted, so that at most some 4,000 rows are read; of the
 * products themselves half as many, which lie farther apart.
 */
export const shareCounted = ({ hits }: Pick<Estimate, "hits">): 1 | typeof FINE | typeof COARSE => {
	const found = hits * COARSE;
	return found <= MOST_COUNTED ? 1 : found / FINE <= 2 * MOST_COUNTED ? FINE : COARSE;
};
const MOST_COUNTED = 2_048;

/** What of the coarse sample lies ahead in an order. */
export interface Ahead {
	/** Of what fits the first ones, at most `LOOK_AHEAD`. */
	readonly hits: number;
	/** How many there are up to the last of these. */
	readonly passed: number;
	readonly rows: number;
}
/** Of fewer, chance alone would say how far apart they lie. */
export const LOOK_AHEAD = 4;

/** How many rows are walked past until so many fit. */
export const walkFor = ({ hits, passed, rows }: Ahead, limit: number): number => {
	if (hits === 0) return rows * COARSE;
	const apart = (hits < LOOK_AHEAD ? rows : passed) / hits;
	return Math.ceil(Math.min(rows * COARSE, limit * apart));
};

/**
 * How to find the first products in an order: to `walk` in that order and leave out what does not fit, or to
 * `gather` all that fit and sort them. What is gathered lies anywhere; a walk by age goes where rows lie, and
 * passes four in the time.
 */
export const wayTo = (walked: number, { hits }: Pick<Estimate, "hits">, sort: Sort) =>
	walked < (sort === "newest" ? 4 : 1) * COARSE * hits ? "walk" : "gather";

const TIME = Type.String({
	format: "date-time",
	pattern: "^[12]\\d{3}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:[0-5]\\d\\.\\d{3}Z$"
});
// Only what the database can take: a forged key must not become its error.
const KEYS: Record<Exclude<Sort, "relevance"> | "rank", TSchema> = {
	rank: Type.Number({ minimum: 0, maximum: 10 }),
	newest: TIME,
	price: Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
	"-price": Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
	name: Type.String({ minLength: 1, maxLength: 60, pattern: "^[^\\p{Cc}\\p{Cs}]*$" })
};

const at = (key: TSchema, ...tiers: Tier[]) =>
	Type.Object(
		{
			key,
			id: Type.String({ format: "uuid" }),
			...(tiers.length > 0 ? { tier: Type.Enum(tiers) } : {})
		},
		{ additionalProperties: false }
	);
const { rank, ...others } = KEYS;
const ajv = createAjv();
const checks = new Map<string, (position: unknown) => position is Position>([
	...Object.entries(others).map(([sort, key]) => [sort, ajv.compile<Position>(at(key))] as const),
	[
		"relevance",
		ajv.compile<Position>(Type.Union([at(rank, "ranked"), at(TIME, "named", "mentioned")]))
	]
]);

const listingOf = (params: SearchParams): Listing => {
	const { q, category, minPrice, maxPrice, inStock, attributes = {} } = params;
	const chosen = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
	return {
		list: "products.list",
		filters: [
			sortOf(params),
			q,
			category,
			minPrice,
			maxPrice,
			inStock,
			...(chosen.length > 0 ? [chosen] : [])
		]
	};
};

/** The cursor behind a position: at most 512 characters, since no name in it is longer than 60. */
export const cursorTo = (params: SearchParams, { key, id, tier }: Position): string =>
	encodeCursor(listingOf(params), { key, id, ...(tier ? { tier } : {}) } satisfies Position);

/**
 * Where the page before ended; undefined for the first page. Throws INVALID_CURSOR for what no page
 * of this search gave.
 */
export function positionOf(params: SearchParams): Position | undefined {
	if (params.cursor === undefined) return undefined;
	const position = decodeCursor(listingOf(params), params.cursor);
	if (!checks.get(sortOf(params))!(position)) throw failure(products, "INVALID_CURSOR");
	return position;
}

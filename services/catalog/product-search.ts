/** What a search for products means: its order, and the cursor from one page to the next. */
import { Type, type TSchema } from "typebox";
import type { Actions } from "../../contracts/index.ts";
import { products } from "../../contracts/products.ts";
import { decodeCursor, encodeCursor, type Listing } from "../../lib/cursor.ts";
import { failure } from "../../lib/failure.ts";
import { createAjv } from "../../lib/validator.ts";

export type SearchParams = Actions["products.list"]["params"];
export type Sort = NonNullable<SearchParams["sort"]>;

/** Where a page ended: what its last product was sorted by, and that product's id. */
export interface Position {
	readonly key: string | number;
	readonly id: string;
}

/** The order of a search: words are answered by relevance, everything else newest first, unless asked otherwise. */
export function sortOf({ q, sort }: SearchParams): Sort {
	if (q === undefined) return sort === undefined || sort === "relevance" ? "newest" : sort;
	return sort ?? "relevance";
}

/**
 * The words of a search, for `websearch_to_tsquery`. It takes whatever people type but for a row of
 * more than 31 negations, on which its parser's stack overflows; of a row only the last one counts here.
 */
export const wordsOf = (q: string): string => q.replaceAll(/-(?=[^\p{L}\p{N}]*-)/gu, " ");

// Only what the database can take: a forged key must not become its error.
const KEYS: Record<Sort, TSchema> = {
	relevance: Type.Number({ minimum: 0, maximum: 10 }),
	newest: Type.String({
		format: "date-time",
		pattern: "^[12]\\d{3}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:[0-5]\\d\\.\\d{3}Z$"
	}),
	price: Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
	"-price": Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
	name: Type.String({ minLength: 1, maxLength: 60, pattern: "^[^\\p{Cc}\\p{Cs}]*$" })
};

const ajv = createAjv();
const checks = Object.fromEntries(
	Object.entries(KEYS).map(([sort, key]) => [
		sort,
		ajv.compile<Position>(
			Type.Object({ key, id: Type.String({ format: "uuid" }) }, { additionalProperties: false })
		)
	])
);

const listingOf = (params: SearchParams): Listing => {
	const { q, category, minPrice, maxPrice, inStock } = params;
	return {
		list: "products.list",
		filters: [sortOf(params), q, category, minPrice, maxPrice, inStock]
	};
};

/** The cursor behind a position: at most 512 characters, since no name in it is longer than 60. */
export const cursorTo = (params: SearchParams, { key, id }: Position): string =>
	encodeCursor(listingOf(params), { key, id } satisfies Position);

/**
 * Where the page before ended; undefined for the first page. Throws INVALID_CURSOR for what no page
 * of this search gave.
 */
export function positionOf(params: SearchParams): Position | undefined {
	if (params.cursor === undefined) return undefined;
	const position = decodeCursor(listingOf(params), params.cursor);
	if (!checks[sortOf(params)]!(position)) throw failure(products, "INVALID_CURSOR");
	return position;
}

/** What a search for products means: its order, and the cursor from one page to the next. */
import { createHash } from "node:crypto";
import { Type, type TSchema } from "typebox";
import type { Actions } from "../../contracts/index.ts";
import { products } from "../../contracts/products.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
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

const Cursor = <S extends Sort>(sort: S) =>
	Type.Object(
		{
			sort: Type.Literal(sort),
			search: Type.String(),
			key: KEYS[sort],
			id: Type.String({ format: "uuid" })
		},
		{ additionalProperties: false }
	);
type Cursor = Position & { readonly sort: Sort; readonly search: string };

const ajv = createAjv();
const checks = Object.fromEntries(
	Object.keys(KEYS).map(sort => [sort, ajv.compile<Cursor>(Cursor(sort as Sort))])
);

/** A name for what is searched for, so that a cursor is not carried into another search. */
const fingerprint = ({ q, category, minPrice, maxPrice, inStock }: SearchParams): string =>
	createHash("sha256")
		.update(JSON.stringify([q, category, minPrice, maxPrice, inStock]))
		.digest("base64url")
		.slice(0, 12);

/** The cursor behind a position: at most 512 characters, since no name in it is longer than 60. */
export const cursorTo = (params: SearchParams, { key, id }: Position): string =>
	encodeCursor({ sort: sortOf(params), search: fingerprint(params), key, id } satisfies Cursor);

/**
 * Where the page before ended; undefined for the first page. Throws INVALID_CURSOR for what no page
 * of this search gave.
 */
export function positionOf(params: SearchParams): Position | undefined {
	if (params.cursor === undefined) return undefined;
	const cursor = decodeCursor(params.cursor);
	if (!checks[sortOf(params)]!(cursor) || cursor.search !== fingerprint(params))
		throw failure(products, "INVALID_CURSOR");
	return { key: cursor.key, id: cursor.id };
}

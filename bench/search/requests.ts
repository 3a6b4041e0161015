/** What people ask of a shop, and where in the answer they are. */
import type { Queries } from "../../lib/database.ts";
import {
	Bind,
	conditionsOf,
	isNamed,
	readSearch,
	where
} from "../../services/catalog/product-filters.store.ts";
import {
	cursorTo,
	MOST_RANKED,
	sortOf,
	type Position,
	type SearchParams
} from "../../services/catalog/product-search.ts";

// prettier-ignore
const WORDS = [
	"lamp", "black lamp", "oak", "steel ket", "compact chair", "walnut", "maker 7 mug", "hand", "linen scarf", "travel", "teal notebook", "headph",
	"blak lmap", "ceramc bowl", "folding", "SKU-00012345", "repaired", "lamp or chair", "wool -scarf", "keybo"
];
/** Searches by words, with facets. */
export const SEARCHES: readonly SearchParams[] = WORDS.flatMap((q, n): SearchParams[] => [
	{ q, facets: true },
	{
		q,
		facets: true,
		...[
			{ inStock: true },
			{ category: "home" },
			{ attributes: { colour: "Black" } },
			{ maxPrice: 20_000 },
			{ sort: "price" as const }
		][n % 5]
	}
]);

/** Lists by filters alone, in every order. */
export const LISTS: readonly SearchParams[] = (["newest", "price", "-price", "name"] as const)
	.map(sort => ({ sort }))
	.flatMap(({ sort }): SearchParams[] => [
		{ sort },
		{ sort, category: "home" },
		{ sort, category: "compact-lamp", inStock: true },
		{ sort, inStock: false },
		{ sort, minPrice: 20_000, maxPrice: 50_000 },
		{ sort, attributes: { colour: "Black" } },
		{ sort, attributes: { colour: "Teal", material: "Oak" } },
		{ sort, category: "garden", attributes: { material: "Steel" }, inStock: true }
	]);

/** Page 10,000 of twenty each. */
const DEEP = 200_000;

const COLUMNS = {
	relevance: "created_at",
	newest: "created_at",
	price: "price",
	"-price": "price",
	name: "sort_name"
} as const;

/**
 * The parameters of a page far behind: page 10,000, or in the middle of what is found where that is less.
 * Undefined where all is on the first one, or is ranked anew for each page.
 */
export async function deepPageOf(
	db: Queries,
	params: SearchParams
): Promise<SearchParams | undefined> {
	const { filters, estimate } = await readSearch(db, params);
	const sort = sortOf(params);
	if (sort === "relevance" && estimate.hits <= MOST_RANKED) return undefined;
	const tier = sort !== "relevance" ? undefined : estimate.named > 0 ? "named" : "mentioned";
	const bind = new Bind();
	const conditions = conditionsOf(filters, bind);
	if (tier === "named") conditions.push(isNamed(filters.query!, bind));
	const column = COLUMNS[sort];
	const direction = column === "created_at" || sort === "-price" ? "DESC" : "";
	const entries = `FROM search_entry e ${where(conditions)}`;
	const count = await db.one<{ total: number }>(
		`SELECT count(*)::int AS total ${entries}`,
		bind.values
	);
	if (count!.total < 40) return undefined;
	const row = await db.one<{ key: Date | string; id: string }>(
		`SELECT ${column} AS key, product_id AS id ${entries} ORDER BY ${column} ${direction}, product_id ${direction}
		LIMIT 1 OFFSET ${Math.min(DEEP, count!.total >> 1)}`,
		bind.values
	);
	if (!row) return undefined;
	const key: Position["key"] =
		row.key instanceof Date
			? row.key.toISOString()
			: column === "price"
				? Number(row.key)
				: row.key;
	const position = { key, id: row.id, ...(tier ? { tier } : {}) } satisfies Position;
	return { ...params, cursor: cursorTo(params, position) };
}

/** As a query of `GET /products`. */
export function queryOf(params: SearchParams): string {
	const { attributes = {}, ...others } = params;
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(others)) query.set(name, String(value));
	for (const [name, value] of Object.entries(attributes)) query.set(`attr.${name}`, value);
	return query.toString();
}

/** Pages of a search in SQL. Each statement has only the conditions that were asked for, and is planned for those. */
import { products, type Product } from "../../contracts/products.ts";
import type { Queries } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import {
	Bind,
	conditionsOf,
	isNamed,
	isVain,
	where,
	type Filters,
	type Search
} from "./product-filters.store.ts";
import {
	LOOK_AHEAD,
	MOST_RANKED,
	walkFor,
	wayTo,
	type Ahead,
	type Estimate,
	type Position,
	type Sort,
	type Tier
} from "./product-search.ts";
import { COLUMNS, TABLES, toProduct, type Row } from "./products.store.ts";

interface Order {
	/** What products are sorted by, before their id. */
	readonly column: "created_at" | "price" | "sort_name";
	readonly type: "timestamptz" | "bigint" | "text";
	readonly descending: boolean;
	/** The key as a cursor carries it. */
	readonly read: (key: never) => string | number;
}

const ORDERS: Record<Exclude<Sort, "relevance">, Order> = {
	newest: {
		column: "created_at",
		type: "timestamptz",
		descending: true,
		read: (key: Date) => key.toISOString()
	},
	price: { column: "price", type: "bigint", descending: false, read: Number },
	"-price": { column: "price", type: "bigint", descending: true, read: Number },
	name: { column: "sort_name", type: "text", descending: false, read: (key: string) => key }
};

export interface Found {
	readonly product: Product;
	readonly position: Position;
}

export interface Slice {
	readonly sort: Sort;
	/** Where the page before ended, if there was one. */
	readonly after: Position | undefined;
	readonly limit: number;
	/** At most so many entries are walked past before all that fits is gathered after all. */
	readonly longestWalk?: number;
}

/**
 * At most `limit` active products that the search finds, behind the position if there is one. Throws
 * INVALID_CURSOR where the position is one in a ranking, and far more is found than is ranked.
 */
export async function searchProducts(
	db: Queries,
	{ filters, estimate }: Search,
	{ sort, after, limit, longestWalk = 40_000 }: Slice
): Promise<Found[]> {
	if (isVain(filters)) return [];
	const slice = { after, limit, longestWalk };
	if (sort !== "relevance") return listed(db, { filters, estimate, sort, ...slice });
	const isRanked = after ? after.tier === "ranked" : estimate.hits <= MOST_RANKED;
	if (!isRanked) return tiered(db, { filters, estimate }, slice);
	// Far beyond what chance can be to blame for; to rank all that is dear.
	if (estimate.hits > 4 * MOST_RANKED) throw failure(products, "INVALID_CURSOR");
	return ranked(db, filters, after, limit);
}

/** All that was found, ranked by where and how often it has the words. */
async function ranked(
	db: Queries,
	filters: Filters,
	after: Position | undefined,
	limit: number
): Promise<Found[]> {
	const bind = new Bind();
	const conditions = conditionsOf(filters, bind);
	// As float8, because that is what JSON carries exactly.
	const rank = `ts_rank(e.words, ${bind.to(filters.query)}::tsquery)::float8`;
	const page = `SELECT * FROM (SELECT e.product_id, ${rank} AS key FROM search_entry e ${where(conditions)} OFFSET 0) AS hit
		${after ? `WHERE (key, product_id) < (${bind.to(after.key)}::float8, ${bind.to(after.id)}::uuid)` : ""}
		ORDER BY key DESC, product_id DESC LIMIT ${bind.to(limit)}::int`;
	return fetchPage(db, page, bind, { descending: true, read: Number, tier: "ranked" });
}

/** Those that have the words in their name, and behind them the others; each part newest first. */
async function tiered(
	db: Queries,
	{ filters, estimate: { hits, named } }: Search,
	{ after, limit, longestWalk }: Pick<Listing, "after" | "limit" | "longestWalk">
): Promise<Found[]> {
	const found: Found[] = [];
	for (const tier of ["named", "mentioned"] as const) {
		if (found.length === limit || (after?.tier === "mentioned" && tier === "named")) continue;
		found.push(
			...(await listed(db, {
				filters,
				estimate: { hits: tier === "named" ? named : hits - named },
				sort: "newest",
				after: after?.tier === tier ? after : undefined,
				limit: limit - found.length,
				longestWalk,
				tier
			}))
		);
	}
	return found;
}

interface Listing {
	readonly filters: Filters;
	readonly estimate: Pick<Estimate, "hits">;
	readonly sort: Exclude<Sort, "relevance">;
	readonly after: Position | undefined;
	readonly limit: number;
	readonly longestWalk: number;
	readonly tier?: Exclude<Tier, "ranked">;
}

/** So long a walk costs next to nothing. */
const SHORT_WALK = 500;
/** At most so many rows are merged from the categories. */
const MOST_MERGED = 10_000;

async function listed(db: Queries, listing: Listing): Promise<Found[]> {
	if (isMergeable(listing)) return fetchListed(db, listing, merge);
	if (isBounded(listing)) return fetchListed(db, listing, walk);
	// Of so few, to look ahead would take as long as to have them.
	if (listing.estimate.hits <= 1) return fetchListed(db, listing, gather);
	const walked = walkFor(await aheadOf(db, listing), listing.limit);
	if (wayTo(walked, listing.estimate, listing.sort) === "gather")
		return fetchListed(db, listing, gather);
	const longestWalk = Math.min(listing.longestWalk, 3 * walked + SHORT_WALK);
	const bounded = { ...listing, longestWalk };
	const found = await fetchListed(db, bounded, walk);
	return found.length === listing.limit || (await isWalkedOut(db, bounded))
		? found
		: fetchListed(db, listing, gather);
}

/** What is ahead by the sample: what fits may lie together, as dear things do by price. */
async function aheadOf(db: Queries, listing: Listing): Promise<Ahead> {
	const bind = new Bind();
	const { column, descending } = ORDERS[listing.sort];
	const [upTo, backwards] = descending ? [">=", ""] : ["<=", "DESC"];
	const conditions = [...fitting(listing, bind), ...behind(listing, bind)];
	const row = await db.one<Ahead>(
		`WITH hit AS MATERIALIZED (
			SELECT e.${column}, e.product_id FROM search_sample_256 e ${where(conditions)}
			${inOrder(listing)} LIMIT ${LOOK_AHEAD})
		SELECT (SELECT count(*) FROM hit)::int AS hits, count(*)::int AS rows,
			(count(*) FILTER (WHERE (e.${column}, e.product_id) ${upTo} (
				SELECT ${column}, product_id FROM hit
				ORDER BY ${column} ${backwards}, product_id ${backwards} LIMIT 1)))::int AS passed
		FROM search_sample_256 e ${where(bounds(listing, bind))}`,
		bind.values
	);
	return row!;
}

/** Whether all that lies between the bounds of the index fits. */
const isBounded = ({ filters, sort }: Listing): boolean =>
	Object.entries(filters).every(
		([name, filter]) => filter === undefined || (PRICES.has(name) && isByPrice(sort))
	);
const PRICES: ReadonlySet<string> = new Set<keyof Filters>(["minPrice", "maxPrice"]);
const isByPrice = (sort: Listing["sort"]): boolean => ORDERS[sort].column === "price";

/** Whether nearly all does that lies between the bounds of the indexes of its categories. */
const isMergeable = (listing: Listing): boolean => {
	const { categories, inStock = true, ...others } = listing.filters;
	return (
		categories !== undefined &&
		categories.length * listing.limit <= MOST_MERGED &&
		inStock &&
		isBounded({ ...listing, filters: others })
	);
};

type Page = (listing: Listing, bind: Bind) => string;

const fetchListed = (db: Queries, listing: Listing, page: Page): Promise<Found[]> => {
	const bind = new Bind();
	const { descending, read } = ORDERS[listing.sort];
	const { tier } = listing;
	return fetchPage(db, page(listing, bind), bind, { descending, read, ...(tier ? { tier } : {}) });
};

const directionOf = ({ descending }: Order) => (descending ? "DESC" : "");

const walk: Page = (listing, bind) => {
	const { column } = ORDERS[listing.sort];
	return `SELECT product_id, ${column} AS key FROM (
			SELECT * FROM search_entry e ${where(bounds(listing, bind))} ${inOrder(listing)}
			LIMIT ${bind.to(listing.longestWalk)}::int) AS e
		${where(fitting(listing, bind))} ${inOrder(listing)} LIMIT ${bind.to(listing.limit)}::int`;
};

const gather: Page = (listing, bind) => {
	const { column } = ORDERS[listing.sort];
	const conditions = [...fitting(listing, bind), ...behind(listing, bind)];
	return `SELECT product_id, ${column} AS key FROM (
			SELECT product_id, ${column} FROM search_entry e ${where(conditions)} OFFSET 0) AS e
		${inOrder(listing)} LIMIT ${bind.to(listing.limit)}::int`;
};

const merge: Page = (listing, bind) => {
	const { categories, ...filters } = listing.filters;
	const { column } = ORDERS[listing.sort];
	const conditions = [
		"e.category_id = c.id",
		...conditionsOf(filters, bind),
		...behind(listing, bind)
	];
	const end = `${inOrder(listing)} LIMIT ${bind.to(listing.limit)}::int`;
	return `SELECT product_id, ${column} AS key FROM unnest(${bind.to(categories)}::uuid[]) AS c(id), LATERAL (
			SELECT product_id, ${column} FROM search_entry e WHERE ${conditions.join(" AND ")} ${end}) AS e
		${end}`;
};

const inOrder = ({ sort }: Listing): string => {
	const direction = directionOf(ORDERS[sort]);
	return `ORDER BY e.${ORDERS[sort].column} ${direction}, e.product_id ${direction}`;
};

/** What lies behind the position. */
function behind({ sort, after }: Listing, bind: Bind): string[] {
	if (!after) return [];
	const { column, type, descending } = ORDERS[sort];
	const [key, id] = [bind.to(after.key), bind.to(after.id)];
	return [`(e.${column}, e.product_id) ${descending ? "<" : ">"} (${key}::${type}, ${id}::uuid)`];
}

/** Between what a walk goes on. */
function bounds(listing: Listing, bind: Bind): string[] {
	const { minPrice, maxPrice } = listing.filters;
	return [
		...(isByPrice(listing.sort) ? conditionsOf({ minPrice, maxPrice }, bind) : []),
		...behind(listing, bind)
	];
}

function fitting({ filters, tier }: Listing, bind: Bind): string[] {
	const { query, ...others } = filters;
	if (tier === undefined || query === undefined) return conditionsOf(filters, bind);
	const named = isNamed(query, bind);
	// Where a name has the words, so has the whole, unless something must not be in it.
	if (tier === "named" && !query.includes("!")) return [...conditionsOf(others, bind), named];
	return [...conditionsOf(filters, bind), tier === "named" ? named : `NOT ${named}`];
}

/** Whether the walk came to the end of all entries. */
async function isWalkedOut(db: Queries, listing: Listing): Promise<boolean> {
	const bind = new Bind();
	const row = await db.one(
		`SELECT 1 FROM search_entry e ${where(bounds(listing, bind))} ${inOrder(listing)}
		OFFSET ${bind.to(listing.longestWalk)}::int LIMIT 1`,
		bind.values
	);
	return row === undefined;
}

/** The products of a page of ids and keys. */
async function fetchPage(
	db: Queries,
	page: string,
	bind: Bind,
	{ descending, read, tier }: Pick<Order, "descending" | "read"> & { readonly tier?: Tier }
): Promise<Found[]> {
	const direction = descending ? "DESC" : "";
	const rows = await db.query<Row & { key: never }>(
		`WITH page AS MATERIALIZED (${page})
		SELECT ${COLUMNS}, page.key FROM page JOIN ${TABLES} ON p.id = page.product_id
		ORDER BY page.key ${direction}, p.id ${direction}`,
		bind.values
	);
	return rows.map(row => ({
		product: toProduct(row),
		position: { key: read(row.key), id: row.id, ...(tier ? { tier } : {}) }
	}));
}

/** How many active products the search finds, on all pages. Reads them all. */
export async function countProducts(db: Queries, { filters }: Search): Promise<number> {
	if (isVain(filters)) return 0;
	const bind = new Bind();
	const row = await db.one<{ total: number }>(
		`SELECT count(*)::int AS total FROM search_entry e ${where(conditionsOf(filters, bind))}`,
		bind.values
	);
	return row!.total;
}

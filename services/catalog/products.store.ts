import type { Product } from "../../contracts/products.ts";
import type { Queries } from "../../lib/database.ts";
import { idOrSlug } from "./id-or-slug.ts";
import { wordsOf, type Position, type SearchParams, type Sort } from "./product-search.ts";

const COLUMNS = `p.id, p.sku, p.name, p.slug, p.description, p.price_amount, p.price_currency, p.category_id,
	p.attributes, p.images, p.status, p.version, p.created_at, p.updated_at,
	coalesce(s.on_hand - s.reserved, 0) AS available`;
const TABLES = "product p LEFT JOIN stock s ON s.product_id = p.id";

interface Row {
	readonly id: string;
	readonly sku: string;
	readonly name: string;
	readonly slug: string;
	readonly description: string;
	/** bigint */
	readonly price_amount: string;
	readonly price_currency: string;
	readonly category_id: string;
	readonly attributes: Record<string, string>;
	readonly images: string[];
	readonly status: Product["status"];
	readonly version: number;
	readonly created_at: Date;
	readonly updated_at: Date;
	readonly available: number;
}

/** Nothing is available of what is not sold any more. */
const availabilityOf = ({ status, available }: Row): Product["availability"] =>
	status === "active" ? { inStock: available > 0, available } : { inStock: false, available: 0 };

const toProduct = (row: Row): Product => ({
	id: row.id,
	sku: row.sku,
	name: row.name,
	slug: row.slug,
	description: row.description,
	price: { amount: Number(row.price_amount), currency: row.price_currency },
	categoryId: row.category_id,
	attributes: row.attributes,
	images: row.images,
	availability: availabilityOf(row),
	status: row.status,
	version: row.version,
	createdAt: row.created_at.toISOString(),
	updatedAt: row.updated_at.toISOString()
});

/** Any status. */
export async function findProduct(db: Queries, name: string): Promise<Product | undefined> {
	const { id, slug } = idOrSlug(name);
	const row = await db.one<Row>(
		`SELECT ${COLUMNS} FROM ${TABLES} WHERE p.id = $1::uuid OR p.slug = $2`,
		[id, slug]
	);
	return row && toProduct(row);
}

/** Those there are, in any status and no particular order. */
export async function lookupProducts(db: Queries, ids: readonly string[]): Promise<Product[]> {
	const rows = await db.query<Row>(
		`SELECT ${COLUMNS} FROM ${TABLES} WHERE p.id = ANY($1::uuid[])`,
		[ids]
	);
	return rows.map(toProduct);
}

// Unlike to_tsquery it never complains of what people type.
const WORDS = "websearch_to_tsquery('english', $1::text)";

interface Order {
	/** What products are sorted by, before their id. */
	readonly key: string;
	readonly type: "float8" | "timestamptz" | "bigint" | "text";
	readonly descending: boolean;
	/** The key as a cursor carries it. */
	read(key: never): string | number;
}

const ORDERS: Record<Sort, Order> = {
	relevance: {
		// As float8, because that is what JSON carries exactly.
		key: `ts_rank(p.search, ${WORDS})::float8`,
		type: "float8",
		descending: true,
		read: (key: number) => key
	},
	newest: {
		key: "p.created_at",
		type: "timestamptz",
		descending: true,
		read: (key: Date) => key.toISOString()
	},
	price: { key: "p.price_amount", type: "bigint", descending: false, read: Number },
	"-price": { key: "p.price_amount", type: "bigint", descending: true, read: Number },
	name: { key: "p.sort_name", type: "text", descending: false, read: (key: string) => key }
};

// PostgreSQL plans with the values at hand and drops the filters whose value is null.
const FILTERS = `p.status = 'active'
		AND ($1::text IS NULL OR p.search @@ ${WORDS})
		AND ($2::uuid IS NULL AND $3::text IS NULL OR p.category_id IN (
			SELECT below.id FROM category c JOIN category below ON below.path @> ARRAY[c.slug]
			WHERE c.id = $2::uuid OR c.slug = $3::text))
		AND ($4::bigint IS NULL OR p.price_amount >= $4::bigint)
		AND ($5::bigint IS NULL OR p.price_amount <= $5::bigint)
		AND ($6::boolean IS NULL OR (coalesce(s.on_hand - s.reserved, 0) > 0) = $6::boolean)`;

const COUNT = `SELECT count(*)::int AS total FROM ${TABLES} WHERE ${FILTERS}`;

const statement = ({ key, type, descending }: Order): string => `
	SELECT ${COLUMNS}, ${key} AS key
	FROM ${TABLES}
	WHERE ${FILTERS}
		AND ($8::uuid IS NULL OR (${key}, p.id) ${descending ? "<" : ">"} ($7::${type}, $8::uuid))
	ORDER BY ${descending ? `${key} DESC, p.id DESC` : `${key}, p.id`}
	LIMIT $9::int`;

const STATEMENTS = Object.fromEntries(
	Object.entries(ORDERS).map(([sort, order]) => [sort, statement(order)])
) as Record<Sort, string>;

export interface Found {
	readonly product: Product;
	readonly position: Position;
}

function filtersOf({ q, category, minPrice, maxPrice, inStock }: SearchParams): unknown[] {
	const { id, slug } = category === undefined ? { id: null, slug: null } : idOrSlug(category);
	return [
		q === undefined ? null : wordsOf(q),
		id,
		slug,
		minPrice ?? null,
		maxPrice ?? null,
		inStock ?? null
	];
}

/** How many active products fit the search, on all pages. */
export async function countProducts(db: Queries, params: SearchParams): Promise<number> {
	return (await db.one<{ total: number }>(COUNT, filtersOf(params)))!.total;
}

/** At most `limit` active products that fit the search, behind the position if there is one. */
export async function searchProducts(
	db: Queries,
	params: SearchParams,
	{ sort, after, limit }: { sort: Sort; after: Position | undefined; limit: number }
): Promise<Found[]> {
	const rows = await db.query<Row & { key: never }>(STATEMENTS[sort], [
		...filtersOf(params),
		after?.key ?? null,
		after?.id ?? null,
		limit
	]);
	return rows.map(row => ({
		product: toProduct(row),
		position: { key: ORDERS[sort].read(row.key), id: row.id }
	}));
}

import type { Product } from "../../contracts/products.ts";
import type { Queries } from "../../lib/database.ts";
import { idOrSlug } from "./id-or-slug.ts";

/** Of a product, from `TABLES`. */
export const COLUMNS = `p.id, p.sku, p.name, p.slug, p.description, p.price_amount, p.price_currency, p.category_id,
	p.attributes, p.images, p.status, p.version, p.created_at, p.updated_at,
	coalesce(s.on_hand - s.reserved, 0) AS available`;
export const TABLES = "product p LEFT JOIN stock s ON s.product_id = p.id";

export interface Row {
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

export const toProduct = (row: Row): Product => ({
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

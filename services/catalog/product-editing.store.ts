/** Products in SQL, as staff change them. */
import { products, type PastPrice, type Product } from "../../contracts/products.ts";
import type { Money } from "../../contracts/common.ts";
import { violatedConstraint, type Queries, type Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { idOrSlug } from "./id-or-slug.ts";
import type { Editable, ProductTold } from "./product.ts";
import { findProduct } from "./products.store.ts";

const TAKEN: Record<string, "SKU_TAKEN" | "SLUG_TAKEN"> = {
	product_sku_key: "SKU_TAKEN",
	product_slug_key: "SLUG_TAKEN"
};

/** Hands on an error as what it means: that a SKU or a slug is another product's. */
function translate(error: unknown): never {
	const code = TAKEN[violatedConstraint(error) ?? ""];
	throw code ? failure(products, code) : error;
}

/** The product, locked until the transaction ends. */
export async function lockProduct(tx: Tx, name: string): Promise<Product | undefined> {
	const { id, slug } = idOrSlug(name);
	const row = await tx.one<{ id: string }>(
		"SELECT id FROM product WHERE id = $1::uuid OR slug = $2 FOR UPDATE",
		[id, slug]
	);
	return row && findProduct(tx, row.id);
}

const COLUMNS =
	"id, sku, name, slug, description, price_amount, price_currency, category_id, attributes, images, status";
const valuesOf = (product: Editable): unknown[] => [
	product.id,
	product.sku,
	product.name,
	product.slug,
	product.description,
	product.price.amount,
	product.price.currency,
	product.categoryId,
	JSON.stringify(product.attributes),
	product.images,
	product.status
];

/** Adds a product with its first price; false where its slug is taken. Throws SKU_TAKEN. */
export async function insertProduct(tx: Tx, product: Editable): Promise<boolean> {
	const added = await tx
		.one(
			`INSERT INTO product (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11)
			ON CONFLICT (slug) DO NOTHING RETURNING id`,
			valuesOf(product)
		)
		.catch(translate);
	if (!added) return false;
	await insertPrice(tx, product.id, product.price, "first");
	return true;
}

/** Writes a locked product anew. Throws SKU_TAKEN and SLUG_TAKEN. */
export async function updateProduct(tx: Tx, product: Editable): Promise<void> {
	await tx
		.query(
			`UPDATE product SET (${COLUMNS}, version, updated_at) =
				($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, version + 1, clock_timestamp())
			WHERE id = $1`,
			valuesOf(product)
		)
		.catch(translate);
}

/** What there is of a new product to begin with, and the receipt of it. */
export async function insertStock(tx: Tx, productId: string, units: number): Promise<void> {
	await tx.query("INSERT INTO stock (product_id, on_hand) VALUES ($1, $2)", [productId, units]);
	if (units > 0)
		await tx.query(
			`INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason)
			VALUES ($1, 'receipt', $2, 0, 0, 'opening stock')`,
			[productId, units]
		);
}

/**
 * Keeps what a locked product costs from now on. Answers its number: 1 is the price that it came with, also
 * where nobody kept that.
 */
export async function insertPrice(
	tx: Tx,
	productId: string,
	{ amount, currency }: Money,
	kind: "first" | "another"
): Promise<number> {
	const row = await tx.one<{ version: number }>(
		`INSERT INTO price_history (product_id, version, amount, currency)
		SELECT $1, coalesce(max(version), $4::int) + 1, $2, $3 FROM price_history WHERE product_id = $1
		RETURNING version`,
		[productId, amount, currency, kind === "first" ? 0 : 1]
	);
	return row!.version;
}

/** A price, and its number among those that the product has had. */
export interface NumberedPrice {
	readonly version: number;
	readonly past: PastPrice;
}

/** What a product has cost, newest first; only what came before a number if there is one. */
export async function listPrices(
	db: Queries,
	productId: string,
	{ before, limit }: { readonly before: number | undefined; readonly limit: number }
): Promise<NumberedPrice[]> {
	const rows = await db.query<{ version: number; amount: string; currency: string; from: Date }>(
		`SELECT version, amount, currency, "from" FROM price_history
		WHERE product_id = $1::uuid AND ($2::int IS NULL OR version < $2::int)
		ORDER BY version DESC LIMIT $3::int`,
		[productId, before ?? null, limit]
	);
	return rows.map(({ version, amount, currency, from }) => ({
		version,
		past: { price: { amount: Number(amount), currency }, from: from.toISOString() }
	}));
}

/** Records what has become of a product. */
export async function recordChanges(
	tx: Tx,
	id: string,
	told: readonly ProductTold[]
): Promise<void> {
	const row = await tx.one<{ facts: number }>(
		"UPDATE product SET facts = facts + $2 WHERE id = $1 RETURNING facts",
		[id, told.length]
	);
	for (const [index, { type, data }] of told.entries())
		tx.record(type, { id, version: row!.facts - told.length + index + 1 }, data);
}

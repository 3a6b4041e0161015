/** Imports and exports in SQL: one statement for all products of a batch. */
import { SHOP_CURRENCY } from "../../contracts/common.ts";
import type { Actions } from "../../contracts/index.ts";
import {
	IMPORT_BYTES,
	products as contract,
	type ImportedProduct,
	type Product
} from "../../contracts/products.ts";
import { violatedConstraint, type Queries, type Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import type { Placed } from "./category.ts";
import type { Creation, MadeCategory, Update } from "./import-plan.ts";
import { isSamePrice, toldOf, type Editable } from "./product.ts";
import { lookupProducts } from "./products.store.ts";

/** Lets no other import in until the transaction ends: two with the same products would wait in a circle. */
export async function lockImports(tx: Tx): Promise<void> {
	await tx.query("SELECT pg_advisory_xact_lock(hashtext('product import'))");
}

export const findPlaces = (tx: Tx, slugs: readonly string[]): Promise<Placed[]> =>
	tx.query<Placed>("SELECT id, path FROM category WHERE slug = ANY ($1::text[])", [slugs]);

/** Adds categories, parents first, under the lock of the tree, and tells of them. */
export async function insertCategories(tx: Tx, made: readonly MadeCategory[]): Promise<void> {
	await tx.query(
		`INSERT INTO category (id, name, slug, parent_id, path, facts)
		SELECT id, name, path[cardinality(path)], "parentId", path, 1
		FROM jsonb_to_recordset($1::jsonb) AS c(id uuid, name text, "parentId" uuid, path text[])`,
		[JSON.stringify(made)]
	);
	for (const { id, name, parentId, path } of made) {
		const data = { categoryId: id, name, slug: path.at(-1)!, parentId };
		tx.record("category.created.v1", { id, version: 1 }, data);
	}
}

/** Products by SKU, locked in the order of their ids. */
export async function lockProducts(tx: Tx, skus: readonly string[]): Promise<Map<string, Product>> {
	const rows = await tx.query<{ id: string }>(
		"SELECT id FROM product WHERE sku = ANY ($1::text[]) ORDER BY id FOR UPDATE",
		[skus]
	);
	const found = await lookupProducts(
		tx,
		rows.map(({ id }) => id)
	);
	return new Map(found.map(product => [product.sku, product]));
}

/** Whose these slugs are, of those that somebody has. */
export async function findSlugs(tx: Tx, slugs: readonly string[]): Promise<Map<string, string>> {
	const rows = await tx.query<{ id: string; slug: string }>(
		"SELECT id, slug FROM product WHERE slug = ANY ($1::text[])",
		[slugs]
	);
	return new Map(rows.map(({ id, slug }) => [slug, id]));
}

const FIELDS = `id uuid, sku text, name text, slug text, description text, amount bigint, currency text,
	"categoryId" uuid, attributes jsonb, images text[], status text`;
const fieldsOf = ({ price, ...product }: Editable) => ({ ...product, ...price });

// One statement: a product comes with its price, its stock and its receipt, or not at all.
const ADD = `
	WITH wanted AS (
		SELECT * FROM jsonb_to_recordset($1::jsonb) AS w(${FIELDS}, stock int)),
	added AS (
		INSERT INTO product (id, sku, name, slug, description, price_amount, price_currency, category_id, attributes,
			images, status, facts)
		SELECT id, sku, name, slug, description, amount, currency, "categoryId", attributes, images, status, 1
		FROM wanted ORDER BY sku
		ON CONFLICT DO NOTHING RETURNING id),
	priced AS (
		INSERT INTO price_history (product_id, version, amount, currency)
		SELECT id, 1, amount, currency FROM added JOIN wanted USING (id)),
	stocked AS (
		INSERT INTO stock (product_id, on_hand) SELECT id, stock FROM added JOIN wanted USING (id)),
	received AS (
		INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason)
		SELECT id, 'receipt', stock, 0, 0, 'opening stock' FROM added JOIN wanted USING (id) WHERE stock > 0)
	SELECT id FROM added`;

/** Adds products and tells of them. Answers the ids of those whose SKU and slug nobody had. */
export async function insertProducts(
	tx: Tx,
	creations: readonly Creation[]
): Promise<ReadonlySet<string>> {
	if (creations.length === 0) return new Set();
	const wanted = creations.map(({ product, initialStock }) => ({
		...fieldsOf(product),
		stock: initialStock
	}));
	const rows = await tx.query<{ id: string }>(ADD, [JSON.stringify(wanted)]);
	const added = new Set(rows.map(({ id }) => id));
	for (const { product } of creations)
		if (added.has(product.id))
			tx.record("product.created.v1", { id: product.id, version: 1 }, toldOf(product));
	return added;
}

/** Writes locked products anew, with what they cost where that is another price, and tells of them. Throws SLUG_TAKEN. */
export async function updateProducts(tx: Tx, updates: readonly Update[]): Promise<void> {
	if (updates.length === 0) return;
	const wanted = updates.map(({ after, told }) => ({ ...fieldsOf(after), told: told.length }));
	const rows = await tx
		.query<{ id: string; facts: number }>(
			`UPDATE product p SET name = w.name, slug = w.slug, description = w.description, price_amount = w.amount,
				price_currency = w.currency, category_id = w."categoryId", attributes = w.attributes, images = w.images,
				status = w.status, facts = facts + w.told, version = version + 1, updated_at = clock_timestamp()
			FROM jsonb_to_recordset($1::jsonb) AS w(${FIELDS}, told int)
			WHERE p.id = w.id RETURNING p.id, p.facts`,
			[JSON.stringify(wanted)]
		)
		.catch((error: unknown) => {
			throw violatedConstraint(error) === "product_slug_key"
				? failure(contract, "SLUG_TAKEN")
				: error;
		});
	const facts = new Map(rows.map(({ id, facts: count }) => [id, count]));
	for (const { before, told } of updates)
		for (const [index, { type, data }] of told.entries())
			tx.record(
				type,
				{ id: before.id, version: facts.get(before.id)! - told.length + index + 1 },
				data
			);
	await changePrices(
		tx,
		updates.filter(({ before, after }) => !isSamePrice(before, after))
	);
}

async function changePrices(tx: Tx, updates: readonly Update[]): Promise<void> {
	if (updates.length === 0) return;
	const rows = await tx.query<{ id: string; version: number }>(
		// 1 is the price that a product came with, also where nobody kept that.
		`INSERT INTO price_history (product_id, version, amount, currency)
		SELECT id, coalesce((SELECT max(version) FROM price_history WHERE product_id = id), 1) + 1, amount, currency
		FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, amount bigint, currency text)
		RETURNING product_id AS id, version`,
		[JSON.stringify(updates.map(({ after }) => fieldsOf(after)))]
	);
	const versions = new Map(rows.map(({ id, version }) => [id, version]));
	for (const { before, after } of updates) {
		const data = { productId: before.id, from: before.price, to: after.price };
		tx.record("price.changed.v1", { id: before.id, version: versions.get(before.id)! - 1 }, data);
	}
}

/** At most so many products are read for a page of an export. */
const EXPORT_PAGE = 500;

interface ExportRow extends Omit<ImportedProduct, "price" | "category"> {
	readonly id: string;
	/** bigint */
	readonly amount: string;
	readonly path: string[];
}

/** A page of all products, whatever their status, behind the one with this id; its bytes are bounded, too. */
export async function exportProducts(
	db: Queries,
	after?: string
): Promise<Actions["products.export"]["result"]> {
	const rows = await db.query<ExportRow>(
		`SELECT p.id, sku, p.name, p.slug, description, price_amount AS amount, c.path, attributes, images, status,
			least(coalesce(s.on_hand - s.reserved, 0), 1000000) AS "initialStock"
		FROM product p JOIN category c ON c.id = category_id LEFT JOIN stock s ON s.product_id = p.id
		WHERE $1::uuid IS NULL OR p.id > $1::uuid ORDER BY p.id LIMIT ${EXPORT_PAGE + 1}`,
		[after ?? null]
	);
	const items: ImportedProduct[] = [];
	let bytes = 0;
	for (const { id: _, amount, path, ...row } of rows) {
		const price = { amount: Number(amount), currency: SHOP_CURRENCY } as const;
		const item = { ...row, price, category: path.join("/") };
		bytes += Buffer.byteLength(JSON.stringify(item));
		if (items.length === EXPORT_PAGE || (bytes > IMPORT_BYTES && items.length > 0)) break;
		items.push(item);
	}
	const whole = items.length === rows.length;
	const { total } = (await db.one<{ total: number }>(
		"SELECT count(*)::int AS total FROM product"
	))!;
	return { items, after: whole ? null : rows[items.length - 1]!.id, total };
}

/** Rows for the tests of this group. */
import { randomUUID } from "node:crypto";
import type { Database, Queries } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { DIFFERENCES } from "./inventory.store.ts";

/** Adds a category below the path and returns its id. */
export async function addCategory(db: Database, ...path: string[]): Promise<string> {
	const id = uuidv7();
	await db.query(
		`INSERT INTO category (id, name, slug, parent_id, path)
		VALUES ($1, initcap($2), $2, (SELECT id FROM category WHERE slug = $3), $4)`,
		[id, path.at(-1), path.at(-2) ?? null, path]
	);
	return id;
}

export interface ProductFixture {
	readonly category: string;
	readonly id?: string;
	readonly sku?: string;
	readonly name?: string;
	readonly slug?: string;
	readonly description?: string;
	readonly price?: number;
	readonly attributes?: Readonly<Record<string, string>>;
	readonly status?: "active" | "archived";
	readonly createdAt?: string;
	/** Units that came in; without it there is no row of stock at all. */
	readonly stock?: number;
}

/** Adds a product, with its receipt if there is stock, and returns its id. */
export async function addProduct(db: Database, fixture: ProductFixture): Promise<string> {
	const { category, id = uuidv7(), stock } = fixture;
	await db.query(
		`INSERT INTO product (id, sku, name, slug, description, price_amount, price_currency, category_id, attributes,
			status, created_at, updated_at)
		SELECT $1, $2, $3, $4, $5, $6, 'EUR', id, $7::jsonb, $8, $9::timestamptz, $9::timestamptz
		FROM category WHERE slug = $10`,
		[
			id,
			fixture.sku ?? randomUUID(),
			fixture.name ?? "Thing",
			fixture.slug ?? `thing-${randomUUID()}`,
			fixture.description ?? "",
			fixture.price ?? 1_000,
			JSON.stringify(fixture.attributes ?? {}),
			fixture.status ?? "active",
			fixture.createdAt ?? new Date().toISOString(),
			category
		]
	);
	await db.query(
		`INSERT INTO price_history (product_id, version, amount, currency, "from")
		SELECT id, 1, price_amount, price_currency, created_at FROM product WHERE id = $1`,
		[id]
	);
	if (stock !== undefined)
		await db.query("INSERT INTO stock (product_id, on_hand) VALUES ($1, $2)", [id, stock]);
	if (stock)
		await db.query(
			`INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason)
			VALUES ($1, 'receipt', $2, 0, 0, 'test')`,
			[id, stock]
		);
	return id;
}

/** Products whose stock is not what the ledger adds up to, or not what the reservations hold; there must be none. */
export const wrongStock = (db: Queries): Promise<object[]> => db.query(DIFFERENCES);

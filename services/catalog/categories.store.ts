import { categories, type Category } from "../../contracts/categories.ts";
import { violatedConstraint, type Queries, type Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import type { CategoryTold, Placed } from "./category.ts";
import { idOrSlug } from "./id-or-slug.ts";

const COLUMNS = `c.id, c.name, c.slug, c.parent_id AS "parentId", c.path, c.version`;

// Each category counts its own products, and adds to those on the path to it, in one pass.
const ALL = `
	WITH counted AS (
		SELECT ancestor, sum(active_products)::int AS products
		FROM category, unnest(path) AS ancestor GROUP BY ancestor)
	SELECT ${COLUMNS}, products AS "productCount"
	FROM category c JOIN counted ON ancestor = c.slug ORDER BY c.path`;

const ONE = `SELECT ${COLUMNS}, (SELECT sum(below.active_products)::int FROM category below
		WHERE below.path @> ARRAY[c.slug]) AS "productCount"
	FROM category c WHERE c.id = $1::uuid OR c.slug = $2`;

/** All categories, each behind its parent. */
export const listCategories = (db: Queries): Promise<Category[]> => db.query<Category>(ALL);

export function findCategory(db: Queries, name: string): Promise<Category | undefined> {
	const { id, slug } = idOrSlug(name);
	return db.one<Category>(ONE, [id, slug]);
}

/**
 * Lets nobody else change the tree until the transaction ends. To be taken before any category is read
 * that a decision rests on: two that hang each other below themselves would else both succeed.
 */
export async function lockTree(tx: Tx): Promise<void> {
	await tx.query("SELECT pg_advisory_xact_lock(hashtext('category tree'))");
}

/**
 * Which of these categories there are. They stay until the transaction ends, and what counts their
 * products may go on: locked as strongly as that will need, in the order in which everybody does it.
 */
export async function holdCategories(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
	const rows = await tx.query<{ id: string }>(
		"SELECT id FROM category WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE",
		[ids]
	);
	return new Set(rows.map(({ id }) => id));
}

/** All that hangs below a category. Locks it as well; the tree must be. */
export async function lockBranch(tx: Tx, { id, slug }: Category): Promise<Placed[]> {
	const rows = await tx.query<Placed>(
		"SELECT id, path FROM category WHERE path @> ARRAY[$1] ORDER BY id FOR UPDATE",
		[slug]
	);
	return rows.filter(row => row.id !== id);
}

export interface NewCategory extends Placed {
	readonly name: string;
	readonly parentId: string | null;
}

/** Adds a category; false where the slug at the end of its path is taken. */
export async function insertCategory(
	tx: Tx,
	{ id, name, parentId, path }: NewCategory
): Promise<boolean> {
	const row = await tx.one(
		`INSERT INTO category (id, name, slug, parent_id, path) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (slug) DO NOTHING RETURNING id`,
		[id, name, path.at(-1), parentId, path]
	);
	return row !== undefined;
}

/**
 * Gives a locked category another name and parent, and puts it and all below it at their new places; the
 * last part of a path is the slug. Throws SLUG_TAKEN.
 */
export async function saveBranch(
	tx: Tx,
	{ id, name, parentId }: Pick<Category, "id" | "name" | "parentId">,
	places: readonly Placed[]
): Promise<void> {
	try {
		await tx.query(
			`UPDATE category c SET path = p.path, slug = p.path[cardinality(p.path)],
				name = CASE WHEN c.id = $1 THEN $2 ELSE c.name END,
				parent_id = CASE WHEN c.id = $1 THEN $3::uuid ELSE c.parent_id END,
				version = version + 1, updated_at = clock_timestamp()
			FROM jsonb_to_recordset($4::jsonb) AS p(id uuid, path text[])
			WHERE c.id = p.id AND (c.id = $1 OR c.path <> p.path)`,
			[id, name, parentId, JSON.stringify(places)]
		);
	} catch (error) {
		throw violatedConstraint(error) === "category_slug_key"
			? failure(categories, "SLUG_TAKEN")
			: error;
	}
}

/** Whether there are products in a category, or categories below it. */
export async function isInUse(tx: Tx, id: string): Promise<boolean> {
	const row = await tx.one<{ used: boolean }>(
		`SELECT EXISTS (SELECT FROM product WHERE category_id = $1)
			OR EXISTS (SELECT FROM category WHERE parent_id = $1) AS used`,
		[id]
	);
	return row!.used;
}

export async function deleteCategory(tx: Tx, id: string): Promise<void> {
	await tx.query("DELETE FROM category WHERE id = $1", [id]);
}

/** Records what has become of a category. */
export async function recordChanges(
	tx: Tx,
	id: string,
	told: readonly CategoryTold[]
): Promise<void> {
	const row = await tx.one<{ facts: number }>(
		"UPDATE category SET facts = facts + $2 WHERE id = $1 RETURNING facts",
		[id, told.length]
	);
	for (const [index, { type, data }] of told.entries())
		tx.record(type, { id, version: row!.facts - told.length + index + 1 }, data);
}

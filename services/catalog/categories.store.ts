import type { Category } from "../../contracts/categories.ts";
import type { Queries } from "../../lib/database.ts";
import { idOrSlug } from "./id-or-slug.ts";

// Each product counts for every category on the path to its own, in one pass.
const CATEGORIES = `
	WITH counted AS (
		SELECT ancestor, sum(products)::int AS products
		FROM (SELECT category_id, count(*) AS products FROM product WHERE status = 'active' GROUP BY category_id) own
		JOIN category ON category.id = own.category_id, unnest(category.path) AS ancestor
		GROUP BY ancestor)
	SELECT id, name, slug, parent_id AS "parentId", path, coalesce(products, 0) AS "productCount"
	FROM category LEFT JOIN counted ON ancestor = slug`;

/** All categories, each behind its parent. */
export const listCategories = (db: Queries): Promise<Category[]> =>
	db.query<Category>(`${CATEGORIES} ORDER BY path`);

export function findCategory(db: Queries, name: string): Promise<Category | undefined> {
	const { id, slug } = idOrSlug(name);
	return db.one<Category>(`${CATEGORIES} WHERE id = $1::uuid OR slug = $2`, [id, slug]);
}

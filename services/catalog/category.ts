/** The tree of categories: what hangs where, and what may be hung elsewhere. Pure. */
import {
	categories,
	MAX_DEPTH,
	type Category,
	type CategoryNode
} from "../../contracts/categories.ts";
import type { Events } from "../../contracts/index.ts";
import { failure } from "../../lib/failure.ts";

/** Hangs each category below its parent. Expects parents before their children, and keeps the order. */
export function toTree(listed: readonly Category[]): CategoryNode[] {
	const nodes = new Map(
		listed.map(category => [category.id, { ...category, children: [] as CategoryNode[] }])
	);
	const roots: CategoryNode[] = [];
	for (const node of nodes.values())
		(node.parentId === null ? roots : nodes.get(node.parentId)!.children).push(node);
	return roots;
}

/** A category in the tree, by the slugs from the root to its own. */
export type Placed = Pick<Category, "id" | "path">;

/** The path of what is called `slug` below a parent, or is a root. Throws CATEGORY_TOO_DEEP. */
export function pathBelow(parent: Placed | null, slug: string): string[] {
	const path = [...(parent?.path ?? []), slug];
	if (path.length > MAX_DEPTH) throw failure(categories, "CATEGORY_TOO_DEEP");
	return path;
}

/**
 * Where all of a branch is once its top is called `slug` and hangs below `parent`. `below` is what hangs
 * below the top, at whatever depth. Throws CATEGORY_LOOP where the parent is of the branch, and
 * CATEGORY_TOO_DEEP where something would be too far from its root.
 */
export function moveBranch(
	top: Placed,
	below: readonly Placed[],
	slug: string,
	parent: Placed | null
): Placed[] {
	if (parent && [top, ...below].some(({ id }) => id === parent.id))
		throw failure(categories, "CATEGORY_LOOP");
	const path = pathBelow(parent, slug);
	const moved = below.map(({ id, path: old }) => ({
		id,
		path: [...path, ...old.slice(top.path.length)]
	}));
	if (moved.some(({ path: { length } }) => length > MAX_DEPTH))
		throw failure(categories, "CATEGORY_TOO_DEEP");
	return [{ id: top.id, path }, ...moved];
}

type CategoryFact = Extract<keyof Events, `category.${string}`>;
export type CategoryTold = {
	[K in CategoryFact]: { readonly type: K; readonly data: Events[K] };
}[CategoryFact];

/** What is to be told where a category has become another one; nothing where it is the same. */
export function changesOf(before: Category, after: Category): CategoryTold[] {
	const { id: categoryId, name, slug, parentId } = after;
	return [
		...(name !== before.name || slug !== before.slug
			? [{ type: "category.updated.v1" as const, data: { categoryId, name, slug } }]
			: []),
		...(parentId !== before.parentId
			? [{ type: "category.moved.v1" as const, data: { categoryId, parentId } }]
			: [])
	];
}

import type { Category, CategoryNode } from "../../contracts/categories.ts";

/** Hangs each category below its parent. Expects parents before their children, and keeps the order. */
export function toTree(categories: readonly Category[]): CategoryNode[] {
	const nodes = new Map(
		categories.map(category => [category.id, { ...category, children: [] as CategoryNode[] }])
	);
	const roots: CategoryNode[] = [];
	for (const node of nodes.values())
		(node.parentId === null ? roots : nodes.get(node.parentId)!.children).push(node);
	return roots;
}

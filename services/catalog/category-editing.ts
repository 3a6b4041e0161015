/** What staff do to the tree of categories. One at a time: each locks the tree. */
import { categories, type Category } from "../../contracts/categories.ts";
import type { Actions } from "../../contracts/index.ts";
import type { Tx } from "../../lib/database.ts";
import { commonFailure, failure, requireVersion } from "../../lib/failure.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import {
	deleteCategory,
	findCategory,
	insertCategory,
	isInUse,
	lockBranch,
	lockTree,
	recordChanges,
	saveBranch
} from "./categories.store.ts";
import { changesOf, moveBranch, pathBelow } from "./category.ts";
import { alternativesTo, slugOf } from "./slug.ts";

/** Throws VALIDATION_ERROR where there is no such category. */
async function findParent(tx: Tx, id: string | null): Promise<Category | null> {
	const parent = id === null ? null : await findCategory(tx, id.toLowerCase());
	if (parent !== undefined) return parent;
	const error = { field: "parentId", code: "unknown", message: "must be a category's id" };
	throw commonFailure("VALIDATION_ERROR", { errors: [error] });
}

/** What a command names, and the versions that it may have. */
interface Named {
	readonly idOrSlug: string;
	readonly ifMatch?: readonly number[] | undefined;
}

/** The category of a command, as it is while nobody else changes the tree. Throws NOT_FOUND and VERSION_MISMATCH. */
async function findLocked(tx: Tx, { idOrSlug, ifMatch }: Named): Promise<Category> {
	await lockTree(tx);
	const category = await findCategory(tx, idOrSlug);
	if (!category) throw failure(categories, "NOT_FOUND");
	requireVersion(ifMatch, category.version!);
	return category;
}

/** Throws SLUG_TAKEN where a slug was asked for, CATEGORY_TOO_DEEP, and VALIDATION_ERROR for an unknown parent. */
export async function createCategory(
	tx: Tx,
	{ name, slug, parentId = null }: Actions["categories.create"]["params"]
): Promise<Category> {
	await lockTree(tx);
	const parent = await findParent(tx, parentId);
	const id = uuidv7();
	const slugs = slug ? [slug] : alternativesTo(slugOf(name, "category"), id.slice(-12));
	for (const candidate of slugs) {
		const path = pathBelow(parent, candidate);
		if (!(await insertCategory(tx, { id, name, parentId: parent?.id ?? null, path }))) continue;
		const category = (await findCategory(tx, id))!;
		const data = { categoryId: id, name, slug: candidate, parentId: category.parentId };
		await recordChanges(tx, id, [{ type: "category.created.v1", data }]);
		return category;
	}
	throw failure(categories, "SLUG_TAKEN");
}

/** Throws NOT_FOUND, VERSION_MISMATCH, SLUG_TAKEN, CATEGORY_LOOP, CATEGORY_TOO_DEEP and VALIDATION_ERROR. */
export async function changeCategory(
	tx: Tx,
	{ idOrSlug, ifMatch, ...change }: Actions["categories.update"]["params"]
): Promise<Category> {
	const before = await findLocked(tx, { idOrSlug, ifMatch });
	const parent = await findParent(
		tx,
		change.parentId === undefined ? before.parentId : change.parentId
	);
	const after = { ...before, ...change, parentId: parent?.id ?? null };
	const told = changesOf(before, after);
	if (told.length === 0) return before;
	const below = await lockBranch(tx, before);
	await saveBranch(tx, after, moveBranch(before, below, after.slug, parent));
	await recordChanges(tx, before.id, told);
	return (await findCategory(tx, before.id))!;
}

/** Throws NOT_FOUND, VERSION_MISMATCH, and CATEGORY_IN_USE where there is something in it. */
export async function removeCategory(
	tx: Tx,
	params: Actions["categories.remove"]["params"]
): Promise<null> {
	const category = await findLocked(tx, params);
	// What is put into it from here on waits, and then does not find it.
	await lockBranch(tx, category);
	if (await isInUse(tx, category.id)) throw failure(categories, "CATEGORY_IN_USE");
	await recordChanges(tx, category.id, [
		{ type: "category.deleted.v1", data: { categoryId: category.id } }
	]);
	await deleteCategory(tx, category.id);
	return null;
}

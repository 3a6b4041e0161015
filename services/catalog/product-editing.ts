/** What staff do to products. */
import type { Actions } from "../../contracts/index.ts";
import { products, type Product } from "../../contracts/products.ts";
import type { Tx } from "../../lib/database.ts";
import { commonFailure, failure, requireVersion } from "../../lib/failure.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { holdCategories } from "./categories.store.ts";
import { changed, changesOf, isSamePrice, toldOf, type Editable } from "./product.ts";
import {
	insertPrice,
	insertProduct,
	insertStock,
	lockProduct,
	recordChanges,
	updateProduct
} from "./product-editing.store.ts";
import { findProduct } from "./products.store.ts";
import { alternativesTo, slugOf } from "./slug.ts";

/**
 * Holds the category that a product comes into, and the one that it was in. To be called before the product
 * is written, so that whoever waits for its SKU or slug holds none that we still need. Throws VALIDATION_ERROR
 * for an unknown category.
 */
async function requireCategory(tx: Tx, id: string, before = id): Promise<void> {
	if ((await holdCategories(tx, [id, before])).has(id)) return;
	const error = { field: "categoryId", code: "unknown", message: "must be a category's id" };
	throw commonFailure("VALIDATION_ERROR", { errors: [error] });
}

/** What a command names, and the versions that it may have. */
interface Named {
	readonly idOrSlug: string;
	readonly ifMatch?: readonly number[] | undefined;
}

/** The product of a command, locked. Throws NOT_FOUND and VERSION_MISMATCH. */
async function findLocked(tx: Tx, { idOrSlug, ifMatch }: Named): Promise<Product> {
	const product = await lockProduct(tx, idOrSlug);
	if (!product) throw failure(products, "NOT_FOUND");
	requireVersion(ifMatch, product.version);
	return product;
}

/** Throws SKU_TAKEN, SLUG_TAKEN where a slug was asked for, and VALIDATION_ERROR for an unknown category. */
export async function createProduct(
	tx: Tx,
	{ slug, initialStock = 0, ...given }: Actions["products.create"]["params"]
): Promise<Product> {
	const id = uuidv7();
	const categoryId = given.categoryId.toLowerCase();
	await requireCategory(tx, categoryId);
	const defaults = { description: "", attributes: {}, images: [], status: "active" as const };
	const slugs = slug ? [slug] : alternativesTo(slugOf(given.name, "product"), id.slice(-12));
	for (const candidate of slugs) {
		const product: Editable = { ...defaults, ...given, id, categoryId, slug: candidate };
		if (!(await insertProduct(tx, product))) continue;
		await insertStock(tx, id, initialStock);
		await recordChanges(tx, id, [{ type: "product.created.v1", data: toldOf(product) }]);
		return (await findProduct(tx, id))!;
	}
	throw failure(products, "SLUG_TAKEN");
}

/** Writes what a locked product is to be, and tells of it; nothing where it is the same. */
async function save(tx: Tx, before: Product, after: Editable): Promise<Product> {
	const told = changesOf(before, after);
	if (told.length === 0) return before;
	const { id: productId } = before;
	await requireCategory(tx, after.categoryId, before.categoryId);
	await updateProduct(tx, after);
	await recordChanges(tx, productId, told);
	if (!isSamePrice(before, after)) {
		// The first price was no change.
		const version = (await insertPrice(tx, productId, after.price, "another")) - 1;
		const data = { productId, from: before.price, to: after.price };
		tx.record("price.changed.v1", { id: productId, version }, data);
	}
	return (await findProduct(tx, productId))!;
}

/** Throws NOT_FOUND, VERSION_MISMATCH, SKU_TAKEN, SLUG_TAKEN, and VALIDATION_ERROR for an unknown category. */
export async function changeProduct(
	tx: Tx,
	{ idOrSlug, ifMatch, ...change }: Actions["products.update"]["params"]
): Promise<Product> {
	const before = await findLocked(tx, { idOrSlug, ifMatch });
	return save(tx, before, changed(before, change));
}

/** Throws NOT_FOUND and VERSION_MISMATCH. One that is archived already stays as it is. */
export async function archiveProduct(
	tx: Tx,
	params: Actions["products.archive"]["params"]
): Promise<null> {
	const before = await findLocked(tx, params);
	await save(tx, before, changed(before, { status: "archived" }));
	return null;
}

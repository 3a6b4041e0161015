/** Adds and changes the products of a file, many in one transaction. */
import type { Actions } from "../../contracts/index.ts";
import type { ImportedProduct, ProductOutcome } from "../../contracts/products.ts";
import type { Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { holdCategories, lockTree } from "./categories.store.ts";
import { missingCategories, planImport, slugsOf } from "./import-plan.ts";
import {
	findPlaces,
	findSlugs,
	insertCategories,
	insertProducts,
	lockImports,
	lockProducts,
	updateProducts
} from "./import.store.ts";

const slugsIn = (paths: Iterable<string>): string[] => [
	...new Set([...paths].flatMap(path => path.split("/")))
];

/** The ids of the categories on these paths by slug, made where they are missing and that is asked for. */
async function placesOf(
	tx: Tx,
	paths: ReadonlySet<string>,
	{
		makeCategories,
		dryRun
	}: Pick<Actions["products.import"]["params"], "makeCategories" | "dryRun">
): Promise<{ readonly known: Map<string, string>; readonly made: Map<string, string> }> {
	const slugs = slugsIn(paths);
	let places = await findPlaces(tx, slugs);
	const there = new Set(places.map(({ path }) => path.at(-1)));
	const isMissing = [...paths].some(path => !there.has(path.split("/").at(-1)));
	if (isMissing && makeCategories) {
		await lockTree(tx);
		places = await findPlaces(tx, slugs);
	}
	const made = isMissing && makeCategories ? missingCategories(places, paths, uuidv7) : [];
	if (made.length > 0 && !dryRun) await insertCategories(tx, made);
	const bySlug = (listed: typeof places) =>
		new Map(listed.map(({ id, path }) => [path.at(-1)!, id]));
	return { known: bySlug(places), made: bySlug(made) };
}

/**
 * Stores what can be, tells of it, and answers what became of each product, in their order. One import at a
 * time, and locks in the order of all others: the tree, products, categories. A dry run only looks.
 */
export async function importProducts(
	tx: Tx,
	{ products: wanted, ...options }: Actions["products.import"]["params"]
): Promise<ProductOutcome[]> {
	await lockImports(tx);
	const { known, made } = await placesOf(
		tx,
		new Set(wanted.map(({ category }) => category)),
		options
	);
	const products = await lockProducts(
		tx,
		wanted.map(({ sku }) => sku)
	);
	const held = await holdCategories(tx, [
		...new Set([
			...known.values(),
			...made.values(),
			...[...products.values()].map(p => p.categoryId)
		])
	]);
	// One that was deleted since it was looked for is none.
	const categories = new Map([...[...known].filter(([, id]) => held.has(id)), ...made]);
	const newIds = wanted.map(() => uuidv7());
	const slugs = await findSlugs(tx, candidatesOf(wanted, newIds, products));
	const plan = planImport(wanted, { products, categories, slugs, newIds });
	if (options.dryRun) return [...plan.outcomes];
	await updateProducts(tx, plan.updates);
	const added = await insertProducts(tx, plan.creations);
	// Somebody else has added one with this SKU or slug, just now.
	const lost = new Set(
		plan.creations.filter(({ product }) => !added.has(product.id)).map(({ index }) => index)
	);
	return plan.outcomes.map((outcome, index) => (lost.has(index) ? OVERTAKEN : outcome));
}

const OVERTAKEN: ProductOutcome = {
	status: "rejected",
	problems: [
		{ field: "sku", message: "or slug was taken by somebody else just now; import it again" }
	]
};

const candidatesOf = (
	wanted: readonly ImportedProduct[],
	newIds: readonly string[],
	products: ReadonlyMap<string, unknown>
): string[] => [
	...new Set(
		wanted.flatMap((product, index) =>
			product.slug === undefined && products.has(product.sku)
				? []
				: slugsOf(product, newIds[index]!)
		)
	)
];

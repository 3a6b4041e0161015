/** What an import makes of the catalog as it is. Pure. */
import { MAX_DEPTH } from "../../contracts/categories.ts";
import type { ImportedProduct, Product, ProductOutcome } from "../../contracts/products.ts";
import type { Placed } from "./category.ts";
import { changed, changesOf, type Editable, type ProductTold } from "./product.ts";
import { alternativesTo, slugOf } from "./slug.ts";

const tail = (path: readonly string[]): string => path.at(-1)!;

export interface MadeCategory extends Placed {
	readonly name: string;
	readonly parentId: string | null;
}

/**
 * The categories to be made, parents first, so that these paths lead somewhere: each is hung below the
 * nearest one on its path that there is. Where that would be too deep, it is not made.
 */
export function missingCategories(
	known: readonly Placed[],
	paths: Iterable<string>,
	newId: () => string
): MadeCategory[] {
	const places = new Map(known.map(place => [tail(place.path), place]));
	const made: MadeCategory[] = [];
	for (const path of paths) {
		const slugs = path.split("/");
		const found = slugs.findLastIndex(slug => places.has(slug));
		let parent = found < 0 ? undefined : places.get(slugs[found]!);
		const below = [...new Set(slugs.slice(found + 1))];
		if ((parent?.path.length ?? 0) + below.length > MAX_DEPTH) continue;
		for (const slug of below) {
			const words = slug.replaceAll("-", " ").slice(0, 100);
			const category: MadeCategory = {
				id: newId(),
				name: words[0]!.toUpperCase() + words.slice(1),
				parentId: parent?.id ?? null,
				path: [...(parent?.path ?? []), slug]
			};
			made.push(category);
			places.set(slug, category);
			parent = category;
		}
	}
	return made;
}

/** What there is of what an import names. */
export interface Ground {
	/** By SKU. */
	readonly products: ReadonlyMap<string, Product>;
	/** Ids by slug. */
	readonly categories: ReadonlyMap<string, string>;
	/** Whose each slug is that somebody may want. */
	readonly slugs: ReadonlyMap<string, string>;
	readonly newIds: readonly string[];
}

export interface Creation {
	readonly index: number;
	readonly product: Editable;
	readonly initialStock: number;
}

export interface Update {
	readonly before: Product;
	readonly after: Editable;
	readonly told: readonly ProductTold[];
}

export interface Plan {
	readonly outcomes: readonly ProductOutcome[];
	readonly creations: readonly Creation[];
	readonly updates: readonly Update[];
}

/** The slugs that a product with this id may come to have, the best one first. */
export const slugsOf = ({ name, slug }: ImportedProduct, id: string): string[] =>
	slug === undefined ? alternativesTo(slugOf(name, "product"), id.slice(-12)) : [slug];

const rejected = (field: string, message: string): ProductOutcome => ({
	status: "rejected",
	problems: [{ field, message }]
});
const CREATED: ProductOutcome = { status: "created", problems: [] };
const UPDATED: ProductOutcome = { status: "updated", problems: [] };
const UNCHANGED: ProductOutcome = { status: "unchanged", problems: [] };

/** What becomes of each product; whoever asks for a slug gets it before one is made for others. */
export function planImport(wanted: readonly ImportedProduct[], ground: Ground): Plan {
	const outcomes: ProductOutcome[] = [];
	const creations: Creation[] = [];
	const updates: Update[] = [];
	const slugs = new Map(ground.slugs);
	const seen = new Set<string>();
	const settle = (index: number): ProductOutcome => {
		const { category, initialStock = 0, ...given } = wanted[index]!;
		if (seen.has(given.sku)) return rejected("sku", "is there twice");
		seen.add(given.sku);
		const categoryId = ground.categories.get(tail(category.split("/")));
		if (categoryId === undefined) return rejected("category", "is not known");
		const before = ground.products.get(given.sku);
		const id = before?.id ?? ground.newIds[index]!;
		const candidates =
			before && given.slug === undefined ? [before.slug] : slugsOf(wanted[index]!, id);
		const slug = candidates.find(name => (slugs.get(name) ?? id) === id);
		if (slug === undefined) return rejected("slug", "is taken");
		slugs.set(slug, id);
		if (!before) {
			const defaults = { description: "", attributes: {}, images: [], status: "active" as const };
			const product = { ...defaults, ...given, id, categoryId, slug };
			creations.push({ index, product, initialStock });
			return CREATED;
		}
		const after = changed(before, { ...given, slug, categoryId });
		const told = changesOf(before, after);
		if (told.length === 0) return UNCHANGED;
		updates.push({ before, after, told });
		return UPDATED;
	};
	const order = [...wanted.keys()].sort(
		(a, b) => Number(wanted[a]!.slug === undefined) - Number(wanted[b]!.slug === undefined)
	);
	for (const index of order) outcomes[index] = settle(index);
	return { outcomes, creations, updates };
}

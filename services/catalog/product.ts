/** What staff change of a product, and what is told of it. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { Actions, Events } from "../../contracts/index.ts";
import type { Product } from "../../contracts/products.ts";

/** What is left out stays; null empties a field. */
export type ProductChange = Omit<Actions["products.update"]["params"], "idOrSlug" | "ifMatch">;

/** All that a change can have an effect on. */
export type Editable = Omit<Product, "availability" | "version" | "createdAt" | "updatedAt">;

/** The product as it is after the change. */
export const changed = (before: Product, change: ProductChange): Editable => {
	const { availability: _, version: _version, createdAt: _at, updatedAt: _then, ...same } = before;
	return {
		...same,
		...change,
		categoryId: (change.categoryId ?? before.categoryId).toLowerCase(),
		description: change.description === null ? "" : (change.description ?? before.description),
		attributes: change.attributes === null ? {} : (change.attributes ?? before.attributes),
		images: change.images === null ? [] : (change.images ?? before.images)
	};
};

type ProductFact = Extract<keyof Events, `product.${string}`>;
export type ProductTold = {
	[K in ProductFact]: { readonly type: K; readonly data: Events[K] };
}[ProductFact];

/** A product as its facts tell it. */
export const toldOf = ({ id, ...rest }: Editable): Events["product.created.v1"] => ({
	productId: id,
	...rest
});

/** What is to be told where a product has become another one; nothing where it is the same. */
export function changesOf(before: Product, after: Editable): ProductTold[] {
	const told = toldOf(after);
	const isArchived = before.status === "active" && after.status === "archived";
	return [
		...(isDeepStrictEqual(
			toldOf(changed(before, {})),
			isArchived ? { ...told, status: "active" } : told
		)
			? []
			: [{ type: "product.updated.v1" as const, data: told }]),
		...(isArchived ? [{ type: "product.archived.v1" as const, data: { productId: after.id } }] : [])
	];
}

export const isSamePrice = (before: Editable, after: Editable): boolean =>
	before.price.amount === after.price.amount && before.price.currency === after.price.currency;

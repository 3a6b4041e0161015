import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, IdOrSlug, Nullable, Params } from "./common.ts";

export const Category = Type.Object(
	{
		id: Id,
		name: Type.String({ examples: ["Desk lamps"] }),
		slug: Type.String({ examples: ["desk-lamps"] }),
		parentId: Nullable(Id),
		path: Type.Array(Type.String(), {
			description: "Slugs from the root to this category",
			examples: [["lighting", "desk-lamps"]]
		}),
		productCount: Type.Integer({ description: "Active products in it and below", examples: [12] })
	},
	{ title: "Category" }
);
export type Category = Static<typeof Category>;

/** A category with those below it, where a tree was asked for. */
export const CategoryNode = Type.Object(
	{
		...Category.properties,
		children: Type.Optional(
			Type.Array(Type.Unknown(), {
				description: "Categories of the same shape, each with its children"
			})
		)
	},
	{ title: "CategoryNode" }
);
export type CategoryNode = Static<typeof CategoryNode>;

export const categories = contract({
	name: "categories",
	failures: {},
	actions: {
		list: {
			summary: "List the categories, flat or as a tree",
			access: "public",
			rest: { route: "GET /categories", tag: "Catalog" },
			idempotent: true,
			cache: { keys: ["tree"], ttl: 10 },
			params: Params({ tree: Type.Optional(Type.Boolean({ default: false })) }),
			result: Type.Object({ items: Type.Array(CategoryNode), nextCursor: Type.Null() })
		},
		get: {
			summary: "Read a category by id or slug",
			access: "public",
			rest: { route: "GET /categories/:idOrSlug", tag: "Catalog" },
			idempotent: true,
			cache: { keys: ["idOrSlug"], ttl: 10 },
			params: Params({ idOrSlug: IdOrSlug }),
			result: Category,
			failures: ["NOT_FOUND"]
		}
	},
	events: {}
});

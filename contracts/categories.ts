import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, IdOrSlug, IfMatch, Nullable, Params, Slug, Text } from "./common.ts";

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
		productCount: Type.Integer({ description: "Active products in it and below", examples: [12] }),
		version: Type.Optional(Type.Integer({ examples: [3] }))
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

/** How many categories a path may have. */
export const MAX_DEPTH = 8;

const Name = Text(1, 100, { examples: ["Desk lamps"] });
const CategorySlug = Type.String({ ...Slug, examples: ["desk-lamps"] });
const etag = ["version", "productCount"];
const ifMatch = { "if-match": "ifMatch" };

export const categories = contract({
	name: "categories",
	failures: {
		SLUG_TAKEN: { status: 409, message: "This slug is taken." },
		CATEGORY_LOOP: {
			status: 409,
			message: "A category cannot hang below itself, nor below what hangs below it."
		},
		CATEGORY_TOO_DEEP: {
			status: 409,
			message: `No path has more than ${MAX_DEPTH} categories.`
		},
		CATEGORY_IN_USE: {
			status: 409,
			message:
				"There are products in this category, archived ones perhaps, or other categories below it. Move them first."
		}
	},
	actions: {
		list: {
			summary: "List the categories, flat or as a tree",
			description: "What it counts may be ten seconds old.",
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
			rest: { route: "GET /categories/:idOrSlug", tag: "Catalog", etag },
			idempotent: true,
			params: Params({ idOrSlug: IdOrSlug }),
			result: Category,
			failures: ["NOT_FOUND"]
		},
		create: {
			summary: "Add a category",
			description:
				"Without a `slug` it gets one made of its name, with a number behind it where others have that already.",
			access: "staff",
			rest: {
				route: "POST /categories",
				tag: "Catalog",
				status: 201,
				location: "/api/v1/categories/{id}",
				etag
			},
			params: Params({
				name: Name,
				slug: Type.Optional(CategorySlug),
				parentId: Type.Optional(Nullable(Id))
			}),
			result: Category,
			failures: ["SLUG_TAKEN", "CATEGORY_TOO_DEEP", "VALIDATION_ERROR"]
		},
		update: {
			summary: "Rename a category, or move it with all that is below it",
			description:
				"Null as the parent makes it a root. The paths of all below it change with it, and so do their versions.",
			access: "staff",
			rest: { route: "PATCH /categories/:idOrSlug", tag: "Catalog", etag, headers: ifMatch },
			params: Params({
				idOrSlug: IdOrSlug,
				name: Type.Optional(Name),
				slug: Type.Optional(CategorySlug),
				parentId: Type.Optional(Nullable(Id)),
				ifMatch: Type.Optional(IfMatch)
			}),
			result: Category,
			failures: [
				"NOT_FOUND",
				"SLUG_TAKEN",
				"CATEGORY_LOOP",
				"CATEGORY_TOO_DEEP",
				"VALIDATION_ERROR",
				"VERSION_MISMATCH"
			]
		},
		remove: {
			summary: "Delete a category that nothing is in",
			access: "staff",
			rest: { route: "DELETE /categories/:idOrSlug", tag: "Catalog", headers: ifMatch },
			params: Params({ idOrSlug: IdOrSlug, ifMatch: Type.Optional(IfMatch) }),
			result: Type.Null(),
			failures: ["NOT_FOUND", "CATEGORY_IN_USE", "VERSION_MISMATCH"]
		}
	},
	events: {
		"category.created.v1": {
			summary: "There is a new category",
			data: Type.Object({
				categoryId: Id,
				name: Type.String(),
				slug: Type.String(),
				parentId: Nullable(Id)
			})
		},
		"category.updated.v1": {
			summary: "A category is called otherwise",
			data: Type.Object({ categoryId: Id, name: Type.String(), slug: Type.String() })
		},
		"category.moved.v1": {
			summary: "A category hangs elsewhere, with all that is below it",
			data: Type.Object({ categoryId: Id, parentId: Nullable(Id) })
		},
		"category.deleted.v1": {
			summary: "There is no such category any more",
			data: Type.Object({ categoryId: Id })
		}
	}
});

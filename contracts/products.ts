import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import {
	Id,
	IdOrSlug,
	Money,
	Page,
	pageParams,
	Params,
	Text,
	Timestamp,
	totalParam
} from "./common.ts";

export const Product = Type.Object(
	{
		id: Id,
		sku: Type.String({ examples: ["LMP-0042"] }),
		name: Type.String({ examples: ["Desk lamp"] }),
		slug: Type.String({ examples: ["desk-lamp"] }),
		description: Type.String({ examples: ["A lamp for a desk."] }),
		price: Money,
		categoryId: Id,
		attributes: Type.Record(Type.String(), Type.String(), { examples: [{ colour: "black" }] }),
		images: Type.Array(Type.String(), { examples: [["https://example.com/desk-lamp.jpg"]] }),
		availability: Type.Object({
			inStock: Type.Boolean(),
			available: Type.Integer({ examples: [17] })
		}),
		status: Type.Enum(["active", "archived"]),
		version: Type.Integer(),
		createdAt: Timestamp,
		updatedAt: Timestamp
	},
	{ title: "Product" }
);
export type Product = Static<typeof Product>;

const MinorUnits = Type.Integer({
	minimum: 0,
	maximum: 1_000_000_000_000,
	description: "Minor units"
});

export const products = contract({
	name: "products",
	failures: {
		INVALID_CURSOR: {
			status: 422,
			message: "This cursor is not one of ours, or belongs to another search."
		}
	},
	actions: {
		list: {
			summary: "Search and filter products",
			access: "public",
			rest: { route: "GET /products", tag: "Catalog", limit: { cost: 2 }, priority: "low" },
			idempotent: true,
			params: Params({
				q: Type.Optional(
					Text(1, 200, { description: "Words to look for", examples: ["desk lamp"] })
				),
				category: Type.Optional(IdOrSlug),
				minPrice: Type.Optional(MinorUnits),
				maxPrice: Type.Optional(MinorUnits),
				inStock: Type.Optional(Type.Boolean()),
				sort: Type.Optional(Type.Enum(["relevance", "newest", "price", "-price", "name"])),
				...pageParams,
				...totalParam
			}),
			result: Page(Product),
			failures: ["INVALID_CURSOR"]
		},
		get: {
			summary: "Read a product by id or slug",
			access: "public",
			rest: {
				route: "GET /products/:idOrSlug",
				tag: "Catalog",
				etag: ["version", "availability.available"],
				priority: "low"
			},
			idempotent: true,
			params: Params({ idOrSlug: IdOrSlug }),
			result: Product,
			failures: ["NOT_FOUND"]
		},
		lookup: {
			summary: "Products by id, as they are now; unknown ids are left out",
			access: "internal",
			idempotent: true,
			params: Params({ ids: Type.Array(Id, { maxItems: 200 }) }),
			result: Type.Array(Product)
		}
	},
	events: {}
});

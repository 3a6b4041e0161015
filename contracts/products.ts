import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { MAX_DEPTH } from "./categories.ts";
import {
	HttpsUrl,
	Id,
	ID_FORM,
	IdOrSlug,
	IfMatch,
	LongText,
	Money,
	Nullable,
	Page,
	pageParams,
	Params,
	Price,
	Slug,
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

/** How many of the products that were found each further filter would leave. */
export const Facets = Type.Object(
	{
		approximate: Type.Boolean({
			description:
				"True where more than about 2,000 were found: then the counts are estimates from a sample, and what is rare may be missing",
			examples: [false]
		}),
		category: Type.Array(
			Type.Object({
				id: Id,
				name: Type.String({ examples: ["Desk lamps"] }),
				count: Type.Integer({ minimum: 0, examples: [12] })
			}),
			{ description: "The 50 with most of them; each counts for those above it as well" }
		),
		price: Type.Array(
			Type.Object({
				from: Type.Integer({ minimum: 0, examples: [2000] }),
				to: Nullable(Type.Integer({ minimum: 0, examples: [4999] })),
				count: Type.Integer({ minimum: 0, examples: [9] })
			}),
			{ description: "Bands that have any, as `minPrice` and `maxPrice`; the last one has no end" }
		),
		availability: Type.Object({
			inStock: Type.Integer({ minimum: 0, examples: [11] }),
			outOfStock: Type.Integer({ minimum: 0, examples: [1] })
		}),
		attributes: Type.Record(
			Type.String(),
			Type.Array(
				Type.Object({ value: Type.String(), count: Type.Integer({ minimum: 0, examples: [5] }) })
			),
			{
				description: "The 20 names that most of them have, each with its 20 most frequent values",
				examples: [{ colour: [{ value: "black", count: 5 }] }]
			}
		)
	},
	{ title: "Facets" }
);
export type Facets = Static<typeof Facets>;

const MinorUnits = Type.Integer({
	minimum: 0,
	maximum: 1_000_000_000_000,
	description: "Minor units"
});

const Sku = Type.String({
	pattern: "^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?$",
	description: "1 to 64 letters, digits, dots, dashes, slashes and underscores",
	examples: ["LMP-0042"]
});
const Name = Text(1, 200, { examples: ["Desk lamp"] });
const Description = LongText(10_000, { examples: ["A lamp for a desk."] });
/** As `attr.NAME` of a search can carry it. */
const AttributeName = Type.String({ pattern: "^[a-z][a-z0-9_-]{0,30}$" });
const Attributes = Type.Record(AttributeName, Text(1, 200), {
	maxProperties: 50,
	additionalProperties: false,
	examples: [{ colour: "black" }]
});
const InitialStock = Type.Integer({ minimum: 0, maximum: 1_000_000, examples: [17] });
const Images = Type.Array(HttpsUrl, {
	maxItems: 20,
	uniqueItems: true,
	examples: [["https://example.com/desk-lamp.jpg"]]
});

const CATEGORY_SLUG = `(?!${ID_FORM}(?:/|$))(?=[a-z0-9-]{1,120}(?:/|$))[a-z0-9]+(?:-[a-z0-9]+)*`;

/** A product as a file brings it: known by its SKU, in a category that is known by its slug. */
export const ImportedProduct = Params({
	sku: Sku,
	name: Name,
	slug: Type.Optional(Slug),
	description: Type.Optional(Description),
	price: Price,
	category: Type.String({
		pattern: `^${CATEGORY_SLUG}(?:/${CATEGORY_SLUG}){0,${MAX_DEPTH - 1}}$`,
		description: `slugs with slashes between, at most ${MAX_DEPTH}; the last one tells which category it is`,
		examples: ["lighting/desk-lamps"]
	}),
	attributes: Type.Optional(Attributes),
	images: Type.Optional(Images),
	status: Type.Optional(Type.Enum(["active", "archived"])),
	initialStock: Type.Optional(InitialStock)
});
export type ImportedProduct = Static<typeof ImportedProduct>;

/** What became of one of those. `unchanged`: nothing was written, since it was so already. */
const ProductOutcome = Type.Object({
	status: Type.Enum(["created", "updated", "unchanged", "rejected"]),
	problems: Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))
});
export type ProductOutcome = Static<typeof ProductOutcome>;

/** At most so many at once, and so many bytes of JSON: a message over NATS has 1 MB. */
export const IMPORT_BATCH = 500;
export const IMPORT_BYTES = 500_000;

/** What a product cost from a moment on, until the next such moment. */
export const PastPrice = Type.Object({ price: Money, from: Timestamp }, { title: "PastPrice" });
export type PastPrice = Static<typeof PastPrice>;

const etag = ["version", "availability.available"];
const ifMatch = { "if-match": "ifMatch" };

/** A product as a copy of it elsewhere has to know it; whoever has none yet can begin with any. */
const told = {
	productId: Id,
	sku: Type.String(),
	name: Type.String(),
	slug: Type.String(),
	description: Type.String(),
	price: Money,
	categoryId: Id,
	attributes: Type.Record(Type.String(), Type.String()),
	images: Type.Array(Type.String()),
	status: Type.Enum(["active", "archived"])
};

export const products = contract({
	name: "products",
	failures: {
		SKU_TAKEN: { status: 409, message: "There is another product with this SKU." },
		SLUG_TAKEN: { status: 409, message: "This slug is taken." },
		INVALID_CURSOR: {
			status: 422,
			message: "This cursor is not one of ours, or belongs to another search."
		}
	},
	actions: {
		list: {
			summary: "Search and filter products",
			description:
				'`q` finds words in names, SKUs, attributes and descriptions, the last one also where it is only half typed. It takes `"a phrase"`, `or`, and `-` before what must not be there. Where nothing has its words, those most like them are looked for; `correction` says so. By `relevance` up to about 2,000 products are ranked; of more, those with the words in their name come first, and each part is newest first. All filters have to fit.',
			access: "public",
			rest: {
				route: "GET /products",
				tag: "Catalog",
				limit: { cost: 2 },
				priority: "low",
				queryPrefix: { "attr.": "attributes" }
			},
			idempotent: true,
			params: Params({
				q: Type.Optional(
					Text(1, 200, { description: "Words to look for", examples: ["desk lamp"] })
				),
				category: Type.Optional(IdOrSlug),
				minPrice: Type.Optional(MinorUnits),
				maxPrice: Type.Optional(MinorUnits),
				inStock: Type.Optional(Type.Boolean()),
				attributes: Type.Optional(
					Type.Record(AttributeName, Text(1, 200), {
						minProperties: 1,
						maxProperties: 10,
						additionalProperties: false,
						description: "What attributes have to be, letter by letter",
						examples: [{ colour: "Black" }]
					})
				),
				facets: Type.Optional(
					Type.Boolean({ description: "Whether to count what further filters would leave" })
				),
				sort: Type.Optional(Type.Enum(["relevance", "newest", "price", "-price", "name"])),
				...pageParams,
				...totalParam
			}),
			result: Type.Object({
				...Page(Product).properties,
				facets: Type.Optional(Facets),
				correction: Type.Optional(
					Type.String({
						description: "What was looked for instead, where nothing has the words of `q`",
						examples: ["desk lamp"]
					})
				)
			}),
			failures: ["INVALID_CURSOR"]
		},
		get: {
			summary: "Read a product by id or slug",
			description:
				"An archived one is still answered, with `status: archived` and nothing available: orders and old links lead to it.",
			access: "public",
			rest: {
				route: "GET /products/:idOrSlug",
				tag: "Catalog",
				etag,
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
		},
		create: {
			summary: "Add a product",
			description:
				"Without a `slug` it gets one made of its name, with a number behind it where others have that already. `initialStock` is what is there of it to begin with.",
			access: "staff",
			rest: {
				route: "POST /products",
				tag: "Catalog",
				status: 201,
				location: "/api/v1/products/{id}",
				etag
			},
			params: Params({
				sku: Sku,
				name: Name,
				slug: Type.Optional(Slug),
				description: Type.Optional(Description),
				price: Price,
				categoryId: Id,
				attributes: Type.Optional(Attributes),
				images: Type.Optional(Images),
				initialStock: Type.Optional(InitialStock)
			}),
			result: Product,
			failures: ["SKU_TAKEN", "SLUG_TAKEN", "VALIDATION_ERROR"]
		},
		update: {
			summary: "Change a product",
			description:
				"Null empties a field. The slug stays when the name changes, so that links do. `active` puts an archived product on sale again.",
			access: "staff",
			rest: {
				route: "PATCH /products/:idOrSlug",
				tag: "Catalog",
				etag,
				headers: ifMatch,
				required: ["if-match"]
			},
			params: Params({
				idOrSlug: IdOrSlug,
				sku: Type.Optional(Sku),
				name: Type.Optional(Name),
				slug: Type.Optional(Slug),
				description: Type.Optional(Nullable(Description)),
				price: Type.Optional(Price),
				categoryId: Type.Optional(Id),
				attributes: Type.Optional(Nullable(Attributes)),
				images: Type.Optional(Nullable(Images)),
				status: Type.Optional(Type.Enum(["active", "archived"])),
				ifMatch: Type.Optional(IfMatch)
			}),
			result: Product,
			failures: ["NOT_FOUND", "SKU_TAKEN", "SLUG_TAKEN", "VALIDATION_ERROR", "VERSION_MISMATCH"]
		},
		archive: {
			summary: "Take a product off sale",
			description:
				"It is in no list any more and cannot be bought, but what was ordered of it is still known. Its SKU and slug stay taken.",
			access: "staff",
			rest: { route: "DELETE /products/:idOrSlug", tag: "Catalog", headers: ifMatch },
			idempotent: true,
			params: Params({ idOrSlug: IdOrSlug, ifMatch: Type.Optional(IfMatch) }),
			result: Type.Null(),
			failures: ["NOT_FOUND", "VERSION_MISMATCH"]
		},
		prices: {
			summary: "What a product has cost, newest first",
			access: "staff",
			rest: { route: "GET /products/:id/prices", tag: "Catalog" },
			idempotent: true,
			params: Params({ id: Id, ...pageParams }),
			result: Page(PastPrice),
			failures: ["NOT_FOUND", "INVALID_CURSOR"]
		},
		import: {
			summary: "Add products, and change those whose SKU is known",
			description:
				"All of a call or none, where it fails; a repetition changes nothing. What is left out stays as it is, and the stock of a product that is known does in any case. With `makeCategories` the categories that are missing are made, with `dryRun` it only says what would become of each.",
			access: "internal",
			timeout: 30_000,
			params: Params({
				products: Type.Array(ImportedProduct, { minItems: 1, maxItems: IMPORT_BATCH }),
				makeCategories: Type.Boolean(),
				dryRun: Type.Boolean()
			}),
			result: Type.Object({
				outcomes: Type.Array(ProductOutcome, { description: "In the order of the products" })
			})
		},
		export: {
			summary: "All products, as an import takes them, in the order of their ids",
			description: "Pages are short where the products in them are long.",
			access: "internal",
			idempotent: true,
			params: Params({ after: Type.Optional(Id) }),
			result: Type.Object({
				items: Type.Array(ImportedProduct),
				after: Nullable(Id),
				total: Type.Integer({ description: "Of all pages, as it is now" })
			})
		}
	},
	events: {
		"product.created.v1": { summary: "There is a new product", data: Type.Object(told) },
		"product.updated.v1": {
			summary: "A product is another one than before, or is on sale again",
			data: Type.Object(told)
		},
		"product.archived.v1": {
			summary: "A product is not sold any more",
			data: Type.Object({ productId: Id })
		},
		// The aggregate `price` is that of one product; its id is the product's.
		"price.changed.v1": {
			summary: "A product costs more or less than before",
			data: Type.Object({ productId: Id, from: Money, to: Money })
		}
	}
});

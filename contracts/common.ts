/** The vocabulary that all contracts share. */
import { Type, type Static, type TProperties, type TSchema } from "typebox";

export const Id = Type.String({ format: "uuid", description: "UUID" });

export const Timestamp = Type.String({ format: "date-time", description: "RFC 3339, UTC" });

/** A whole number of minor units (cents) of one ISO 4217 currency. */
export const Money = Type.Object(
	{
		amount: Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
		currency: Type.String({ pattern: "^[A-Z]{3}$" })
	},
	{
		title: "Money",
		additionalProperties: false,
		description: "Minor units",
		examples: [{ amount: 1999, currency: "EUR" }]
	}
);
export type Money = Static<typeof Money>;

/** What the shop sells in. One, since a cart has one total. */
export const SHOP_CURRENCY = "EUR";

/** What something is sold for. */
export const Price = Type.Object(
	{ amount: Money.properties.amount, currency: Type.Enum([SHOP_CURRENCY]) },
	{
		title: "Price",
		additionalProperties: false,
		description: "Minor units of the shop's currency",
		examples: [{ amount: 1999, currency: SHOP_CURRENCY }]
	}
);

// PostgreSQL refuses NUL and Sequelize silently stores it as two characters; lone surrogates
// would be replaced. So neither is text here.
const ONE_LINE = "^[^\\p{Cc}\\p{Cs}]*$";
const MANY_LINES = "^(?:[^\\p{Cc}\\p{Cs}]|[\\n\\r\\t])*$";

/** One line of text: no control characters, no lone surrogates. Lengths in code points. */
export const Text = (minLength: number, maxLength: number, options: object = {}) =>
	Type.String({ minLength, maxLength, pattern: ONE_LINE, ...options });

/** Text with line breaks and tabs. */
export const LongText = (maxLength: number, options: object = {}) =>
	Type.String({ maxLength, pattern: MANY_LINES, ...options });

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** Parameters of an action: a name nobody declared is refused. */
export const Params = <P extends TProperties>(properties: P) =>
	Type.Object(properties, { additionalProperties: false });

/** An object id or a slug, as in `GET /products/:idOrSlug`. */
export const IdOrSlug = Type.String({
	pattern: "^[a-z0-9]+(?:-[a-z0-9]+)*$",
	maxLength: 120,
	examples: ["desk-lamp"]
});

/** A UUID as it is written here, for patterns. */
export const ID_FORM = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/** The part of a path that names a thing to people. One that looked like an id would never be found by. */
export const Slug = Type.String({
	pattern: `^(?!${ID_FORM}$)[a-z0-9]+(?:-[a-z0-9]+)*$`,
	maxLength: 120,
	description: "Lower-case letters, digits and single hyphens; not the form of an id",
	examples: ["desk-lamp"]
});

/** An address of a picture, which browsers load from a page of ours. */
export const HttpsUrl = Type.String({
	pattern: '^https://[^\\s\\p{Cc}\\p{Cs}<>"]{1,2000}$',
	description: "https only",
	examples: ["https://example.com/ada.png"]
});

/** Query parameters of every list. */
export const pageParams = {
	limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
	cursor: Type.Optional(
		Type.String({
			maxLength: 512,
			pattern: "^[A-Za-z0-9_-]+$",
			description: "`nextCursor` of the page before"
		})
	)
};

/** How a list refuses a cursor that no page of it gave. */
export const cursorFailures = {
	INVALID_CURSOR: { status: 422, message: "This cursor comes from another list, or from nowhere." }
} as const;

/** For lists that can be counted at little cost. */
export const totalParam = {
	withTotal: Type.Optional(
		Type.Boolean({ description: "Whether to count all that the list would hold, on all its pages" })
	)
};

export const Page = <T extends TSchema>(item: T) =>
	Type.Object({
		items: Type.Array(item),
		total: Type.Optional(
			Type.Integer({ minimum: 0, description: "On all pages; where it was asked for" })
		),
		nextCursor: Nullable(
			Type.String({ description: "Null on the last page", examples: ["WyJkZXNrLWxhbXAiXQ"] })
		)
	});

/** What happened after a position; `ended` when nothing will come any more. For routes that stream. */
export const EventPage = <T extends TSchema>(data: T) =>
	Type.Object({
		events: Type.Array(
			Type.Object({ id: Type.Integer({ description: "Its position, from 1" }), data })
		),
		ended: Type.Boolean()
	});

export const Address = Type.Object(
	{
		name: Text(1, 200, { examples: ["Ada Lovelace"] }),
		line1: Text(1, 200, { examples: ["12 Analytical Row"] }),
		line2: Type.Optional(Text(1, 200)),
		city: Text(1, 100, { examples: ["London"] }),
		region: Type.Optional(Text(1, 100)),
		postalCode: Text(1, 20, { examples: ["N1 9GU"] }),
		country: Type.String({
			pattern: "^[A-Z]{2}$",
			description: "ISO 3166-1 alpha-2",
			examples: ["GB"]
		}),
		phone: Type.Optional(Text(3, 32))
	},
	{ title: "Address", additionalProperties: false }
);
export type Address = Static<typeof Address>;

/**
 * For the header `If-Match`: the versions of which the object must still have one. The gateway reads them
 * from the tags, the first part of which is the version.
 */
export const IfMatch = Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 50 });

/** The key by which a client repeats a command without repeating its effect. */
export const IdempotencyKey = Type.String({
	pattern: "^[\\x21-\\x7e]{1,255}$",
	description: "A text of the client's own, new for each command and the same for its repetitions",
	examples: ["3f6f2a54-order-1"]
});

import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, IfMatch, Money, Params, Timestamp } from "./common.ts";

const CartToken = Type.String({
	pattern: "^[A-Za-z0-9_-]{43}$",
	description: "Names a guest's cart"
});
const guest = { cartToken: Type.Optional(CartToken) };
const rest = {
	tag: "Cart",
	etag: ["version", "total.amount"],
	headers: { "x-cart-token": "cartToken" },
	responseHeaders: { "X-Cart-Token": "cartToken" }
} as const;
/** Where nobody else's change shall be lost. */
const changing = { ...rest, headers: { ...rest.headers, "if-match": "ifMatch" } } as const;

export const Cart = Type.Object(
	{
		id: Id,
		items: Type.Array(
			Type.Object({
				productId: Id,
				sku: Type.String({ examples: ["LMP-0042"] }),
				name: Type.String({ examples: ["Desk lamp"] }),
				quantity: Type.Integer({ examples: [1] }),
				unitPrice: Money,
				lineTotal: Money,
				available: Type.Integer({ examples: [17] }),
				notice: Type.Optional(
					Type.Enum(["not_available", "not_enough"], {
						description: "Why this line cannot be bought as it is"
					})
				)
			})
		),
		total: Money,
		version: Type.Integer(),
		updatedAt: Timestamp,
		cartToken: Type.Optional(CartToken)
	},
	{ title: "Cart" }
);
export type Cart = Static<typeof Cart>;

export const carts = contract({
	name: "carts",
	failures: {
		PRODUCT_NOT_AVAILABLE: { status: 409, message: "This product is not for sale." },
		CART_FULL: { status: 409, message: "A cart holds at most 100 different products." }
	},
	actions: {
		get: {
			summary: "Read the cart",
			description:
				"A guest's first answer carries `X-Cart-Token`, which names the cart from then on.",
			access: "public",
			rest: { ...rest, route: "GET /cart" },
			idempotent: true,
			params: Params(guest),
			result: Cart
		},
		clear: {
			summary: "Empty the cart",
			access: "public",
			rest: { ...changing, route: "DELETE /cart" },
			idempotent: true,
			params: Params({ ...guest, ifMatch: Type.Optional(IfMatch) }),
			result: Cart
		},
		setItem: {
			summary: "Put so many of a product into the cart",
			access: "public",
			rest: { ...changing, route: "PUT /cart/items/:productId" },
			idempotent: true,
			params: Params({
				...guest,
				ifMatch: Type.Optional(IfMatch),
				productId: Id,
				quantity: Type.Integer({ minimum: 1, maximum: 999 })
			}),
			result: Cart,
			failures: ["PRODUCT_NOT_AVAILABLE", "CART_FULL"]
		},
		removeItem: {
			summary: "Take a product out of the cart",
			access: "public",
			rest: { ...changing, route: "DELETE /cart/items/:productId" },
			idempotent: true,
			params: Params({ ...guest, ifMatch: Type.Optional(IfMatch), productId: Id }),
			result: Cart
		},
		merge: {
			summary: "Take over a guest's cart after log-in",
			description:
				"Of a product in both carts the larger quantity stays. The guest's cart is gone afterwards.",
			access: "user",
			rest: { route: "POST /cart/merge", tag: "Cart", etag: ["version", "total.amount"] },
			params: Params({
				cartToken: Type.String({
					...CartToken,
					examples: ["Gu3st-cart-t0ken-of-256-bits-base64url-text"]
				})
			}),
			result: Cart,
			failures: ["CART_FULL"]
		}
	},
	events: {}
});

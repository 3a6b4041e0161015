import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import {
	Id,
	IdempotencyKey,
	IfMatch,
	Page,
	pageParams,
	Params,
	Text,
	Timestamp
} from "./common.ts";

const Line = Type.Object({ productId: Id, quantity: Type.Integer({ minimum: 1 }) });

export const Inventory = Type.Object(
	{
		productId: Id,
		onHand: Type.Integer(),
		reserved: Type.Integer(),
		sold: Type.Integer(),
		available: Type.Integer({ description: "What can be bought: `onHand - reserved`" }),
		holds: Type.Array(Type.Object({ orderId: Id, quantity: Type.Integer(), until: Timestamp }), {
			description: "Who holds what is reserved, and until when; the first 1000 that end"
		}),
		unlisted: Type.Integer({ minimum: 0, description: "Units reserved by holds beyond those" }),
		version: Type.Integer({ minimum: 0, description: "Counts the movements of the product" })
	},
	{ title: "Inventory" }
);
export type Inventory = Static<typeof Inventory>;

/** Why somebody adds or takes away units. Only a `correction` does either. */
export const AdjustmentReason = Type.Enum([
	"received",
	"found",
	"returned",
	"damaged",
	"lost",
	"correction"
]);
export type AdjustmentReason = Static<typeof AdjustmentReason>;

export const Movement = Type.Object(
	{
		at: Timestamp,
		kind: Type.Enum(["receipt", "adjust", "reserve", "commit", "release", "expire"]),
		delta: Type.Integer({
			description:
				"What it does to the units that can be bought: all deltas of a product add up to `available`. 0 for a commit, which sells what was held",
			examples: [-2]
		}),
		changes: Type.Object(
			{ onHand: Type.Integer(), reserved: Type.Integer(), sold: Type.Integer() },
			{ examples: [{ onHand: 0, reserved: 2, sold: 0 }] }
		),
		reason: Type.String({ examples: ["order placed"] }),
		note: Type.Optional(Type.String({ examples: ["Dropped in aisle 4"] })),
		orderId: Type.Optional(Id),
		by: Type.Optional(Type.String({ format: "uuid", description: "The user who adjusted it" }))
	},
	{ title: "Movement" }
);
export type Movement = Static<typeof Movement>;

/** Where a product's stock is not what its ledger adds up to, or not what its holds are. */
export const StockDifference = Type.Object(
	{
		productId: Id,
		onHand: Type.Integer(),
		reserved: Type.Integer(),
		sold: Type.Integer(),
		ledger: Type.Object(
			{ onHand: Type.Integer(), reserved: Type.Integer(), sold: Type.Integer() },
			{ description: "The sums of the movements" }
		),
		orders: Type.Object(
			{ held: Type.Integer(), committed: Type.Integer() },
			{ description: "What reservations hold, and what they have sold" }
		)
	},
	{ title: "StockDifference" }
);
export type StockDifference = Static<typeof StockDifference>;

const productId = { productId: Id };
/** Of an adjustment: more is a slip of the keyboard. */
const MAX_DELTA = 1_000_000;

export const inventory = contract({
	name: "inventory",
	failures: {
		INSUFFICIENT_STOCK: {
			status: 409,
			message: "Fewer units are free than shall be taken away; the others are held by orders."
		},
		TOO_MUCH_STOCK: {
			status: 409,
			message: "There would be more units on hand than we can count."
		},
		INVALID_CURSOR: { status: 422, message: "This cursor is not one of ours." }
	},
	actions: {
		get: {
			summary: "Stock of a product, and who holds it",
			access: "staff",
			rest: { route: "GET /inventory/:productId", tag: "Catalog", etag: ["version"] },
			idempotent: true,
			params: Params(productId),
			result: Inventory,
			failures: ["NOT_FOUND"]
		},
		movements: {
			summary: "The ledger of a product's stock, newest first",
			access: "staff",
			rest: { route: "GET /inventory/:productId/movements", tag: "Catalog" },
			idempotent: true,
			params: Params({ ...productId, ...pageParams }),
			result: Page(Movement),
			failures: ["NOT_FOUND", "INVALID_CURSOR"]
		},
		adjust: {
			summary: "Add units to a product's stock, or take them away, for a reason",
			description:
				"`received`, `found` and `returned` add, `damaged` and `lost` take away, a `correction` does either. What orders hold cannot be taken away: 409 says how much is free. `If-Match` makes sure that nothing has moved since it was counted.",
			access: "staff",
			rest: {
				route: "POST /inventory/:productId/adjustments",
				tag: "Catalog",
				headers: { "idempotency-key": "idempotencyKey", "if-match": "ifMatch" },
				required: ["idempotency-key"],
				etag: ["version"]
			},
			// Safe to repeat because of its key.
			idempotent: true,
			params: Params({
				...productId,
				delta: Type.Integer({
					minimum: -MAX_DELTA,
					maximum: MAX_DELTA,
					description: "Units; not 0",
					examples: [10]
				}),
				reason: AdjustmentReason,
				note: Type.Optional(Text(1, 500, { examples: ["Delivery note 4711"] })),
				idempotencyKey: IdempotencyKey,
				ifMatch: Type.Optional(IfMatch)
			}),
			result: Inventory,
			failures: [
				"NOT_FOUND",
				"VALIDATION_ERROR",
				"VERSION_MISMATCH",
				"INSUFFICIENT_STOCK",
				"TOO_MUCH_STOCK",
				"IDEMPOTENCY_KEY_REUSED"
			]
		},
		reconcile: {
			summary: "Compare all stock with its ledger and with what orders hold",
			access: "internal",
			idempotent: true,
			timeout: 120_000,
			params: Params({}),
			result: Type.Object({
				products: Type.Integer({ description: "How many have stock" }),
				differences: Type.Array(StockDifference, { description: "At most 100" })
			})
		}
	},
	// The aggregate `inventory` is the reservation of one order, and its id the order's; `stock` is that of
	// one product, and its id the product's.
	events: {
		"inventory.reserved.v1": {
			summary: "All lines of an order are held until `until`",
			data: Type.Object({ orderId: Id, lines: Type.Array(Line), until: Timestamp })
		},
		"inventory.rejected.v1": {
			summary: "Not every line of an order could be held, so none is",
			data: Type.Object({
				orderId: Id,
				shortages: Type.Array(
					Type.Object({ productId: Id, requested: Type.Integer(), available: Type.Integer() })
				)
			})
		},
		"inventory.committed.v1": {
			summary: "What was held is sold",
			data: Type.Object({ orderId: Id })
		},
		"inventory.released.v1": {
			summary: "Nothing is held for the order (any more)",
			data: Type.Object({ orderId: Id })
		},
		"inventory.expired.v1": {
			summary: "The lease ran out; nothing is held for the order any more",
			data: Type.Object({ orderId: Id })
		},
		"stock.adjusted.v1": {
			summary: "Somebody has added units to a product's stock, or taken them away",
			data: Type.Object({
				...productId,
				delta: Type.Integer(),
				reason: AdjustmentReason,
				onHand: Type.Integer(),
				available: Type.Integer(),
				by: Id
			})
		},
		"stock.low.v1": {
			summary:
				"So few units are free that more should be ordered; told again once there were more than `threshold` in between",
			data: Type.Object({
				...productId,
				available: Type.Integer({ minimum: 0 }),
				threshold: Type.Integer({ minimum: 0 })
			})
		}
	}
});

import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Params, Timestamp } from "./common.ts";

const Line = Type.Object({ productId: Id, quantity: Type.Integer({ minimum: 1 }) });

export const Inventory = Type.Object(
	{
		productId: Id,
		onHand: Type.Integer(),
		reserved: Type.Integer(),
		sold: Type.Integer(),
		available: Type.Integer(),
		holds: Type.Array(Type.Object({ orderId: Id, quantity: Type.Integer(), until: Timestamp }))
	},
	{ title: "Inventory" }
);
export type Inventory = Static<typeof Inventory>;

export const inventory = contract({
	name: "inventory",
	failures: {},
	actions: {
		get: {
			summary: "Stock of a product, and who holds it",
			access: "staff",
			rest: { route: "GET /inventory/:productId", tag: "Catalog" },
			idempotent: true,
			params: Params({ productId: Id }),
			result: Inventory,
			failures: ["NOT_FOUND"]
		}
	},
	// The aggregate `inventory` is the reservation of one order; its id is the order's.
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
		}
	}
});

/**
 * Mistakes against the contracts, each of which must be a compile error on the line that carries
 * its mark, and no other line may have one. Checked by tests/types.test.ts; never run.
 */
import { Type } from "typebox";
import { auth } from "../../contracts/auth.ts";
import { Params } from "../../contracts/common.ts";
import { categories } from "../../contracts/categories.ts";
import { exports } from "../../contracts/exports.ts";
import { notifications } from "../../contracts/notifications.ts";
import { orders } from "../../contracts/orders.ts";
import { products } from "../../contracts/products.ts";
import { users } from "../../contracts/users.ts";
import { contract } from "../../lib/contract.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { implement, type Caller } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";

const id = "0198c0de-0000-7000-8000-000000000000";
const money = { amount: 1999, currency: "EUR" };
const told = { orderId: id, number: "V-1", userId: id };

export async function calls(ctx: Caller): Promise<void> {
	await ctx.call("products.gett", { idOrSlug: "lamp" }); // wrong: unknown action
	await ctx.call("lamps.get", { idOrSlug: "lamp" }); // wrong: unknown service
	await ctx.call("products.get", { idOrSlug: 7 }); // wrong: type of a parameter
	await ctx.call("products.get", {}); // wrong: missing parameter
	await ctx.call("products.get", { idOrSlug: "lamp", page: 2 }); // wrong: unknown parameter
	await ctx.call("products.list", { sort: "cheapest" }); // wrong: parameter outside its enum
	await ctx.call("users.me"); // wrong: no parameters at all
	const product = await ctx.call("products.get", { idOrSlug: "lamp" });
	product.cost.toString(); // wrong: unknown field of a result
	product.price satisfies number; // wrong: type of a result, money is no number
	if (product.status === "sold") product.status satisfies never; // wrong: result outside its enum
}

implement(users)({
	actions: {} // wrong: missing handler
});

implement(users)({
	actions: {
		me: ctx => ctx.call("users.me", {}),
		send: async () => null // wrong: handler of an unknown action
	}
});

implement(products)({
	actions: {
		list: async () => ({ items: [] }), // wrong: a field of the result is missing
		get: ctx => ctx.call("products.get", { idOrSlug: ctx.params.slug }), // wrong: unknown own parameter
		lookup: async () => [],
		create: ctx => ctx.call("products.create", ctx.params),
		update: ctx => ctx.call("products.update", ctx.params),
		archive: ctx => ctx.call("products.archive", ctx.params),
		prices: ctx => ctx.call("products.prices", ctx.params)
	}
});

implement(orders)({
	actions: {
		place: async ctx => ({ ...(await ctx.call("orders.get", { id })), status: "sold" }), // wrong: result outside its enum
		list: async () => ({ items: [], nextCursor: null }),
		get: ctx => ctx.call("orders.get", ctx.params),
		timeline: ctx => ctx.call("orders.timeline", ctx.params),
		cancel: ctx => ctx.call("orders.cancel", ctx.params)
	}
});

implement(notifications)({
	actions: {},
	events: {
		async "order.shipped.v1"() {}, // wrong: handler of an unknown event
		async "inventory.reserved.v1"({ data }) {
			data.sku.trim(); // wrong: unknown field of an event
		}
	},
	watch: {
		"inventory.rejected.v2"() {} // wrong: unknown version of an event
	}
});

implement(exports)({
	actions: {
		async mine() {
			await this.transaction(async () => {}); // wrong: no mixin gives this service a database
			throw failure(exports, "NOT_FOUND");
		}
	}
});

implement(categories)({
	mixins: [events("catalog")],
	actions: {
		async list() {
			await this.transaction(async tx => {
				tx.record("category.made.v1", { id, version: 1 }, {}); // wrong: undeclared event
			});
			return { items: [], nextCursor: null };
		},
		async get() {
			throw failure(categories, "NOT_FOUND");
		},
		create: ctx => ctx.call("categories.create", ctx.params),
		update: ctx => ctx.call("categories.update", ctx.params),
		remove: ctx => ctx.call("categories.remove", ctx.params)
	}
});

export function facts(tx: Tx): void {
	tx.record("order.paid.v1", { id, version: 4 }, told); // wrong: a field of the event is missing
	tx.record("order.paid.v1", { id, version: 4 }, { ...told, total: 1999 }); // wrong: type of an event's field
	tx.record("order.paid.v1", { id }, { ...told, total: money }); // wrong: fact without a version
	tx.record("order.paid", { id, version: 4 }, { ...told, total: money }); // wrong: event without a version
}

failure(auth, "EMAIL_TOKEN"); // wrong: undeclared failure
failure(products, "CART_EMPTY"); // wrong: another contract's failure

const read = { summary: "Read it", params: Params({}), result: Type.Null() };

contract({
	name: "lamps",
	failures: { BROKEN: { status: 409, message: "The lamp is broken." } },
	actions: {
		light: { ...read, access: "user", failures: ["BROKEN", "NOT_FOUND"] },
		dim: { ...read, access: "user", failures: ["BROKN"] }, // wrong: undeclared failure in a list
		hang: { ...read }, // wrong: no access
		sell: { ...read, access: "everybody" }, // wrong: unknown access
		send: { ...read, access: "user", rest: { route: "SEND /lamps", tag: "Lamps" } } // wrong: unknown method
	},
	events: {}
});

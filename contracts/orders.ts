import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import {
	Address,
	EventPage,
	Id,
	IdempotencyKey,
	IfMatch,
	Money,
	Nullable,
	Page,
	pageParams,
	totalParam,
	Params,
	Timestamp
} from "./common.ts";
import { PaymentMethod } from "./payments.ts";

export const OrderStatus = Type.Enum([
	"placed",
	"awaiting_payment",
	"paid",
	"confirmed",
	"cancelling",
	"cancelled",
	"refund_failed"
]);
export type OrderStatus = Static<typeof OrderStatus>;

export const CancelReason = Type.Enum([
	"OUT_OF_STOCK",
	"STOCK_TIMEOUT",
	"PAYMENT_FAILED",
	"PAYMENT_TIMEOUT",
	"RESERVATION_EXPIRED",
	"CUSTOMER"
]);
export type CancelReason = Static<typeof CancelReason>;

export const OrderItem = Type.Object({
	productId: Id,
	sku: Type.String({ examples: ["LMP-0042"] }),
	name: Type.String({ examples: ["Desk lamp"] }),
	quantity: Type.Integer({ examples: [1] }),
	unitPrice: Money,
	lineTotal: Money
});

export const Order = Type.Object(
	{
		id: Id,
		number: Type.String({ examples: ["V-100042"] }),
		status: OrderStatus,
		reason: Type.Optional(CancelReason),
		items: Type.Array(OrderItem),
		total: Money,
		shippingAddress: Address,
		payment: Type.Object({
			method: PaymentMethod,
			status: Type.Enum([
				"none",
				"requested",
				"captured",
				"declined",
				"voided",
				"refunded",
				"refund_failed"
			])
		}),
		version: Type.Integer(),
		createdAt: Timestamp,
		updatedAt: Timestamp
	},
	{ title: "Order" }
);
export type Order = Static<typeof Order>;

export const TimelineStep = Type.Object(
	{
		at: Timestamp,
		step: Type.String({ examples: ["order.created"] }),
		status: OrderStatus,
		by: Type.String({ examples: ["customer"] }),
		detail: Type.Optional(Type.String())
	},
	{ title: "TimelineStep" }
);

const orderId = { id: Id };
/** The state of the payment also changes where the order's version does not. */
const etag = ["version", "updatedAt"];
/** What each fact about an order tells, so that no subscriber needs to ask back. */
const told = { orderId: Id, number: Type.String(), userId: Id };

export const orders = contract({
	name: "orders",
	failures: {
		CART_EMPTY: { status: 409, message: "The cart is empty." },
		CART_NOT_AVAILABLE: {
			status: 409,
			message:
				"Something in the cart cannot be bought as it is. Read the cart; its notices say what."
		},
		TOTAL_CHANGED: {
			status: 409,
			message:
				"The total of the cart is another one by now. Read the cart and confirm the new total."
		},
		ORDER_CLOSED: { status: 409, message: "The order has gone too far to be cancelled." },
		INVALID_CURSOR: { status: 422, message: "This cursor is not one of ours." }
	},
	actions: {
		place: {
			summary: "Check out: make an order of the cart",
			description:
				"Answers 202 at once, or with `Prefer: wait=N` (seconds, at most 10) 201 as soon as the order is confirmed or cancelled. The same `Idempotency-Key` gets the same order, however often it is sent.",
			access: "user",
			rest: {
				route: "POST /checkout",
				tag: "Orders",
				status: {
					field: "status",
					map: { confirmed: 201, cancelled: 201, refund_failed: 201 },
					otherwise: 202
				},
				headers: { "idempotency-key": "idempotencyKey", prefer: "prefer" },
				required: ["idempotency-key"],
				etag,
				location: "/api/v1/orders/{id}",
				limit: { cost: 10 },
				priority: "high"
			},
			// Safe to repeat because of its key.
			idempotent: true,
			timeout: 15_000,
			params: Params({
				shippingAddress: Address,
				paymentMethod: PaymentMethod,
				expectedTotal: Money,
				idempotencyKey: IdempotencyKey,
				prefer: Type.Optional(
					Type.String({ maxLength: 100, description: "`wait=N`; anything else is ignored" })
				)
			}),
			result: Order,
			failures: ["CART_EMPTY", "CART_NOT_AVAILABLE", "TOTAL_CHANGED", "IDEMPOTENCY_KEY_REUSED"]
		},
		list: {
			summary: "List orders, newest first: one's own, or for staff all",
			access: "user",
			rest: { route: "GET /orders", tag: "Orders" },
			idempotent: true,
			params: Params({ status: Type.Optional(OrderStatus), ...pageParams, ...totalParam }),
			result: Page(Order),
			failures: ["INVALID_CURSOR"]
		},
		get: {
			summary: "Read an order",
			access: "user",
			rest: { route: "GET /orders/:id", tag: "Orders", etag },
			idempotent: true,
			params: Params(orderId),
			result: Order,
			failures: ["NOT_FOUND"]
		},
		timeline: {
			summary: "The story of an order, step by step, and what is still to come",
			access: "user",
			rest: { route: "GET /orders/:id/timeline", tag: "Orders" },
			idempotent: true,
			params: Params(orderId),
			result: Type.Object({
				items: Type.Array(TimelineStep),
				remaining: Type.Array(
					Type.Object({
						step: Type.String({ examples: ["stock-reserved"] }),
						deadline: Type.Optional(Timestamp)
					})
				)
			}),
			failures: ["NOT_FOUND"]
		},
		follow: {
			summary: "Follow an order, step by step, until it ends",
			description:
				"Server-sent events, one for each step of the timeline; their ids are the positions in it. After an interruption `Last-Event-ID` goes on behind the last one that was seen, at any gateway. Ends with the order's last step; 204 where that was seen already.",
			access: "user",
			rest: {
				route: "GET /orders/:id/events",
				tag: "Orders",
				headers: { "last-event-id": "after" },
				stream: {
					after: "after",
					of: "id",
					wakes: [
						"order.created.v1",
						"order.awaiting-payment.v1",
						"order.paid.v1",
						"order.confirmed.v1",
						"order.cancelling.v1",
						"order.cancelled.v1",
						"order.refund-failed.v1"
					]
				}
			},
			idempotent: true,
			params: Params({
				...orderId,
				after: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 }))
			}),
			result: EventPage(TimelineStep),
			failures: ["NOT_FOUND"]
		},
		cancel: {
			summary: "Cancel an order that is not paid yet",
			access: "user",
			rest: {
				route: "POST /orders/:id/cancel",
				tag: "Orders",
				headers: { "idempotency-key": "idempotencyKey", "if-match": "ifMatch" },
				required: ["idempotency-key"],
				etag
			},
			idempotent: true,
			params: Params({
				...orderId,
				idempotencyKey: IdempotencyKey,
				ifMatch: Type.Optional(IfMatch)
			}),
			result: Order,
			failures: ["NOT_FOUND", "ORDER_CLOSED", "IDEMPOTENCY_KEY_REUSED"]
		}
	},
	events: {
		"order.created.v1": {
			summary: "An order was placed and waits for stock",
			data: Type.Object({
				...told,
				items: Type.Array(Type.Object({ productId: Id, quantity: Type.Integer({ minimum: 1 }) })),
				total: Money
			})
		},
		"order.awaiting-payment.v1": {
			summary: "Stock is held; the order waits to be paid",
			data: Type.Object(told)
		},
		"order.paid.v1": {
			summary: "The order is paid; what is held for it shall be sold",
			data: Type.Object({ ...told, total: Money })
		},
		"order.confirmed.v1": {
			summary: "The order is paid and its stock is sold: it will be shipped",
			data: Type.Object({
				...told,
				total: Money,
				items: Type.Array(Type.Object({ name: Type.String(), quantity: Type.Integer() }))
			})
		},
		"order.cancelling.v1": {
			summary: "The order will not be fulfilled; what was done for it is to be undone",
			data: Type.Object({
				...told,
				reason: CancelReason,
				undo: Type.Object({ stock: Type.Boolean(), money: Type.Boolean() })
			})
		},
		"order.cancelled.v1": {
			summary: "The order is cancelled: no stock is held and no money kept",
			data: Type.Object({ ...told, reason: CancelReason, refunded: Nullable(Money) })
		},
		"order.refund-failed.v1": {
			summary: "The order is cancelled but its money could not be given back",
			data: Type.Object({ ...told, reason: CancelReason })
		}
	}
});

/** The life of an order: which signals move it where, and which facts come of it. Pure. */
import type { CancelReason, OrderStatus } from "../../contracts/orders.ts";

type Settled<S extends OrderStatus> = { readonly status: S };

/** What is still to be given back before a cancellation is complete. */
export type StockUndo = "none" | "pending" | "done";
export type MoneyUndo = "none" | "pending" | "voided" | "refunded" | "failed";

/** Why an order ends before its time, and how far it is undone. */
export interface Undone<S extends "cancelling" | "cancelled" | "refund_failed"> {
	readonly status: S;
	readonly reason: CancelReason;
	readonly stock: StockUndo;
	readonly money: MoneyUndo;
}
type Cancelling = Undone<"cancelling">;

export type Life =
	| Settled<"placed">
	| Settled<"awaiting_payment">
	| Settled<"paid">
	| Settled<"confirmed">
	| Cancelling
	| Undone<"cancelled">
	| Undone<"refund_failed">;

/** What can happen to an order from outside. */
export type Signal =
	| "stock-reserved"
	| "stock-rejected"
	| "stock-committed"
	| "stock-released"
	| "stock-expired"
	| "stock-timeout"
	| "payment-captured"
	| "payment-failed"
	| "payment-voided"
	| "payment-refunded"
	| "refund-failed"
	| "payment-timeout"
	| "cancel-requested";

/** The fact that tells of the arrival in each state. */
export const FACT_OF = {
	placed: "order.created.v1",
	awaiting_payment: "order.awaiting-payment.v1",
	paid: "order.paid.v1",
	confirmed: "order.confirmed.v1",
	cancelling: "order.cancelling.v1",
	cancelled: "order.cancelled.v1",
	refund_failed: "order.refund-failed.v1"
} as const satisfies Record<OrderStatus, string>;

/**
 * The states that the signal leads through, in order; each but a mere progress of `cancelling` is
 * told by its own fact. Empty: the signal comes too late or changes nothing, which is no error.
 */
export function advance(life: Life, signal: Signal): Life[] {
	switch (life.status) {
		case "placed":
			return advancePlaced(signal);
		case "awaiting_payment":
			return advanceAwaitingPayment(signal);
		case "paid":
			return advancePaid(signal);
		case "cancelling":
			return advanceCancelling(life, signal);
		case "confirmed":
		case "cancelled":
		case "refund_failed":
			return [];
	}
}

function advancePlaced(signal: Signal): Life[] {
	switch (signal) {
		case "stock-reserved":
			return [{ status: "awaiting_payment" }];
		case "stock-rejected":
			return cancel("OUT_OF_STOCK", "none", "none");
		// Whether stock is held is not known yet: it has to be given back, or never to be held.
		case "stock-timeout":
			return cancel("STOCK_TIMEOUT", "pending", "none");
		case "cancel-requested":
			return cancel("CUSTOMER", "pending", "none");
		default:
			return [];
	}
}

function advanceAwaitingPayment(signal: Signal): Life[] {
	switch (signal) {
		case "payment-captured":
			return [{ status: "paid" }];
		// A definite decline: no money was taken.
		case "payment-failed":
			return cancel("PAYMENT_FAILED", "pending", "none");
		case "payment-timeout":
			return cancel("PAYMENT_TIMEOUT", "pending", "pending");
		case "cancel-requested":
			return cancel("CUSTOMER", "pending", "pending");
		case "stock-expired":
			return cancel("RESERVATION_EXPIRED", "done", "pending");
		default:
			return [];
	}
}

function advancePaid(signal: Signal): Life[] {
	switch (signal) {
		case "stock-committed":
			return [{ status: "confirmed" }];
		// The lease ran out while word of the payment was held up: what cannot be delivered is paid back.
		case "stock-expired":
			return cancel("RESERVATION_EXPIRED", "done", "pending");
		default:
			return [];
	}
}

function advanceCancelling(life: Cancelling, signal: Signal): Life[] {
	const next = progress(life, signal);
	if (next.stock === life.stock && next.money === life.money) return [];
	return settle(next);
}

function progress(life: Cancelling, signal: Signal): Cancelling {
	switch (signal) {
		// Nothing is held, for whichever reason.
		case "stock-released":
		case "stock-expired":
		case "stock-rejected":
			return life.stock === "pending" ? { ...life, stock: "done" } : life;
		case "payment-failed":
		case "payment-voided":
			return life.money === "pending" ? { ...life, money: "voided" } : life;
		case "payment-refunded":
			return life.money === "pending" ? { ...life, money: "refunded" } : life;
		case "refund-failed":
			return life.money === "pending" ? { ...life, money: "failed" } : life;
		// A payment that is captured now is refunded by payments, which has our cancellation as well.
		default:
			return life;
	}
}

function cancel(reason: CancelReason, stock: StockUndo, money: MoneyUndo): Life[] {
	const first: Cancelling = { status: "cancelling", reason, stock, money };
	const settled = settle(first);
	return settled[0] === first ? settled : [first, ...settled];
}

/** The order as it is, or its end when everything is undone. */
function settle(life: Cancelling): [Life] {
	if (life.stock === "pending" || life.money === "pending") return [life];
	return [{ ...life, status: life.money === "failed" ? "refund_failed" : "cancelled" }];
}

/** Whether the customer may still cancel. */
export const isCancellable = ({ status }: Life): boolean =>
	status === "placed" || status === "awaiting_payment";

export const isTerminal = (status: OrderStatus): boolean =>
	status === "confirmed" || status === "cancelled" || status === "refund_failed";

/** What has to happen until an order in this state is confirmed or cancelled, in order. */
export const REMAINING: Record<OrderStatus, readonly string[]> = {
	placed: ["order.awaiting-payment", "order.paid", "order.confirmed"],
	awaiting_payment: ["order.paid", "order.confirmed"],
	paid: ["order.confirmed"],
	confirmed: [],
	cancelling: ["order.cancelled"],
	cancelled: [],
	refund_failed: []
};

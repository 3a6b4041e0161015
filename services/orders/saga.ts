/** Carries a signal into an order: state, story, facts and deadlines, all in the handler's transaction. */
import type { Order, OrderStatus } from "../../contracts/orders.ts";
import type { Config } from "../../lib/config.ts";
import type { Tx } from "../../lib/database.ts";
import { clearTimer, setTimer } from "../../mixins/timers.mixin.ts";
import { advance, FACT_OF, type Life, type Signal } from "./order.ts";
import {
	findOrderForUpdate,
	insertSteps,
	updateLife,
	type Step,
	type StoredOrder
} from "./orders.store.ts";

type Deadlines = Pick<Config, "STOCK_TIMEOUT_MS" | "PAYMENT_TIMEOUT_MS">;
type PaymentState = Order["payment"]["status"];

export const STOCK_TIMER = "order.stock";
export const PAYMENT_TIMER = "order.payment";
/** The kind of timer that ends each state that has a deadline. */
export const TIMER_OF: Partial<Record<OrderStatus, string>> = {
	placed: STOCK_TIMER,
	awaiting_payment: PAYMENT_TIMER
};

const PAYMENT_STATE: Partial<Record<Signal, PaymentState>> = {
	"stock-reserved": "requested",
	"payment-captured": "captured",
	"payment-failed": "declined",
	"payment-voided": "voided",
	"payment-refunded": "refunded",
	"refund-failed": "refund_failed"
};

/** Who sent a signal, and what else there is to tell of it. */
export interface Origin {
	readonly by: string;
	readonly detail?: string;
}

/**
 * Applies the signal to the order. Returns the order as it is then; undefined where there is none.
 * A signal that comes too late changes nothing.
 */
export async function signal(
	tx: Tx,
	orderId: string,
	kind: Signal,
	{ by, detail }: Origin,
	deadlines: Deadlines
): Promise<StoredOrder | undefined> {
	const stored = await findOrderForUpdate(tx, orderId);
	if (!stored) return undefined;
	const lives = advance(stored.life, kind);
	const last = lives.at(-1);
	if (!last) return stored;

	const told = lives.filter(({ status }) => status !== stored.life.status);
	const version = stored.order.version + told.length;
	const paymentStatus = paymentAfter(stored, kind);
	const moved = await updateLife(tx, orderId, last, paymentStatus, version);
	await insertSteps(tx, orderId, [
		{ step: kind, status: stored.life.status, by, ...(detail ? { detail } : {}) },
		...told.map(stepOf)
	]);
	told.forEach((life, index) => tell(tx, stored, life, stored.order.version + index + 1));
	await moveDeadlines(tx, stored, last, deadlines);
	return moved;
}

// A reservation that comes too late asks for no payment.
const paymentAfter = ({ life, order }: StoredOrder, kind: Signal): PaymentState =>
	kind === "stock-reserved" && life.status !== "placed"
		? order.payment.status
		: (PAYMENT_STATE[kind] ?? order.payment.status);

/** `order.awaiting-payment.v1` → `order.awaiting-payment`, as the timeline names it. */
const nameOf = ({ status }: Life): string => FACT_OF[status].replace(/\.v\d+$/, "");

const stepOf = (life: Life): Step => ({
	step: nameOf(life),
	status: life.status,
	by: "orders",
	...("reason" in life ? { detail: life.reason } : {})
});

/** Records the fact of the arrival in a state. */
export function tell(tx: Tx, { order, userId }: StoredOrder, life: Life, version: number): void {
	const { id, number, items, total } = order;
	const told = { orderId: id, number, userId };
	const aggregate = { id, version };
	switch (life.status) {
		case "placed":
			tx.record("order.created.v1", aggregate, {
				...told,
				items: items.map(({ productId, quantity }) => ({ productId, quantity })),
				total
			});
			break;
		case "awaiting_payment":
			tx.record("order.awaiting-payment.v1", aggregate, told);
			tx.record(
				"payment.requested.v1",
				{ id, version: 1 },
				{ orderId: id, amount: total, method: order.payment.method }
			);
			break;
		case "paid":
			tx.record("order.paid.v1", aggregate, { ...told, total });
			break;
		case "confirmed":
			tx.record("order.confirmed.v1", aggregate, {
				...told,
				total,
				items: items.map(({ name, quantity }) => ({ name, quantity }))
			});
			break;
		case "cancelling": {
			const { reason, stock, money } = life;
			tx.record("order.cancelling.v1", aggregate, {
				...told,
				reason,
				undo: { stock: stock === "pending", money: money === "pending" }
			});
			break;
		}
		case "cancelled":
			tx.record("order.cancelled.v1", aggregate, {
				...told,
				reason: life.reason,
				refunded: life.money === "refunded" ? total : null
			});
			break;
		case "refund_failed":
			tx.record("order.refund-failed.v1", aggregate, { ...told, reason: life.reason });
			break;
	}
}

async function moveDeadlines(
	tx: Tx,
	{ life: before, order }: StoredOrder,
	after: Life,
	{ PAYMENT_TIMEOUT_MS }: Deadlines
): Promise<void> {
	if (before.status === after.status) return;
	const passed = TIMER_OF[before.status];
	if (passed) await clearTimer(tx, passed, order.id);
	if (after.status === "awaiting_payment")
		await setTimer(tx, PAYMENT_TIMER, order.id, PAYMENT_TIMEOUT_MS);
}

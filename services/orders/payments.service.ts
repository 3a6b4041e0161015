import type { Money } from "../../contracts/common.ts";
import { payments, type PaymentMethod } from "../../contracts/payments.ts";
import type { Tx } from "../../lib/database.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { jobs, type JobHost, type JobKind, type JobMethods } from "../../mixins/jobs.mixin.ts";
import { advancePayment, type PaymentSignal } from "./payment.ts";
import {
	findPaymentForUpdate,
	insertPayment,
	updatePayment,
	type Payment
} from "./payments.store.ts";
import { charge, refund, type ChargeOutcome } from "./sandbox.ts";

interface ChargeJob {
	readonly orderId: string;
	readonly amount: Money;
	readonly method: PaymentMethod;
}
interface RefundJob {
	readonly orderId: string;
	readonly providerRef: string;
}

/** Refunds are tried for some hours before a human has to step in. */
const REFUND_ATTEMPTS = 40;

interface Details {
	readonly method?: PaymentMethod;
	readonly amount?: Money;
	readonly providerRef?: string;
	readonly code?: string;
}

/** Moves the order's payment by a signal: writes the state, tells the fact, asks for the effect. */
async function signal(
	enqueue: JobMethods["enqueue"],
	tx: Tx,
	orderId: string,
	kind: PaymentSignal,
	details: Details = {}
): Promise<void> {
	const before = await findPaymentForUpdate(tx, orderId);
	const step = advancePayment(before?.status ?? "absent", kind);
	if (!step) return;
	const payment: Omit<Payment, "id"> = {
		orderId,
		status: step.status,
		method: before?.method ?? details.method ?? null,
		amount: before?.amount ?? details.amount ?? null,
		providerRef: before?.providerRef ?? details.providerRef ?? null,
		version: (before?.version ?? 0) + (step.fact ? 1 : 0)
	};
	const id = before?.id ?? (await insertPayment(tx, payment));
	// The request and its cancellation came at the same time, and the other one was quicker.
	if (!id) return signal(enqueue, tx, orderId, kind, details);
	if (before) await updatePayment(tx, { ...payment, id });
	if (step.fact) {
		const { amount } = payment;
		const told = { orderId, paymentId: id };
		const data = {
			"payment.processed.v1": { ...told, amount: amount! },
			"payment.failed.v1": { ...told, code: details.code ?? "declined" },
			"payment.voided.v1": told,
			"payment.refunded.v1": { ...told, amount: amount! },
			"payment.refund-failed.v1": { ...told, code: details.code ?? "refund_failed" }
		}[step.fact];
		tx.record(step.fact, { id, version: payment.version }, data);
	}
	if (step.effect === "charge")
		await enqueue(tx, "charge", `pay:${orderId}:1`, {
			orderId,
			amount: payment.amount!,
			method: payment.method!
		} satisfies ChargeJob);
	if (step.effect === "refund")
		await enqueue(tx, "refund", `refund:${orderId}`, {
			orderId,
			providerRef: payment.providerRef!
		} satisfies RefundJob);
}

const effects = ({ db, enqueue }: JobHost) => ({
	charge: {
		perform: ({ amount, method }, { key, attempt }) => charge(db, { key, amount, method }, attempt),
		complete: (tx, { orderId }, outcome) =>
			outcome.status === "captured"
				? signal(enqueue, tx, orderId, "captured", { providerRef: outcome.ref })
				: signal(enqueue, tx, orderId, "declined", { code: outcome.code })
	} satisfies JobKind<ChargeJob, ChargeOutcome>,
	refund: {
		maxAttempts: REFUND_ATTEMPTS,
		perform: ({ providerRef }, { key }) => refund(db, providerRef, key),
		complete: (tx, { orderId }) => signal(enqueue, tx, orderId, "refunded"),
		giveUp: (tx, { orderId }) => signal(enqueue, tx, orderId, "refund-failed")
	} satisfies JobKind<RefundJob, void>
});

export default implement(payments)({
	mixins: [events("orders", { critical: true, batch: true }), jobs("orders", effects)],
	actions: {},
	events: {
		async "payment.requested.v1"({ data: { orderId, amount, method } }, tx) {
			await signal(this.enqueue, tx, orderId, "requested", { amount, method });
		},
		async "order.cancelling.v1"({ data: { orderId, undo } }, tx) {
			if (undo.money) await signal(this.enqueue, tx, orderId, "cancelled");
		}
	}
});

import type { PaymentMethod } from "../../contracts/payments.ts";
import type { Money } from "../../contracts/common.ts";
import type { Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import type { PaymentStatus } from "./payment.ts";

export interface Payment {
	readonly id: string;
	readonly orderId: string;
	readonly status: PaymentStatus;
	readonly method: PaymentMethod | null;
	readonly amount: Money | null;
	readonly providerRef: string | null;
	/** Facts told so far. */
	readonly version: number;
}

interface PaymentRow {
	id: string;
	order_id: string;
	status: PaymentStatus;
	method: PaymentMethod | null;
	amount: string | null;
	currency: string | null;
	provider_ref: string | null;
	version: number;
}

/** The order's payment, locked until the transaction ends. */
export async function findPaymentForUpdate(tx: Tx, orderId: string): Promise<Payment | undefined> {
	const row = await tx.one<PaymentRow>(
		`SELECT id, order_id, status, method, amount, currency, provider_ref, version
		 FROM payment WHERE order_id = $1 FOR UPDATE`,
		[orderId]
	);
	return row && toPayment(row);
}

/** Returns its new id; undefined where the order has a payment meanwhile. */
export async function insertPayment(
	tx: Tx,
	payment: Pick<Payment, "orderId" | "status" | "version" | "method" | "amount">
): Promise<string | undefined> {
	const row = await tx.one<{ id: string }>(
		`INSERT INTO payment (id, order_id, status, method, amount, currency, version)
		 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (order_id) DO NOTHING RETURNING id`,
		[
			uuidv7(),
			payment.orderId,
			payment.status,
			payment.method,
			payment.amount?.amount ?? null,
			payment.amount?.currency ?? null,
			payment.version
		]
	);
	return row?.id;
}

export async function updatePayment(
	tx: Tx,
	{ id, status, version, providerRef }: Pick<Payment, "id" | "status" | "version" | "providerRef">
): Promise<void> {
	await tx.query(
		`UPDATE payment SET status = $2, version = $3, provider_ref = $4, updated_at = clock_timestamp() WHERE id = $1`,
		[id, status, version, providerRef]
	);
}

const toPayment = (row: PaymentRow): Payment => ({
	id: row.id,
	orderId: row.order_id,
	status: row.status,
	method: row.method,
	amount: row.amount === null ? null : { amount: Number(row.amount), currency: row.currency! },
	providerRef: row.provider_ref,
	version: row.version
});

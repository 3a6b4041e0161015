import type { Address, Money } from "../../contracts/common.ts";
import type { CancelReason, Order, OrderStatus } from "../../contracts/orders.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import type { Life, MoneyUndo, StockUndo } from "./order.ts";

type PaymentState = Order["payment"]["status"];

/** An order as it is kept: what a client sees, whose it is, and where its life stands. */
export interface StoredOrder {
	readonly order: Order;
	readonly userId: string;
	readonly life: Life;
}

interface OrderRow {
	id: string;
	number: string;
	user_id: string;
	status: OrderStatus;
	reason: CancelReason | null;
	stock_undo: StockUndo;
	money_undo: MoneyUndo;
	items: Order["items"];
	total_amount: string;
	total_currency: string;
	shipping_address: Address;
	payment_method: PaymentMethod;
	payment_status: PaymentState;
	version: number;
	created_at: Date;
	updated_at: Date;
}

const COLUMNS = `id, number, user_id, status, reason, stock_undo, money_undo, items, total_amount, total_currency,
	shipping_address, payment_method, payment_status, version, created_at, updated_at`;

export interface NewOrder {
	readonly userId: string;
	readonly items: Order["items"];
	readonly total: Money;
	readonly shippingAddress: Address;
	readonly paymentMethod: PaymentMethod;
}

export async function insertOrder(tx: Tx, order: NewOrder): Promise<StoredOrder> {
	const row = await tx.one<OrderRow>(
		`INSERT INTO orders (id, user_id, status, items, total_amount, total_currency, shipping_address, payment_method)
		 VALUES ($1, $2, 'placed', $3::jsonb, $4, $5, $6::jsonb, $7) RETURNING ${COLUMNS}`,
		[
			uuidv7(),
			order.userId,
			JSON.stringify(order.items),
			order.total.amount,
			order.total.currency,
			JSON.stringify(order.shippingAddress),
			order.paymentMethod
		]
	);
	return toStored(row!);
}

/** The order, locked until the transaction ends. */
export async function findOrderForUpdate(tx: Tx, id: string): Promise<StoredOrder | undefined> {
	const row = await tx.one<OrderRow>(`SELECT ${COLUMNS} FROM orders WHERE id = $1 FOR UPDATE`, [
		id
	]);
	return row && toStored(row);
}

/** The order, if it is this user's; anybody's where no user is given. */
export async function findOrder(
	db: Queries,
	id: string,
	userId: string | undefined
): Promise<StoredOrder | undefined> {
	const row = await db.one<OrderRow>(
		`SELECT ${COLUMNS} FROM orders WHERE id = $1 AND user_id = coalesce($2, user_id)`,
		[id, userId ?? null]
	);
	return row && toStored(row);
}

export interface OrderFilter {
	readonly userId: string | undefined;
	readonly status: OrderStatus | undefined;
	/** Only orders older than this one. */
	readonly before: string | undefined;
	readonly limit: number;
}

/** How many orders there are, of all pages. */
export async function countOrders(
	db: Queries,
	{ userId, status }: Pick<OrderFilter, "userId" | "status">
): Promise<number> {
	const row = await db.one<{ total: number }>(
		`SELECT count(*)::int AS total FROM orders
		 WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2)`,
		[userId ?? null, status ?? null]
	);
	return row!.total;
}

/** Newest first: ids are UUIDv7 and sort by age. */
export async function listOrders(
	db: Queries,
	{ userId, status, before, limit }: OrderFilter
): Promise<Order[]> {
	const rows = await db.query<OrderRow>(
		`SELECT ${COLUMNS} FROM orders
		 WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3)
		 ORDER BY id DESC LIMIT $4`,
		[userId ?? null, status ?? null, before ?? null, limit]
	);
	return rows.map(row => toStored(row).order);
}

/** Writes where the order's life stands now, and its version; returns the order as it is then. */
export async function updateLife(
	tx: Tx,
	id: string,
	life: Life,
	paymentStatus: PaymentState,
	version: number
): Promise<StoredOrder> {
	const { reason, stock, money } =
		"reason" in life ? life : { reason: null, stock: "none", money: "none" };
	const row = await tx.one<OrderRow>(
		`UPDATE orders SET status = $2, reason = $3, stock_undo = $4, money_undo = $5, payment_status = $6,
		   version = $7, updated_at = clock_timestamp()
		 WHERE id = $1 RETURNING ${COLUMNS}`,
		[id, life.status, reason, stock, money, paymentStatus, version]
	);
	return toStored(row!);
}

export interface Step {
	readonly step: string;
	readonly status: OrderStatus;
	readonly by: string;
	readonly detail?: string;
}

/** Writes the story down, in order. */
export async function insertSteps(tx: Tx, orderId: string, steps: readonly Step[]): Promise<void> {
	await tx.query(
		`INSERT INTO order_step (order_id, step, status, by, detail)
		 SELECT $1, step, status, by, detail
		 FROM jsonb_to_recordset($2::jsonb) AS s(step text, status text, by text, detail text)`,
		[orderId, JSON.stringify(steps)]
	);
}

/** The story so far, without its first `after` steps. */
export async function listSteps(
	db: Queries,
	orderId: string,
	after = 0
): Promise<(Step & { at: string })[]> {
	const rows = await db.query<Omit<Step, "detail"> & { at: Date; detail: string | null }>(
		"SELECT at, step, status, by, detail FROM order_step WHERE order_id = $1 ORDER BY seq OFFSET $2",
		[orderId, after]
	);
	return rows.map(({ at, step, status, by, detail }) => ({
		at: at.toISOString(),
		step,
		status,
		by,
		...(detail === null ? {} : { detail })
	}));
}

function toStored(row: OrderRow): StoredOrder {
	return {
		userId: row.user_id,
		life: toLife(row),
		order: {
			id: row.id,
			number: row.number,
			status: row.status,
			...(row.reason ? { reason: row.reason } : {}),
			items: row.items,
			total: { amount: Number(row.total_amount), currency: row.total_currency },
			shippingAddress: row.shipping_address,
			payment: { method: row.payment_method, status: row.payment_status },
			version: row.version,
			createdAt: row.created_at.toISOString(),
			updatedAt: row.updated_at.toISOString()
		}
	};
}

function toLife({ status, reason, stock_undo: stock, money_undo: money }: OrderRow): Life {
	switch (status) {
		case "cancelling":
		case "cancelled":
		case "refund_failed":
			return { status, reason: reason!, stock, money };
		default:
			return { status };
	}
}

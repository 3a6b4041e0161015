import type { Inventory } from "../../contracts/inventory.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { ActiveReservation, Change, Line, Reservation } from "./reservation.ts";

/** Stock of a product, zero where none ever came in; undefined for an unknown product. */
export async function findInventory(
	db: Queries,
	productId: string
): Promise<Inventory | undefined> {
	// One statement sees one moment: the holds always add up to what is reserved.
	const row = await db.one<Omit<Inventory, "available" | "holds"> & { holds: Hold[] | null }>(
		`SELECT p.id AS "productId", coalesce(s.on_hand, 0) AS "onHand", coalesce(s.reserved, 0) AS reserved,
			coalesce(s.sold, 0) AS sold,
			(SELECT jsonb_agg(jsonb_build_object('orderId', r.order_id, 'quantity', l.quantity,
					'until', extract(epoch FROM r.until) * 1000) ORDER BY r.until, r.order_id)
				FROM reservation_line l JOIN reservation r USING (order_id)
				WHERE l.product_id = p.id AND r.status = 'active') AS holds
		FROM product p LEFT JOIN stock s ON s.product_id = p.id
		WHERE p.id = $1::uuid`,
		[productId]
	);
	return (
		row && {
			...row,
			available: row.onHand - row.reserved,
			holds: (row.holds ?? []).map(hold => ({ ...hold, until: new Date(hold.until).toISOString() }))
		}
	);
}
interface Hold {
	readonly orderId: string;
	readonly quantity: number;
	/** Milliseconds. */
	readonly until: number;
}

/**
 * The reservation of an order, locked. Every transaction locks a reservation first and then the
 * stock of its products in the order of their ids, so that none waits for another in a circle.
 */
export async function lockReservation(tx: Tx, orderId: string): Promise<Reservation> {
	const row = await tx.one<ReservationRow>(
		`SELECT ${RESERVATION} FROM reservation r WHERE order_id = $1::uuid FOR UPDATE`,
		[orderId]
	);
	return row ? toReservation(row) : { orderId, version: 0, status: "none" };
}

/** A reservation whose lease ran out, locked, if there is one beside `except` that nobody else is at. */
export async function lockExpired(
	tx: Tx,
	except: readonly string[]
): Promise<ActiveReservation | undefined> {
	const row = await tx.one<ReservationRow>(
		`SELECT ${RESERVATION} FROM reservation r WHERE status = 'active' AND until <= clock_timestamp()
		AND order_id <> ALL($1::uuid[]) ORDER BY until LIMIT 1 FOR UPDATE SKIP LOCKED`,
		[except]
	);
	return row && (toReservation(row) as ActiveReservation);
}

const RESERVATION = `order_id, version, status, until,
	(SELECT coalesce(jsonb_agg(jsonb_build_object('productId', l.product_id, 'quantity', l.quantity)
		ORDER BY l.product_id), '[]') FROM reservation_line l WHERE l.order_id = r.order_id) AS lines`;
interface ReservationRow {
	readonly order_id: string;
	readonly version: number;
	readonly status: Exclude<Reservation["status"], "none">;
	readonly until: Date | null;
	readonly lines: readonly Line[];
}

const toReservation = ({
	order_id: orderId,
	version,
	status,
	until,
	lines
}: ReservationRow): Reservation =>
	status === "active"
		? { orderId, version, status, lines, until: until!.toISOString() }
		: { orderId, version, status };

/** Locks the stock of the products in the order of their ids, and tells what of each is free. */
export async function lockStock(
	tx: Tx,
	productIds: readonly string[]
): Promise<Map<string, number>> {
	const rows = await tx.query<{ product_id: string; available: number }>(
		`SELECT product_id, on_hand - reserved AS available FROM stock
		WHERE product_id = ANY($1::uuid[]) ORDER BY product_id FOR UPDATE`,
		[productIds]
	);
	return new Map(rows.map(({ product_id, available }) => [product_id, available]));
}

/** When a lease of this length that begins now ends, by the database's clock as the sweep reads it. */
export async function leaseEnd(tx: Tx, leaseMs: number): Promise<string> {
	const row = await tx.one<{ until: Date }>(
		"SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS until",
		[leaseMs]
	);
	return row!.until.toISOString();
}

/** Writes what was decided: the reservation, the stock with its ledger, and the fact. */
export async function saveChange(tx: Tx, { reservation, movements, fact }: Change): Promise<void> {
	const { orderId, version, status } = reservation;
	await tx.query(
		`INSERT INTO reservation (order_id, version, status, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (order_id) DO UPDATE
		SET version = excluded.version, status = excluded.status, updated_at = clock_timestamp()`,
		[orderId, version, status, status === "active" ? reservation.until : null]
	);
	if (status === "active")
		await tx.query(
			`INSERT INTO reservation_line (order_id, product_id, quantity)
			SELECT $1, "productId", quantity FROM jsonb_to_recordset($2::jsonb) AS line("productId" uuid, quantity int)`,
			[orderId, JSON.stringify(reservation.lines)]
		);
	if (movements.length > 0) {
		// A no-op where the stock was read to decide; else it sets the order of the locks.
		await lockStock(
			tx,
			movements.map(({ productId }) => productId)
		);
		await tx.query(
			`WITH movement AS (
				SELECT * FROM jsonb_to_recordset($2::jsonb)
					AS m("productId" uuid, kind text, "onHand" int, reserved int, sold int, reason text)),
			moved AS (
				UPDATE stock s SET on_hand = s.on_hand + m."onHand", reserved = s.reserved + m.reserved,
					sold = s.sold + m.sold, updated_at = clock_timestamp()
				FROM movement m WHERE s.product_id = m."productId")
			INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason, order_id)
			SELECT "productId", kind, "onHand", reserved, sold, reason, $1 FROM movement`,
			[orderId, JSON.stringify(movements)]
		);
	}
	tx.record(fact.type, { id: orderId, version }, fact.data);
}

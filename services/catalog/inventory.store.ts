import type { Inventory, Movement as Entry, StockDifference } from "../../contracts/inventory.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { ActiveReservation, Change, Line, Reservation } from "./reservation.ts";
import { availableOf, moved, type Movement, type Stock } from "./stock.ts";

/** As many holds are listed with a product: an answer has to fit into one message of NATS. */
const MAX_HOLDS = 1_000;

/** Stock of a product, zero where none ever came in; undefined for an unknown product. */
export async function findInventory(
	db: Queries,
	productId: string
): Promise<Inventory | undefined> {
	// One statement sees one moment: the holds always add up to what is reserved.
	const row = await db.one<StockRow & { holds: Hold[] | null }>(
		`SELECT p.id AS "productId", coalesce(s.on_hand, 0) AS "onHand", coalesce(s.reserved, 0) AS reserved,
			coalesce(s.sold, 0) AS sold, coalesce(s.version, 0) AS version,
			(SELECT jsonb_agg(jsonb_build_object('orderId', h.order_id, 'quantity', h.quantity,
					'until', extract(epoch FROM h.until) * 1000) ORDER BY h.until, h.order_id)
				FROM (SELECT r.order_id, l.quantity, r.until FROM reservation_line l JOIN reservation r USING (order_id)
					WHERE l.product_id = p.id AND r.status = 'active'
					ORDER BY r.until, r.order_id LIMIT ${MAX_HOLDS}) h) AS holds
		FROM product p LEFT JOIN stock s ON s.product_id = p.id
		WHERE p.id = $1::uuid`,
		[productId]
	);
	if (!row) return undefined;
	const holds = (row.holds ?? []).map(hold => ({
		...hold,
		until: new Date(hold.until).toISOString()
	}));
	const listed = holds.reduce((sum, { quantity }) => sum + quantity, 0);
	return { ...row, available: availableOf(row), holds, unlisted: row.reserved - listed };
}
type StockRow = Pick<Stock, "productId" | "onHand" | "reserved" | "sold" | "version">;
interface Hold {
	readonly orderId: string;
	readonly quantity: number;
	/** Milliseconds. */
	readonly until: number;
}

/**
 * The reservation of an order, locked; where there is none yet, it is the inbox that lets in one event of
 * the order at a time. Every transaction locks a reservation first and then the
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

/** Locks the stock of the products in the order of their ids. Those that never came in have none. */
export async function lockStock(
	tx: Tx,
	productIds: readonly string[]
): Promise<Map<string, Stock>> {
	const rows = await tx.query<Stock>(
		`SELECT product_id AS "productId", on_hand AS "onHand", reserved, sold, version, told, low FROM stock
		WHERE product_id = ANY($1::uuid[]) ORDER BY product_id FOR UPDATE`,
		[productIds]
	);
	return new Map(rows.map(stock => [stock.productId, stock]));
}

/** Locks the stock of a product, which it is given where nothing ever came in; undefined for an unknown product. */
export async function lockStockOf(tx: Tx, productId: string): Promise<Stock | undefined> {
	await tx.query(
		"INSERT INTO stock (product_id) SELECT id FROM product WHERE id = $1 ON CONFLICT DO NOTHING",
		[productId]
	);
	return (await lockStock(tx, [productId])).get(productId);
}

/** When a lease of this length that begins now ends, by the database's clock as the sweep reads it. */
export async function leaseEnd(tx: Tx, leaseMs: number): Promise<string> {
	const row = await tx.one<{ until: Date }>(
		"SELECT clock_timestamp() + $1::float8 * interval '1 millisecond' AS until",
		[leaseMs]
	);
	return row!.until.toISOString();
}

/** Writes what was decided: the reservation, the stock with its ledger, and the facts. */
export async function saveChange(
	tx: Tx,
	{ reservation, movements, fact }: Change,
	lowStock: number
): Promise<void> {
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
	tx.record(fact.type, { id: orderId, version }, fact.data);
	if (movements.length > 0) await saveMovements(tx, movements, lowStock, orderId);
}

/** Moves the stock, at most once for each product, writes that into its ledger, and tells what is to be told of it. */
export async function saveMovements(
	tx: Tx,
	movements: readonly Movement[],
	lowStock: number,
	orderId?: string
): Promise<void> {
	// A no-op where the stock was read to decide; else it sets the order of the locks.
	const stocks = await lockStock(
		tx,
		movements.map(({ productId }) => productId)
	);
	const moves = movements.map(movement => {
		const before = stocks.get(movement.productId)!;
		const { stock, facts } = moved(before, movement, lowStock);
		for (const [index, { type, data }] of facts.entries())
			tx.record(type, { id: stock.productId, version: before.told + index + 1 }, data);
		return { ...movement, told: stock.told, low: stock.low };
	});
	// By what moves, not to what it comes to: should two ever pass the locks, the checks still hold.
	await tx.query(
		`WITH movement AS (
			SELECT * FROM jsonb_to_recordset($2::jsonb) AS m("productId" uuid, kind text, "onHand" int, reserved int,
				sold int, reason text, note text, by uuid, told int, low boolean)),
		moved AS (
			UPDATE stock s SET on_hand = s.on_hand + m."onHand", reserved = s.reserved + m.reserved,
				sold = s.sold + m.sold, version = s.version + 1, told = m.told, low = m.low,
				updated_at = clock_timestamp()
			FROM movement m WHERE s.product_id = m."productId")
		INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason, note, by,
			order_id)
		SELECT "productId", kind, "onHand", reserved, sold, reason, note, by, $1 FROM movement`,
		[orderId ?? null, JSON.stringify(moves)]
	);
}

/** A line of the ledger, with its place in it. */
export interface LedgerRow {
	readonly id: string;
	readonly productId: string;
	readonly entry: Entry;
}
interface MovementRow {
	/** bigint */
	readonly id: string;
	readonly product_id: string;
	readonly at: Date;
	readonly kind: Entry["kind"];
	readonly on_hand_delta: number;
	readonly reserved_delta: number;
	readonly sold_delta: number;
	readonly reason: string;
	readonly note: string | null;
	readonly order_id: string | null;
	readonly by: string | null;
}
const MOVEMENT =
	"id, product_id, at, kind, on_hand_delta, reserved_delta, sold_delta, reason, note, order_id, by";

const toLedgerRow = (row: MovementRow): LedgerRow => {
	const changes = {
		onHand: row.on_hand_delta,
		reserved: row.reserved_delta,
		sold: row.sold_delta
	};
	return {
		id: row.id,
		productId: row.product_id,
		entry: {
			at: row.at.toISOString(),
			kind: row.kind,
			delta: availableOf(changes),
			changes,
			reason: row.reason,
			...(row.note === null ? {} : { note: row.note }),
			...(row.order_id === null ? {} : { orderId: row.order_id }),
			...(row.by === null ? {} : { by: row.by })
		}
	};
};

/** The newest movements of a product, those before an id if there is one; undefined for an unknown product. */
export async function listMovements(
	db: Queries,
	productId: string,
	{ before, limit }: { readonly before: string | undefined; readonly limit: number }
): Promise<LedgerRow[] | undefined> {
	const rows = await db.query<MovementRow>(
		// A product's movements are numbered in the order of its lock, and so of their commits.
		`SELECT ${MOVEMENT} FROM stock_movement
		WHERE product_id = $1::uuid AND ($2::bigint IS NULL OR id < $2::bigint) ORDER BY id DESC LIMIT $3`,
		[productId, before ?? null, limit]
	);
	if (rows.length > 0) return rows.map(toLedgerRow);
	const product = await db.one("SELECT 1 FROM product WHERE id = $1::uuid", [productId]);
	return product && [];
}

/** The adjustments that somebody has made, oldest first, those after an id if there is one. */
export async function listAdjustmentsBy(
	db: Queries,
	userId: string,
	{ after, limit }: { readonly after: string | null; readonly limit: number }
): Promise<LedgerRow[]> {
	const rows = await db.query<MovementRow>(
		`SELECT ${MOVEMENT} FROM stock_movement
		WHERE by = $1::uuid AND ($2::bigint IS NULL OR id > $2::bigint) ORDER BY id LIMIT $3`,
		[userId, after, limit]
	);
	return rows.map(toLedgerRow);
}

/** How many adjustments somebody has made. */
export async function countAdjustmentsBy(db: Queries, userId: string): Promise<number> {
	const row = await db.one<{ n: number }>(
		"SELECT count(*)::int AS n FROM stock_movement WHERE by = $1::uuid",
		[userId]
	);
	return row!.n;
}

/**
 * Products whose stock is not what the ledger adds up to, or not what reservations hold and have sold.
 * There must be none. One statement, and so one moment.
 */
export const DIFFERENCES = `SELECT s.product_id AS "productId", s.on_hand AS "onHand", s.reserved, s.sold,
		jsonb_build_object('onHand', coalesce(m.on_hand, 0), 'reserved', coalesce(m.reserved, 0),
			'sold', coalesce(m.sold, 0)) AS ledger,
		jsonb_build_object('held', coalesce(o.held, 0), 'committed', coalesce(o.committed, 0)) AS orders
	FROM stock s
	LEFT JOIN (SELECT product_id, sum(on_hand_delta) AS on_hand, sum(reserved_delta) AS reserved,
			sum(sold_delta) AS sold FROM stock_movement GROUP BY product_id) m USING (product_id)
	LEFT JOIN (SELECT l.product_id, sum(l.quantity) FILTER (WHERE r.status = 'active') AS held,
			sum(l.quantity) FILTER (WHERE r.status = 'committed') AS committed
		FROM reservation_line l JOIN reservation r USING (order_id) GROUP BY l.product_id) o USING (product_id)
	WHERE (s.on_hand, s.reserved, s.sold)
			<> (coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.sold, 0))
		OR (s.reserved, s.sold) <> (coalesce(o.held, 0), coalesce(o.committed, 0))
	ORDER BY s.product_id LIMIT 100`;

/** How many products have stock, and where it does not add up. */
export async function reconcile(
	db: Queries
): Promise<{ products: number; differences: StockDifference[] }> {
	const row = await db.one<{ n: number }>("SELECT count(*)::int AS n FROM stock");
	return { products: row!.n, differences: await db.query<StockDifference>(DIFFERENCES) };
}

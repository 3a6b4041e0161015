/** What the group knows of a user, in SQL: to be erased, or to be handed out. */
import type { Address } from "../../contracts/common.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { forgetKeys } from "../../lib/idempotency.ts";
import { cartIdOf, deleteCart, findCart } from "./carts.store.ts";

export interface Erasure {
	readonly deletionId: string;
	readonly userId: string;
	readonly erasedAt: Date | null;
}

/** Keeps that somebody is to be forgotten. */
export async function insertErasure(
	tx: Tx,
	{ deletionId, userId }: Pick<Erasure, "deletionId" | "userId">
): Promise<void> {
	await tx.query(
		"INSERT INTO erasure (deletion_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		[deletionId, userId]
	);
}

/** Locked until the transaction ends. */
export const findErasureForUpdate = (tx: Tx, deletionId: string): Promise<Erasure | undefined> =>
	tx.one(
		`SELECT deletion_id AS "deletionId", user_id AS "userId", erased_at AS "erasedAt"
		 FROM erasure WHERE deletion_id = $1 FOR UPDATE`,
		[deletionId]
	);

export async function markErased(tx: Tx, deletionId: string): Promise<void> {
	await tx.query("UPDATE erasure SET erased_at = clock_timestamp() WHERE deletion_id = $1", [
		deletionId
	]);
}

/** Whether an order of the user is under way: it still needs to know where it goes. */
export const hasOpenOrders = async (db: Queries, userId: string): Promise<boolean> =>
	(await db.one(
		`SELECT 1 FROM orders
		 WHERE user_id = $1 AND status IN ('placed', 'awaiting_payment', 'paid', 'cancelling') LIMIT 1`,
		[userId]
	)) !== undefined;

const GONE = "erased";
/** In place of where an order went; the country is kept, which decides whose tax it is. */
const NOWHERE: Omit<Address, "country"> = { name: GONE, line1: GONE, city: GONE, postalCode: GONE };

/** Takes the person out of the user's orders and their payments; answers how many orders there are. */
export async function anonymiseOrders(tx: Tx, userId: string): Promise<number> {
	const orders = await tx.query<{ id: string }>(
		`UPDATE orders SET updated_at = clock_timestamp(),
		   shipping_address = $2::jsonb || jsonb_build_object('country', shipping_address->'country')
		 WHERE user_id = $1 RETURNING id`,
		[userId, JSON.stringify(NOWHERE)]
	);
	const ids = orders.map(({ id }) => id);
	await tx.query("UPDATE payment SET method = NULL WHERE order_id = ANY ($1::uuid[])", [ids]);
	// The charge is settled; its job still says with what it was paid.
	await tx.query(
		"DELETE FROM job WHERE kind = 'charge' AND payload->>'orderId' = ANY ($1::text[])",
		[ids]
	);
	return orders.length;
}

/** Deletes the user's cart and what the user was answered; answers how many carts there were. */
export async function forgetUser(tx: Tx, userId: string): Promise<number> {
	await forgetKeys(tx, userId);
	const id = cartIdOf({ userId });
	const { version } = await findCart(tx, id);
	await deleteCart(tx, id);
	return version > 0 ? 1 : 0;
}

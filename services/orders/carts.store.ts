import type { Queries, Tx } from "../../lib/database.ts";
import { uuidv8 } from "../../lib/uuid.ts";

export interface CartLine {
	readonly productId: string;
	readonly quantity: number;
}

/** A cart as it is kept: prices and availability are read anew each time it is shown. */
export interface StoredCart {
	readonly id: string;
	/** 0 while nothing was ever put into it: then there is no row. */
	readonly version: number;
	readonly updatedAt: string;
	readonly lines: readonly CartLine[];
}

export const MAX_LINES = 100;

/**
 * A cart's id follows from its owner, so that looking at an empty cart stores nothing: strangers
 * cannot fill the table by reading. From the id of a guest's cart its token cannot be told.
 */
export const cartIdOf = (owner: { userId: string } | { cartToken: string }): string =>
	uuidv8("userId" in owner ? `user:${owner.userId}` : `guest:${owner.cartToken}`);

export async function findCart(db: Queries, id: string): Promise<StoredCart> {
	const rows = await db.query<{
		version: number;
		updated_at: Date;
		product_id: string | null;
		quantity: number;
	}>(
		`SELECT c.version, c.updated_at, i.product_id, i.quantity
		 FROM cart c LEFT JOIN cart_item i ON i.cart_id = c.id WHERE c.id = $1 ORDER BY i.added_at, i.product_id`,
		[id]
	);
	return {
		id,
		version: rows[0]?.version ?? 0,
		updatedAt: (rows[0]?.updated_at ?? new Date(0)).toISOString(),
		lines: rows.flatMap(({ product_id, quantity }) =>
			product_id === null ? [] : [{ productId: product_id, quantity }]
		)
	};
}

/**
 * Locks the cart until the transaction ends, makes it where it is new, and counts its version up. Answers
 * the new version.
 */
export async function touchCart(tx: Tx, id: string): Promise<number> {
	const row = await tx.one<{ version: number }>(
		`INSERT INTO cart (id) VALUES ($1) ON CONFLICT (id) DO UPDATE
		   SET version = cart.version + 1, updated_at = clock_timestamp() RETURNING version`,
		[id]
	);
	return row!.version;
}

/** Locks the cart, before its lines as everybody does it, and answers its version. */
export async function lockCart(tx: Tx, id: string): Promise<number> {
	const row = await tx.one<{ version: number }>(
		"SELECT version FROM cart WHERE id = $1 FOR UPDATE",
		[id]
	);
	return row?.version ?? 0;
}

/** Takes a product out, or all of them. A cart that holds no such thing is left as it is. It must be locked. */
export async function removeItems(tx: Tx, id: string, productId?: string): Promise<void> {
	const removed = await tx.query(
		"DELETE FROM cart_item WHERE cart_id = $1 AND product_id = coalesce($2, product_id) RETURNING 1",
		[id, productId ?? null]
	);
	if (removed.length > 0) await touchCart(tx, id);
}

/** Sets a product's quantity; false where the cart is full. The cart must have been touched. */
export async function putItem(
	tx: Tx,
	cartId: string,
	{ productId, quantity }: CartLine
): Promise<boolean> {
	const row = await tx.one(
		`INSERT INTO cart_item (cart_id, product_id, quantity)
		 SELECT $1, $2, $3
		 WHERE (SELECT count(*) FROM cart_item WHERE cart_id = $1 AND product_id <> $2) < ${MAX_LINES}
		 ON CONFLICT (cart_id, product_id) DO UPDATE SET quantity = excluded.quantity RETURNING product_id`,
		[cartId, productId, quantity]
	);
	return row !== undefined;
}

export async function deleteCart(tx: Tx, cartId: string): Promise<void> {
	await tx.query("DELETE FROM cart WHERE id = $1", [cartId]);
}

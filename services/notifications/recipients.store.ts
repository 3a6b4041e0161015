import { Errors } from "moleculer";
import type { Queries, Tx } from "../../lib/database.ts";

export interface Recipient {
	readonly userId: string;
	readonly email: string;
	readonly username: string;
	readonly name: string | null;
}

/** Keeps what is known of somebody; the latest call wins. */
export async function upsertRecipient(
	tx: Tx,
	{ userId, email, username, name }: Recipient
): Promise<void> {
	await tx.query(
		`INSERT INTO recipient (user_id, email, username, name) VALUES ($1, $2, $3, $4)
		 ON CONFLICT (user_id) DO UPDATE
		 SET email = $2, username = $3, name = $4, updated_at = clock_timestamp()`,
		[userId, email, username, name]
	);
}

export const findRecipient = (db: Queries, userId: string): Promise<Recipient | undefined> =>
	db.one<Recipient>(
		`SELECT user_id AS "userId", email, username, name FROM recipient WHERE user_id = $1`,
		[userId]
	);

/** The same; has the event tried again where nobody knows the user yet. */
export async function requireRecipient(tx: Tx, userId: string): Promise<Recipient> {
	const recipient = await findRecipient(tx, userId);
	// Their registration is still under way on another topic.
	if (!recipient)
		throw new Errors.MoleculerRetryableError(`Nobody knows the user ${userId} here yet.`);
	return recipient;
}

/** Forgets somebody. */
export const deleteRecipient = (tx: Tx, userId: string): Promise<unknown> =>
	tx.query("DELETE FROM recipient WHERE user_id = $1", [userId]);

/** Forgets everybody, to be told of all of them again. */
export const deleteRecipients = (tx: Tx): Promise<unknown> => tx.query("DELETE FROM recipient");

/** Somebody whom we know is called otherwise. */
export async function renameRecipient(
	tx: Tx,
	{ userId, username, name }: Omit<Recipient, "email">
): Promise<void> {
	await tx.query(
		`UPDATE recipient SET username = $2, name = $3, updated_at = clock_timestamp()
		 WHERE user_id = $1`,
		[userId, username, name]
	);
}

/** What the group knows of a user, in SQL: to be erased, or to be handed out. */
import type { Queries, Tx } from "../../lib/database.ts";
import { forgetKeys } from "../../lib/idempotency.ts";
import type { Recipient } from "./recipients.store.ts";

/** How far somebody is forgotten. */
export interface Erasure {
	/** Whom the receipt is for; null once it is written: nothing is sent to them any more. */
	readonly to: Recipient | null;
}

/** Keeps that somebody is to be forgotten, and where the receipt goes. */
export async function insertErasure(
	tx: Tx,
	deletionId: string,
	{ userId, email, username, name }: Recipient
): Promise<void> {
	await tx.query(
		`INSERT INTO erasure (user_id, deletion_id, email, username, name) VALUES ($1, $2, $3, $4, $5)
		 ON CONFLICT DO NOTHING`,
		[userId, deletionId, email, username, name]
	);
}

/** Undefined for who is not to be forgotten. */
export async function findErasure(db: Queries, userId: string): Promise<Erasure | undefined> {
	const row = await db.one<Omit<Recipient, "email"> & { email: string | null }>(
		`SELECT user_id AS "userId", email, username, name FROM erasure WHERE user_id = $1`,
		[userId]
	);
	if (!row) return undefined;
	const { email } = row;
	return { to: email === null ? null : { ...row, email } };
}

/** From now on nobody here knows who it was. */
export async function forgetAddress(tx: Tx, userId: string): Promise<void> {
	await tx.query(
		"UPDATE erasure SET email = NULL, username = NULL, name = NULL WHERE user_id = $1",
		[userId]
	);
}

/** Deletes all messages to a user that were sent or given up; answers how many. */
export async function deleteMessages(tx: Tx, userId: string): Promise<number> {
	const gone = await tx.query<{ id: string }>(
		"DELETE FROM message WHERE user_id = $1 AND status <> 'queued' RETURNING id",
		[userId]
	);
	// What a mail server has said of an address stands in the job.
	await tx.query("DELETE FROM job WHERE kind = 'mail' AND key = ANY ($1::text[])", [
		gone.map(message => message.id)
	]);
	return gone.length;
}

/** Deletes what is not needed for what is still to be sent; answers how many messages that were. */
export async function eraseUser(tx: Tx, userId: string): Promise<number> {
	await forgetKeys(tx, userId);
	return deleteMessages(tx, userId);
}

interface MessageRow {
	readonly id: string;
	readonly kind: string;
	readonly channel: string;
	readonly recipient: string;
	readonly subject: string;
	readonly text: string;
	readonly status: string;
	readonly createdAt: Date;
	readonly sentAt: Date | null;
}

/** A user's messages, the newest first, from the one after this id. */
export const listMessages = (
	db: Queries,
	userId: string,
	after: string | null,
	limit: number
): Promise<MessageRow[]> =>
	db.query(
		`SELECT id, kind, channel, recipient, subject, body_text AS "text", status,
		   created_at AS "createdAt", sent_at AS "sentAt"
		 FROM message WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
		[userId, after, limit]
	);

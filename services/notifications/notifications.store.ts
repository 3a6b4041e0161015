import type { Queries, Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import type { Content, Notice } from "./message.ts";

export interface Message extends Content {
	readonly id: string;
	readonly kind: Notice["kind"];
	/** What it is about: at most one message of a kind on a channel for each. */
	readonly refId: string;
	readonly channel: "email";
	readonly userId: string;
	/** The address at the time it was written. */
	readonly recipient: string;
	/** Of the link that it bears, if it bears one. */
	readonly tokenId: string | null;
	readonly createdAt: Date;
}

const COLUMNS = `id, kind, ref_id AS "refId", channel, user_id AS "userId", recipient, token_id AS "tokenId",
	subject, body_text AS "text", body_html AS "html", created_at AS "createdAt"`;

/** Queues a message and returns its id; undefined where this one was written before. */
export async function insertMessage(
	tx: Tx,
	message: Omit<Message, "id" | "createdAt">
): Promise<string | undefined> {
	const { kind, refId, channel, userId, recipient, tokenId, subject, text, html } = message;
	const row = await tx.one<{ id: string }>(
		`INSERT INTO message (id, kind, ref_id, channel, user_id, recipient, token_id, subject, body_text,
		   body_html)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		 ON CONFLICT (kind, ref_id, channel) DO NOTHING RETURNING id`,
		[uuidv7(), kind, refId, channel, userId, recipient, tokenId, subject, text, html]
	);
	return row?.id;
}

export const findMessage = (db: Queries, id: string): Promise<Message | undefined> =>
	db.one<Message>(`SELECT ${COLUMNS} FROM message WHERE id = $1`, [id]);

/** What became of a message. */
export type Outcome =
	{ readonly status: "sent" } | { readonly status: "failed"; readonly error: string };

/** Writes down what became of a message, and returns it. */
export async function settleMessage(tx: Tx, id: string, outcome: Outcome): Promise<Message> {
	const row = await tx.one<Message>(
		`UPDATE message SET status = $2, error = $3,
		   sent_at = CASE WHEN $2 = 'sent' THEN clock_timestamp() END
		 WHERE id = $1 RETURNING ${COLUMNS}`,
		[id, outcome.status, outcome.status === "failed" ? outcome.error : null]
	);
	return row!;
}

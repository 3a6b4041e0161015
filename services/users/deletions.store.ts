/** Deletions in SQL. A user has at most one, which outlives the user. */
import type { Deletion } from "../../contracts/deletions.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import type { Answers } from "./deletion.ts";

export interface StoredDeletion extends Pick<Deletion, "id" | "status"> {
	readonly userId: string;
	readonly answers: Answers;
	readonly requestedAt: Date;
}

const COLUMNS = `id, user_id AS "userId", status, answers, requested_at AS "requestedAt"`;

export const insertDeletion = async (tx: Tx, userId: string): Promise<StoredDeletion> =>
	(await tx.one<StoredDeletion>(
		`INSERT INTO deletion (id, user_id) VALUES ($1, $2) RETURNING ${COLUMNS}`,
		[uuidv7(), userId]
	))!;

/** The deletion that the user has asked for. */
export const findDeletionOf = (db: Queries, userId: string): Promise<StoredDeletion | undefined> =>
	db.one(`SELECT ${COLUMNS} FROM deletion WHERE user_id = $1`, [userId]);

export const findDeletion = (db: Queries, id: string): Promise<StoredDeletion | undefined> =>
	db.one(`SELECT ${COLUMNS} FROM deletion WHERE id = $1`, [id]);

/** The same, locked until the transaction ends: of answers that come at once, each sees those before it. */
export const findDeletionForUpdate = (tx: Tx, id: string): Promise<StoredDeletion | undefined> =>
	tx.one(`SELECT ${COLUMNS} FROM deletion WHERE id = $1 FOR UPDATE`, [id]);

export async function storeAnswers(
	tx: Tx,
	id: string,
	answers: Answers,
	status: Deletion["status"] = "requested"
): Promise<void> {
	await tx.query(
		`UPDATE deletion SET answers = $2::jsonb, status = $3,
		   finished_at = CASE WHEN $3 = 'finished' THEN clock_timestamp() END WHERE id = $1`,
		[id, JSON.stringify(answers), status]
	);
}

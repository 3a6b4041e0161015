/** Tokens of mailed links in SQL: each user has at most one of a purpose, which works once and not for long. */
import type { User } from "../../contracts/users.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { LINK_MINUTES, tokenOf, type Purpose } from "./one-time-token.ts";
import { hashOf } from "./session.ts";
import { normalizeLogin } from "./user.ts";
import { findUserForUpdate } from "./users.store.ts";

/**
 * Issues a token, in place of an earlier one, bound to the address of the user, who is locked; answers its
 * id.
 */
export async function issueToken(
	tx: Tx,
	{ id: userId, email }: Pick<User, "id" | "email">,
	purpose: Purpose,
	keys: SigningKeys
): Promise<string> {
	const id = uuidv7();
	await tx.query(
		`INSERT INTO one_time_token (id, hash, user_id, purpose, email_normalized, expires_at)
		 VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(mins => $6))
		 ON CONFLICT (user_id, purpose) DO UPDATE SET id = excluded.id, hash = excluded.hash,
		   email_normalized = excluded.email_normalized, expires_at = excluded.expires_at`,
		[
			id,
			hashOf(tokenOf(id, purpose, keys)),
			userId,
			purpose,
			normalizeLogin(email),
			LINK_MINUTES[purpose]
		]
	);
	return id;
}

/** A token that still works. */
export interface LiveToken {
	readonly hash: Buffer;
	readonly purpose: Purpose;
}

export const findLiveToken = (db: Queries, id: string): Promise<LiveToken | undefined> =>
	db.one(
		"SELECT hash, purpose FROM one_time_token WHERE id = $1 AND expires_at > clock_timestamp()",
		[id]
	);

const WORKS = `t.hash = $1 AND t.purpose = $2 AND t.expires_at > clock_timestamp()
	AND u.id = t.user_id AND u.status = 'active' AND u.email_normalized = t.email_normalized`;

/** Whether a token would work now. */
export const isGood = async (db: Queries, token: string, purpose: Purpose): Promise<boolean> =>
	(await db.one(`SELECT 1 FROM one_time_token t, users u WHERE ${WORKS}`, [
		hashOf(token),
		purpose
	])) !== undefined;

/**
 * Uses a token, and answers whose it was, who is locked from here on; undefined where it does not work. Of
 * many at once, one succeeds.
 */
export async function useToken(
	tx: Tx,
	token: string,
	purpose: Purpose
): Promise<string | undefined> {
	const found = await tx.one<{ userId: string }>(
		`SELECT user_id AS "userId" FROM one_time_token WHERE hash = $1`,
		[hashOf(token)]
	);
	if (!found || !(await findUserForUpdate(tx, found.userId))) return undefined;
	const row = await tx.one<{ userId: string }>(
		`DELETE FROM one_time_token t USING users u WHERE ${WORKS} RETURNING t.user_id AS "userId"`,
		[hashOf(token), purpose]
	);
	return row?.userId;
}

/** No link of a purpose, or none at all, that was mailed to the user works any more. */
export async function dropTokens(tx: Tx, userId: string, purpose?: Purpose): Promise<void> {
	await tx.query(
		"DELETE FROM one_time_token WHERE user_id = $1 AND purpose = coalesce($2, purpose)",
		[userId, purpose ?? null]
	);
}

/** Second factors in SQL. Whoever locks several of these rows takes them in this order: users, totp, recovery_code. */
import type { TwoFactor } from "../../contracts/two-factor.ts";
import type { Queries, Tx } from "../../lib/database.ts";

/** How long an authenticator that was shown may be confirmed, so that the password before it still means something. */
export const ENROLMENT_MINUTES = 10;

export async function findTwoFactor(db: Queries, userId: string): Promise<TwoFactor> {
	const row = await db.one<{ since: Date | null; left: number }>(
		`SELECT (SELECT enabled_at FROM totp WHERE user_id = $1) AS since,
		   (SELECT count(*)::int FROM recovery_code WHERE user_id = $1) AS left`,
		[userId]
	);
	const since = row!.since?.toISOString() ?? null;
	return { enabled: since !== null, since, recoveryCodesLeft: row!.left };
}

/** Keeps a sealed secret that waits to be confirmed, in place of an earlier one. */
export async function beginEnrolment(tx: Tx, userId: string, sealed: Buffer): Promise<void> {
	await tx.query(
		`INSERT INTO totp (user_id, pending, pending_since) VALUES ($1, $2, clock_timestamp())
		 ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending, pending_since = excluded.pending_since`,
		[userId, sealed]
	);
}

/** The sealed secret that waits to be confirmed, if one does (still). */
export async function findPending(db: Queries, userId: string): Promise<Buffer | undefined> {
	const row = await db.one<{ pending: Buffer }>(
		`SELECT pending FROM totp WHERE user_id = $1
		   AND pending_since > clock_timestamp() - make_interval(mins => $2)`,
		[userId, ENROLMENT_MINUTES]
	);
	return row?.pending;
}

/** Puts the pending secret in force, its code of this step being used; false where it is not pending any more. */
export async function confirmEnrolment(
	tx: Tx,
	userId: string,
	pending: Buffer,
	step: number
): Promise<boolean> {
	const row = await tx.one(
		`UPDATE totp SET secret = pending, enabled_at = clock_timestamp(), last_step = $3, failures = 0,
		   pending = NULL, pending_since = NULL
		 WHERE user_id = $1 AND pending = $2 RETURNING user_id`,
		[userId, pending, step]
	);
	return row !== undefined;
}

/** An authenticator in force. */
export interface Totp {
	/** Sealed. */
	readonly secret: Buffer;
	/** Wrong codes since the last right one. */
	readonly failures: number;
	/** How long ago the last of them came. */
	readonly secondsSince: number | null;
}

/** The authenticator in force, locked until the transaction ends; undefined where there is none. */
export const lockTotp = (tx: Tx, userId: string): Promise<Totp | undefined> =>
	tx.one(
		`SELECT secret, failures, extract(epoch FROM clock_timestamp() - failed_at)::float AS "secondsSince"
		 FROM totp WHERE user_id = $1 AND secret IS NOT NULL FOR UPDATE`,
		[userId]
	);

/** Uses up a step and those before it; false where it is used up already. */
export async function useStep(tx: Tx, userId: string, step: number): Promise<boolean> {
	const row = await tx.one(
		`UPDATE totp SET last_step = $2, failures = 0 WHERE user_id = $1 AND last_step < $2
		 RETURNING user_id`,
		[userId, step]
	);
	return row !== undefined;
}

export async function countFailure(tx: Tx, userId: string): Promise<void> {
	await tx.query(
		"UPDATE totp SET failures = failures + 1, failed_at = clock_timestamp() WHERE user_id = $1",
		[userId]
	);
}

/** Uses up a recovery code. Of many at once, one succeeds. */
export async function useRecoveryCode(tx: Tx, userId: string, hash: Buffer): Promise<boolean> {
	const row = await tx.one(
		"DELETE FROM recovery_code WHERE user_id = $1 AND hash = $2 RETURNING user_id",
		[userId, hash]
	);
	return row !== undefined;
}

export async function replaceRecoveryCodes(
	tx: Tx,
	userId: string,
	hashes: readonly Buffer[]
): Promise<void> {
	await tx.query("DELETE FROM recovery_code WHERE user_id = $1", [userId]);
	await tx.query("INSERT INTO recovery_code (user_id, hash) SELECT $1, unnest($2::bytea[])", [
		userId,
		hashes
	]);
}

/** Takes the second factor away, with its recovery codes; false where there is none. */
export async function removeTwoFactor(tx: Tx, userId: string): Promise<boolean> {
	const row = await tx.one(
		"DELETE FROM totp WHERE user_id = $1 AND secret IS NOT NULL RETURNING user_id",
		[userId]
	);
	await tx.query("DELETE FROM recovery_code WHERE user_id = $1", [userId]);
	return row !== undefined;
}

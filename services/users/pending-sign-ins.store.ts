/** Sign-ins at a provider that are under way, in SQL. Of secrets that a client brings back only the hash is kept. */
import type { Queries, Tx } from "../../lib/database.ts";

const PENDING_MINUTES = 10;
const CODE_SECONDS = 60;

/** Whoever begins sweeps away some of what nobody has finished, so that it does not become more. */
const sweep = (table: string, key: string): string =>
	`DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table}
	   WHERE expires_at < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED)`;

/** The account that somebody who is signed in wants to link, and the session that wants it. */
export interface LinkTo {
	readonly userId: string;
	readonly sessionId: string;
}

/** What has to be known again when the browser comes back. */
export interface PendingSignIn {
	readonly nonce: string;
	/** Of PKCE, towards the provider. */
	readonly verifier: string;
	/** An absolute address; null where the answer is the tokens themselves. */
	readonly returnTo: string | null;
	/** Of PKCE, towards our own client. */
	readonly codeChallenge: string | null;
	readonly linkTo: LinkTo | null;
}

export async function addPending(
	db: Queries,
	stateHash: Buffer,
	browserHash: Buffer,
	{ nonce, verifier, returnTo, codeChallenge, linkTo }: PendingSignIn
): Promise<void> {
	await db.query(
		`WITH swept AS (${sweep("pending_sign_in", "state_hash")})
		 INSERT INTO pending_sign_in (state_hash, browser_hash, nonce, verifier, return_to, code_challenge,
		   link_user_id, link_session_id, expires_at)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(mins => $9))`,
		[
			stateHash,
			browserHash,
			nonce,
			verifier,
			returnTo,
			codeChallenge,
			linkTo?.userId ?? null,
			linkTo?.sessionId ?? null,
			PENDING_MINUTES
		]
	);
}

/** Of many who come back at once, one finds it; and none from another browser. */
export async function takePending(
	db: Queries,
	stateHash: Buffer,
	browserHash: Buffer
): Promise<PendingSignIn | undefined> {
	const row = await db.one<
		Omit<PendingSignIn, "linkTo"> & { [K in keyof LinkTo]: LinkTo[K] | null }
	>(
		`DELETE FROM pending_sign_in
		 WHERE state_hash = $1 AND browser_hash = $2 AND expires_at > clock_timestamp()
		 RETURNING nonce, verifier, return_to AS "returnTo", code_challenge AS "codeChallenge",
		   link_user_id AS "userId", link_session_id AS "sessionId"`,
		[stateHash, browserHash]
	);
	if (!row) return undefined;
	const { userId, sessionId, ...pending } = row;
	return { ...pending, linkTo: userId && sessionId ? { userId, sessionId } : null };
}

/** A code that is good for one sign-in. */
export interface SignInCode {
	readonly userId: string;
	readonly codeChallenge: string | null;
}

export async function addCode(
	tx: Tx,
	hash: Buffer,
	{ userId, codeChallenge }: SignInCode
): Promise<void> {
	await tx.query(
		`WITH swept AS (${sweep("sign_in_code", "hash")})
		 INSERT INTO sign_in_code (hash, user_id, code_challenge, expires_at)
		 VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))`,
		[hash, userId, codeChallenge, CODE_SECONDS]
	);
}

/** Uses a code up, whatever becomes of it: it cannot be tried with one verifier after the other. */
export const takeCode = (db: Queries, hash: Buffer): Promise<SignInCode | undefined> =>
	db.one(
		`DELETE FROM sign_in_code WHERE hash = $1 AND expires_at > clock_timestamp()
		 RETURNING user_id AS "userId", code_challenge AS "codeChallenge"`,
		[hash]
	);

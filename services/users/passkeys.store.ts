/** Passkeys in SQL, and the challenges that wait for an answer. Whoever locks a passkey and its user takes the user first. */
import { randomBytes } from "node:crypto";
import type { Passkey } from "../../contracts/passkeys.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import {
	CHALLENGE_SECONDS,
	type Assertion,
	type KnownCredential,
	type NewPasskey
} from "./passkey.ts";

/** Who is challenged: a session that adds a passkey, or nobody yet. */
export interface Challenged {
	readonly userId: string;
	readonly sessionId: string;
}

/** A new challenge of 256 bits, base64url. */
export async function issueChallenge(tx: Tx, challenged?: Challenged): Promise<string> {
	const challenge = randomBytes(32).toString("base64url");
	await tx.query(
		`DELETE FROM passkey_challenge WHERE challenge IN (
		   SELECT challenge FROM passkey_challenge WHERE expires_at < clock_timestamp()
		   ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)`
	);
	await tx.query(
		`INSERT INTO passkey_challenge (challenge, user_id, session_id, expires_at)
		 VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))`,
		[challenge, challenged?.userId ?? null, challenged?.sessionId ?? null, CHALLENGE_SECONDS]
	);
	return challenge;
}

/** Uses up a challenge; false where it is not one, was used, or took too long. Of many at once, one succeeds. */
export async function useChallenge(
	db: Queries,
	challenge: string,
	challenged?: Challenged
): Promise<boolean> {
	const row = await db.one(
		`DELETE FROM passkey_challenge WHERE challenge = $1 AND user_id IS NOT DISTINCT FROM $2
		   AND session_id IS NOT DISTINCT FROM $3 AND expires_at > clock_timestamp() RETURNING challenge`,
		[challenge, challenged?.userId ?? null, challenged?.sessionId ?? null]
	);
	return row !== undefined;
}

type PasskeyRow = Omit<Passkey, "createdAt" | "lastUsedAt"> & {
	readonly createdAt: Date;
	readonly lastUsedAt: Date | null;
};

const COLUMNS = `id, name, backed_up AS "backedUp", created_at AS "createdAt", last_used_at AS "lastUsedAt"`;

const toPasskey = (row: PasskeyRow): Passkey => ({
	...row,
	createdAt: row.createdAt.toISOString(),
	lastUsedAt: row.lastUsedAt?.toISOString() ?? null
});

/** A user's passkeys, the oldest first. */
export async function listPasskeys(db: Queries, userId: string): Promise<Passkey[]> {
	const rows = await db.query<PasskeyRow>(
		`SELECT ${COLUMNS} FROM passkey WHERE user_id = $1 ORDER BY id`,
		[userId]
	);
	return rows.map(toPasskey);
}

/** The same, as browsers know them. */
export const listCredentials = (db: Queries, userId: string): Promise<KnownCredential[]> =>
	db.query(
		`SELECT credential_id AS "credentialId", transports FROM passkey WHERE user_id = $1 ORDER BY id`,
		[userId]
	);

/** Stores a passkey; undefined where it is there already, whosever it is. */
export async function addPasskey(
	tx: Tx,
	userId: string,
	name: string,
	{ credentialId, publicKey, counter, transports, backedUp }: NewPasskey
): Promise<Passkey | undefined> {
	const row = await tx.one<PasskeyRow>(
		`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
		 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		 ON CONFLICT (credential_id) DO NOTHING RETURNING ${COLUMNS}`,
		[uuidv7(), userId, name, credentialId, publicKey, counter, transports, backedUp]
	);
	return row && toPasskey(row);
}

export async function renamePasskey(
	tx: Tx,
	userId: string,
	id: string,
	name: string
): Promise<Passkey | undefined> {
	const row = await tx.one<PasskeyRow>(
		`UPDATE passkey SET name = $3 WHERE user_id = $1 AND id = $2 RETURNING ${COLUMNS}`,
		[userId, id, name]
	);
	return row && toPasskey(row);
}

/** Removes a passkey and answers its name; undefined where the user has none like that. */
export async function removePasskey(
	tx: Tx,
	userId: string,
	id: string
): Promise<string | undefined> {
	const row = await tx.one<{ name: string }>(
		"DELETE FROM passkey WHERE user_id = $1 AND id = $2 RETURNING name",
		[userId, id]
	);
	return row?.name;
}

/** A passkey as it is needed to sign in. */
export interface KeptPasskey {
	readonly id: string;
	readonly userId: string;
	readonly credentialId: string;
	readonly publicKey: Buffer;
}

export const findByCredential = (
	db: Queries,
	credentialId: string
): Promise<KeptPasskey | undefined> =>
	db.one(
		`SELECT id, user_id AS "userId", credential_id AS "credentialId", public_key AS "publicKey"
		 FROM passkey WHERE credential_id = $1`,
		[credentialId]
	);

/**
 * Counts a use of a passkey. False where the authenticator's counter has not gone on, so that there are
 * two of it, or where it is gone; one that never counts says 0 each time.
 */
export async function countUse(
	tx: Tx,
	id: string,
	{ counter, backedUp }: Assertion
): Promise<boolean> {
	const row = await tx.one(
		`UPDATE passkey SET counter = $2, backed_up = $3, last_used_at = clock_timestamp()
		 WHERE id = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0)) RETURNING id`,
		[id, counter, backedUp]
	);
	return row !== undefined;
}

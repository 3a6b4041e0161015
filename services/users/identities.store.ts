/** Who a user is elsewhere, in SQL: at most one identity of an issuer, each of one user. */
import type { Queries, Tx } from "../../lib/database.ts";

/** A person at a provider: what is unique for ever is the issuer with the subject. */
export interface FederatedIdentity {
	readonly issuer: string;
	readonly subject: string;
	/** As it is told beside; null where it is not. */
	readonly email: string | null;
}

type Key = Pick<FederatedIdentity, "issuer" | "subject">;

/** Whose identity it is. */
export async function findHolder(
	db: Queries,
	{ issuer, subject }: Key
): Promise<string | undefined> {
	const row = await db.one<{ userId: string }>(
		`SELECT user_id AS "userId" FROM federated_identity WHERE issuer = $1 AND subject = $2`,
		[issuer, subject]
	);
	return row?.userId;
}

/** Until the transaction ends, nobody else decides whose identity it is. */
export const lockIdentity = (tx: Tx, { issuer, subject }: Key): Promise<unknown> =>
	tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2, 0))", [
		issuer,
		subject
	]);

/** Gives a user the identity; false where it is somebody's already, or the user has another one of the issuer. */
export const addIdentity = async (
	tx: Tx,
	userId: string,
	{ issuer, subject, email }: FederatedIdentity
): Promise<boolean> =>
	(await tx.one(
		`INSERT INTO federated_identity (issuer, subject, user_id, email) VALUES ($1, $2, $3, $4)
		 ON CONFLICT DO NOTHING RETURNING 1`,
		[issuer, subject, userId, email]
	)) !== undefined;

/** Takes a user's identity of the issuer away; false where there is none. */
export const removeIdentity = async (tx: Tx, userId: string, issuer: string): Promise<boolean> =>
	(await tx.one("DELETE FROM federated_identity WHERE user_id = $1 AND issuer = $2 RETURNING 1", [
		userId,
		issuer
	])) !== undefined;

/** Who a user is at each provider, and since when we know. */
export const listIdentities = (
	db: Queries,
	userId: string
): Promise<(FederatedIdentity & { readonly linkedAt: Date })[]> =>
	db.query(
		`SELECT issuer, subject, email, linked_at AS "linkedAt" FROM federated_identity
		 WHERE user_id = $1 ORDER BY issuer`,
		[userId]
	);

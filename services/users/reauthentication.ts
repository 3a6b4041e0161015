/** Has somebody who is signed in prove it once more, before what a stolen session must not do. */
import { passwords } from "../../contracts/passwords.ts";
import type { Database } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type Meta } from "../../lib/identity.ts";
import type { Proof } from "./proof.mixin.ts";
import { logSecurity } from "./security-log.ts";
import { isYoungSession } from "./sessions.store.ts";
import { findPasswordHash } from "./users.store.ts";

/** How old a session may be that stands for a password which the account does not have. */
const FRESH_MINUTES = 10;

/**
 * Has the caller prove it by the password or, where the account has none, by a session that began just
 * now. Throws REAUTHENTICATION_REQUIRED, WRONG_PASSWORD or BUSY.
 */
export async function reauthenticate(
	service: Pick<Proof, "passwords"> & { readonly db: Database },
	password: string | undefined,
	meta: Meta
): Promise<void> {
	const { id, sessionId } = requireUser(meta);
	if (password !== undefined) return void (await confirmPassword(service, password, meta));
	const { db } = service;
	const isPasswordless = (await findPasswordHash(db, id)) === null;
	if (isPasswordless && (await isYoungSession(db, id, sessionId, FRESH_MINUTES))) return;
	throw failure(passwords, "REAUTHENTICATION_REQUIRED");
}

/**
 * Has the caller's session be one that began just now, for what takes no password along. Throws
 * REAUTHENTICATION_REQUIRED.
 */
export async function requireYoungSession(db: Database, meta: Meta): Promise<void> {
	const { id, sessionId } = requireUser(meta);
	if (!(await isYoungSession(db, id, sessionId, FRESH_MINUTES)))
		throw failure(passwords, "REAUTHENTICATION_REQUIRED");
}

/**
 * The hash of the caller's current password, which this is. Throws WRONG_PASSWORD, also where there is
 * none (and writes it down), or BUSY.
 */
export async function confirmPassword(
	{ db, passwords: hashes }: Pick<Proof, "passwords"> & { readonly db: Database },
	password: string,
	meta: Meta
): Promise<string> {
	const { id: userId, sessionId } = requireUser(meta);
	const hash = await findPasswordHash(db, userId);
	if (hash && (await hashes.verify(hash, password))) return hash;
	await db.transaction(tx =>
		logSecurity(tx, { type: "password-check-failed", userId, client: meta.client, sessionId })
	);
	throw failure(passwords, "WRONG_PASSWORD");
}

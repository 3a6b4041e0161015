/** Has somebody who is signed in prove it once more, before what a stolen session must not do. */
import { passwords } from "../../contracts/passwords.ts";
import type { Database } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type Meta } from "../../lib/identity.ts";
import type { Proof } from "./proof.mixin.ts";
import { logSecurity } from "./security-log.ts";
import { findPasswordHash } from "./users.store.ts";

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

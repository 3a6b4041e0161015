import type { User } from "../../contracts/users.ts";
import type { Tx } from "../../lib/database.ts";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { issueToken } from "./one-time-tokens.store.ts";
import { recordFact } from "./users.store.ts";

/** Has the mail sent that shows whether the address is the user's; an earlier link does not work any more. */
export async function requestVerification(tx: Tx, user: User, keys: SigningKeys): Promise<void> {
	const { id: userId, email, username, name } = user;
	const tokenId = await issueToken(tx, user, "verify-email", keys);
	const told = { userId, tokenId, email, username, name };
	await recordFact(tx, userId, "user.email-verification-requested.v1", told);
}

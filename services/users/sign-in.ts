/** What follows once somebody has proven who they are, however they did. */
import { auth, type Tokens } from "../../contracts/auth.ts";
import type { User } from "../../contracts/users.ts";
import { ACCESS_TOKEN_SECONDS, signAccessToken } from "../../lib/access-token.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { logSecurity } from "./security-log.ts";
import { hashOf, newRefreshToken } from "./session.ts";
import { openSession } from "./sessions.store.ts";
import { countFact } from "./users.store.ts";

export const UNKNOWN_CLIENT: ClientInfo = { address: "unknown", device: "unknown" };

/** How somebody has proven who they are. */
export type SignInMethod = "password" | "google" | "passkey";

/** A session, with the refresh token that is good from now on. */
export interface Opened {
	readonly sessionId: string;
	readonly refreshToken: string;
}

/**
 * Opens a session for a user who has proven to be one, and tells of it. Throws INVALID_CREDENTIALS
 * where the user may not sign in (any more).
 */
export async function openSignedIn(
	tx: Tx,
	{ id: userId }: User,
	method: SignInMethod,
	client: ClientInfo = UNKNOWN_CLIENT
): Promise<Opened> {
	const version = await countFact(tx, userId, "active");
	if (version === undefined) throw failure(auth, "INVALID_CREDENTIALS");
	const refreshToken = newRefreshToken();
	const sessionId = await openSession(tx, userId, client, hashOf(refreshToken));
	tx.record("user.authenticated.v1", { id: userId, version }, { userId, sessionId, method });
	await logSecurity(tx, { type: "signed-in", userId, client, sessionId, note: method });
	return { sessionId, refreshToken };
}

/** The answer to whoever has signed in, or refreshed. */
export async function tokensOf(
	user: User,
	{ sessionId, refreshToken }: Opened,
	keys: SigningKeys
): Promise<Tokens> {
	const identity = { id: user.id, roles: user.roles, sessionId };
	const accessToken = await signAccessToken(identity, keys, new Date());
	return { accessToken, refreshToken, tokenType: "Bearer", expiresIn: ACCESS_TOKEN_SECONDS, user };
}

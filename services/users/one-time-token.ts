/**
 * The secrets of links in mails. Only the hash of one is kept. It is made anew for the mail, as the
 * HMAC of its id under a secret of AUTH_KEYS, so that neither an event nor a queue ever holds it.
 */
import { createHmac } from "node:crypto";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { hashOf } from "./session.ts";

export type Purpose = "verify-email" | "reset-password";

/** How long a link works. */
export const LINK_MINUTES: Record<Purpose, number> = { "verify-email": 30, "reset-password": 30 };

const SECRET = "valence mailed link v1";

const derive = (id: string, purpose: Purpose, secret: Buffer): string =>
	createHmac("sha256", secret).update(`${purpose} ${id}`).digest("base64url");

/** The token with this id. */
export const tokenOf = (id: string, purpose: Purpose, keys: SigningKeys): string =>
	derive(id, purpose, keys.secrets(SECRET)[0]!);

/** The token that was issued under this id, whichever key was in front then; undefined where that is gone. */
export const tokenOfHash = (
	id: string,
	purpose: Purpose,
	hash: Buffer,
	keys: SigningKeys
): string | undefined =>
	keys
		.secrets(SECRET)
		.map(secret => derive(id, purpose, secret))
		.find(token => hashOf(token).equals(hash));

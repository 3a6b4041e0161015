/**
 * Sessions and their refresh tokens. A session is a family of tokens, each the successor of the one
 * before, of which only the newest is good.
 *
 * A client that lost the answer repeats its request, perhaps at another node. It must get the same
 * successor, though only the hash of that is kept. So a successor is not drawn at random: it is the
 * HMAC of its predecessor under a secret that all nodes derive from AUTH_KEYS. Whoever holds the
 * predecessor and asks in time gets it again from any node, and neither a copy of the database nor
 * a token stolen later yields it.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { LAST_TOKEN_SECONDS } from "../../lib/access-token.ts";

const DAY = 86_400;
/** After how long without use a session ends. */
export const IDLE_SECONDS = 14 * DAY;
/** After how long a session ends, however much it is used. */
export const ABSOLUTE_SECONDS = 90 * DAY;
/** How long the repetition of a refresh gets the same successor. */
export const REPEAT_SECONDS = 10;
/** How long a revocation matters. */
export const REVOCATION_SECONDS = LAST_TOKEN_SECONDS;

/** What refresh-token secrets are derived for; see SigningKeys.secrets. */
export const SUCCESSOR_SECRET = "valence refresh-token successor v1";

/** The first refresh token of a session: 256 bits, base64url. */
export const newRefreshToken = (): string => randomBytes(32).toString("base64url");

/** The token that follows `token`. */
export const successorOf = (token: string, secret: Buffer): string =>
	createHmac("sha256", secret).update(token).digest("base64url");

/** What is kept of a token. It has 256 bits of entropy, so a plain hash cannot be searched. */
export const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** A refresh token that could not be rotated, as it was found. */
export interface Presented {
	/** Null: never used, so it is too old, or its session or user is not what it was. */
	readonly usedSecondsAgo: number | null;
	/** The session has neither ended nor been revoked. */
	readonly alive: boolean;
	readonly userStatus: "active" | "disabled";
}

/**
 * What to make of it: `repeated` gets the same successor once more; `stolen` means that two hold
 * the family's tokens, of whom nobody knows which is the thief; everything else is `refused`.
 */
export function judge({
	usedSecondsAgo,
	alive,
	userStatus
}: Presented): "repeated" | "stolen" | "refused" {
	if (!alive || usedSecondsAgo === null) return "refused";
	if (usedSecondsAgo > REPEAT_SECONDS) return "stolen";
	return userStatus === "active" ? "repeated" : "refused";
}

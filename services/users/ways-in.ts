/** In how many ways a user can sign in: the last one stays. */
import type { Config } from "../../lib/config.ts";
import type { Queries } from "../../lib/database.ts";
import { issuerOf } from "./google.ts";

/** Each way, as a condition on the row `u` of a user. One more way in is one more line. */
const WAYS_IN = [
	"u.password_hash IS NOT NULL",
	"EXISTS (SELECT 1 FROM passkey p WHERE p.user_id = u.id)",
	"EXISTS (SELECT 1 FROM federated_identity i WHERE i.user_id = u.id AND i.issuer = $2)"
];

/** The provider through which users can sign in now; an identity of another one helps nobody. */
const providerOf = ({
	GOOGLE_CLIENT_ID,
	OIDC_ISSUER
}: Pick<Config, "GOOGLE_CLIENT_ID" | "OIDC_ISSUER">): string | null =>
	GOOGLE_CLIENT_ID === undefined ? null : issuerOf(OIDC_ISSUER);

/**
 * Whether a user can sign in. To be asked in the transaction that takes a way away, after that, and after
 * it has locked the user's row (`countFact` does), so that two do not take the last two at once.
 */
export const hasWayIn = async (
	db: Queries,
	userId: string,
	config: Pick<Config, "GOOGLE_CLIENT_ID" | "OIDC_ISSUER">
): Promise<boolean> =>
	(await db.one(`SELECT 1 FROM users u WHERE u.id = $1 AND (${WAYS_IN.join(" OR ")})`, [
		userId,
		providerOf(config)
	])) !== undefined;

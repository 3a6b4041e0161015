/** In how many ways a user can sign in: the last one stays. */
import type { Queries } from "../../lib/database.ts";

/** Each way, as a condition on the row `u` of a user. One more way in is one more line. */
const WAYS_IN = [
	"u.password_hash IS NOT NULL",
	"EXISTS (SELECT 1 FROM passkey p WHERE p.user_id = u.id)"
];

/**
 * Whether a user can sign in. To be asked in the transaction that takes a way away, after that, and after
 * it has locked the user's row (`countFact` does), so that two do not take the last two at once.
 */
export const hasWayIn = async (db: Queries, userId: string): Promise<boolean> =>
	(await db.one(`SELECT 1 FROM users u WHERE u.id = $1 AND (${WAYS_IN.join(" OR ")})`, [
		userId
	])) !== undefined;

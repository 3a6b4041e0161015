/**
 * The details of the record of security events: who it was and from where. They go with the people,
 * or after their time, and whatever else is gone was wiped.
 */
import type { Queries, Tx } from "../../lib/database.ts";
import type { SecurityEntry } from "./security-log.ts";

/** How many days the details of an entry are kept. */
export const KEPT_DAYS = {
	/** Of nobody whom we know, so nobody can have them erased: log-ins of unknown names. */
	nobody: 90,
	/** Of an account, or of what an admin or operator has done. */
	somebody: 730
} as const;

const DAY_MS = 86_400_000;
const PURGE_BATCH = 5_000;

type Subject = Pick<SecurityEntry, "userId" | "byId" | "at">;

/** Whether the details of an entry have been kept long enough by now. */
export function isExpired({ userId, byId, at }: Subject, now: Date): boolean {
	const days = KEPT_DAYS[userId === null && byId === null ? "nobody" : "somebody"];
	return now.getTime() - at.getTime() >= days * DAY_MS;
}

/** What explains that details are erased. */
export interface Alibis {
	/** Whose deletion is finished, of those whom the entries name. */
	readonly gone: ReadonlySet<string>;
	readonly now: Date;
}

/** Whether the details of an entry may be erased: its user or actor is gone, or their time is over. */
export function mayBeErased(entry: Subject, { gone, now }: Alibis): boolean {
	const { userId, byId } = entry;
	return [userId, byId].some(id => id !== null && gone.has(id)) || isExpired(entry, now);
}

/**
 * What explains erasures in these entries, which were read before. By the clock of the database, as
 * the purge goes.
 */
export async function findAlibis(db: Queries, entries: readonly Subject[]): Promise<Alibis> {
	const people = new Set(entries.flatMap(({ userId, byId }) => [userId, byId]));
	people.delete(null);
	const row = await db.one<{ gone: string[]; now: Date }>(
		// A deletion beside a user who is there is one that somebody has made up.
		`SELECT clock_timestamp() AS now, ARRAY(
		   SELECT d.user_id::text FROM deletion d
		   WHERE d.user_id = ANY ($1::uuid[]) AND d.status = 'finished'
		     AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = d.user_id)) AS gone`,
		[[...people]]
	);
	return { gone: new Set(row!.gone), now: row!.now };
}

/**
 * Erases the details of all entries of a user, and of what the user has done to others as an admin;
 * answers how many there are. The chain holds.
 */
export async function eraseDetails(tx: Tx, userId: string): Promise<number> {
	const erased = await tx.query(
		`UPDATE security_event SET detail = NULL, salt = NULL WHERE user_id = $1 OR by_id = $1
		 RETURNING 1`,
		[userId]
	);
	return erased.length;
}

/** Erases details that have been kept long enough; answers of how many entries. The chain holds. */
export async function purgeDetails(db: Queries): Promise<number> {
	const over: readonly (readonly [condition: string, days: number])[] = [
		["user_id IS NULL AND by_id IS NULL", KEPT_DAYS.nobody],
		["true", KEPT_DAYS.somebody]
	];
	let erased = 0;
	for (const [condition, days] of over)
		for (;;) {
			// Those that an erasure or another node is at are theirs, or come with the next purge.
			const rows = await db.query(
				`UPDATE security_event SET detail = NULL, salt = NULL WHERE position IN (
				   SELECT position FROM security_event
				   WHERE ${condition} AND detail IS NOT NULL AND at <= now() - make_interval(secs => $1)
				   LIMIT ${PURGE_BATCH} FOR UPDATE SKIP LOCKED)
				 RETURNING 1`,
				[(days * DAY_MS) / 1_000]
			);
			erased += rows.length;
			if (rows.length < PURGE_BATCH) break;
		}
	return erased;
}

/** Sessions and refresh tokens in SQL, by the database's clock, so that all nodes agree on the time. */
import type { Session, SessionEnd } from "../../contracts/auth.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { ABSOLUTE_SECONDS, IDLE_SECONDS, REVOCATION_SECONDS, type Presented } from "./session.ts";

interface SessionRef {
	readonly sessionId: string;
	readonly userId: string;
}

/** Opens a session with its first refresh token, and returns its id. */
export async function openSession(
	tx: Tx,
	userId: string,
	{ address, device }: ClientInfo,
	tokenHash: Buffer
): Promise<string> {
	const id = uuidv7();
	await tx.query(
		`INSERT INTO session (id, user_id, device, address, expires_at)
		 VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))`,
		[id, userId, device, address, ABSOLUTE_SECONDS]
	);
	await tx.query(
		`INSERT INTO refresh_token (hash, session_id, expires_at)
		 VALUES ($1, $2, now() + make_interval(secs => $3))`,
		[tokenHash, id, IDLE_SECONDS]
	);
	return id;
}

/**
 * Uses a refresh token and stores its successor, in one statement: of any number at once, one gets
 * its session back and the others, having waited for the row, nothing.
 */
export const rotate = (
	db: Queries,
	hash: Buffer,
	successorHash: Buffer,
	{ address, device }: ClientInfo
): Promise<SessionRef | undefined> =>
	db.one<SessionRef>(
		`WITH used AS (
		   UPDATE refresh_token t SET used_at = clock_timestamp(), successor_hash = $2
		   FROM session s JOIN users u ON u.id = s.user_id
		   WHERE t.hash = $1 AND t.used_at IS NULL AND t.expires_at > now()
		     AND s.id = t.session_id AND u.status = 'active'
		   RETURNING t.session_id),
		 touched AS (
		   -- Waits for a revocation under way and then finds the session ended.
		   UPDATE session s SET last_used_at = clock_timestamp(), address = $4, device = $5 FROM used
		   WHERE s.id = used.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
		   RETURNING s.id, s.user_id, s.expires_at),
		 born AS (
		   INSERT INTO refresh_token (hash, session_id, expires_at)
		   SELECT $2, id, least(expires_at, now() + make_interval(secs => $3)) FROM touched
		   RETURNING session_id)
		 SELECT touched.id AS "sessionId", touched.user_id AS "userId"
		 FROM touched JOIN born ON born.session_id = touched.id`,
		[hash, successorHash, IDLE_SECONDS, address, device]
	);

/** A refresh token that could not be rotated, if it was ever one of ours. */
export const findPresented = (
	db: Queries,
	hash: Buffer
): Promise<(SessionRef & Presented & { readonly successorHash: Buffer | null }) | undefined> =>
	db.one(
		`SELECT s.id AS "sessionId", s.user_id AS "userId", u.status AS "userStatus",
		   t.successor_hash AS "successorHash",
		   extract(epoch FROM clock_timestamp() - t.used_at)::float AS "usedSecondsAgo",
		   s.revoked_at IS NULL AND s.expires_at > now() AS alive
		 FROM refresh_token t JOIN session s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
		 WHERE t.hash = $1`,
		[hash]
	);

/** Which sessions of a user: one, all, or all but one. */
export interface SessionChoice {
	readonly userId: string;
	readonly sessionId?: string;
	readonly except?: string;
}

/** The reasons that the first version of the fact knows. */
const reasonOf = (end: SessionEnd): "logout" | "logout-all" | "token-reuse" =>
	end === "logout" || end === "token-reuse" ? end : end === "ended" ? "logout" : "logout-all";

/**
 * Ends sessions of a user, and records session.revoked.v1 for each that had not ended yet; answers how
 * many those were.
 */
export async function revokeSessions(
	tx: Tx,
	{ userId, sessionId, except }: SessionChoice,
	end: SessionEnd
): Promise<number> {
	const revoked = await tx.query<{ id: string; version: number; until: Date }>(
		`UPDATE session SET revoked_at = clock_timestamp(), revoked_reason = $3, version = version + 1,
		   revoked_until = clock_timestamp() + make_interval(secs => $4)
		 WHERE id IN (
		   -- Locked in one order, so that two who end all sessions do not wait for each other for ever.
		   SELECT id FROM session WHERE user_id = $1 AND id = coalesce($2, id)
		     AND id IS DISTINCT FROM $5 AND revoked_at IS NULL
		   ORDER BY id FOR UPDATE)
		 RETURNING id, version, revoked_until AS until`,
		[userId, sessionId ?? null, end, REVOCATION_SECONDS, except ?? null]
	);
	for (const { id, version, until } of revoked)
		tx.record(
			"session.revoked.v1",
			{ id, version },
			{ sessionId: id, userId, reason: reasonOf(end), cause: end, until: until.toISOString() }
		);
	return revoked.length;
}

/** A user's sessions that have not ended, the one used last first, from the one after `after`. */
export async function listSessions(
	db: Queries,
	userId: string,
	after: readonly [lastUsedAt: string, id: string] | undefined,
	limit: number
): Promise<Omit<Session, "current">[]> {
	const rows = await db.query<{ createdAt: Date; lastUsedAt: Date } & Session>(
		`SELECT s.id, s.device, s.address, s.created_at AS "createdAt",
		   date_trunc('milliseconds', s.last_used_at) AS "lastUsedAt"
		 FROM session s
		 WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
		   AND EXISTS (SELECT 1 FROM refresh_token t
		     WHERE t.session_id = s.id AND t.used_at IS NULL AND t.expires_at > now())
		   AND ($2::timestamptz IS NULL OR (date_trunc('milliseconds', s.last_used_at), s.id) < ($2, $3::uuid))
		 ORDER BY date_trunc('milliseconds', s.last_used_at) DESC, s.id DESC LIMIT $4`,
		[userId, after?.[0] ?? null, after?.[1] ?? null, limit]
	);
	return rows.map(({ id, device, address, createdAt, lastUsedAt }) => ({
		id,
		device,
		address,
		createdAt: createdAt.toISOString(),
		lastUsedAt: lastUsedAt.toISOString()
	}));
}

/** All sessions of a user that are kept, the newest first, from the one after this id. */
export async function listAllSessions(
	db: Queries,
	userId: string,
	after: string | null,
	limit: number
): Promise<(Omit<Session, "current"> & { endedAt: string | null; endedBy: string | null })[]> {
	const rows = await db.query<{
		id: string;
		device: string;
		address: string;
		createdAt: Date;
		lastUsedAt: Date;
		endedAt: Date | null;
		endedBy: string | null;
	}>(
		`SELECT id, device, address, created_at AS "createdAt", last_used_at AS "lastUsedAt",
		   revoked_at AS "endedAt", revoked_reason AS "endedBy"
		 FROM session WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
		[userId, after, limit]
	);
	return rows.map(({ createdAt, lastUsedAt, endedAt, ...session }) => ({
		...session,
		createdAt: createdAt.toISOString(),
		lastUsedAt: lastUsedAt.toISOString(),
		endedAt: endedAt?.toISOString() ?? null
	}));
}

/** Whether a session of a user was opened within so many minutes, and has not ended. */
export const isYoungSession = async (
	db: Queries,
	userId: string,
	sessionId: string,
	minutes: number
): Promise<boolean> =>
	(await db.one(
		`SELECT 1 FROM session WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL
		   AND created_at > clock_timestamp() - make_interval(mins => $3)`,
		[userId, sessionId, minutes]
	)) !== undefined;

/** Revoked sessions of which an access token may still be alive; those of the last seconds, or all. */
export async function findRevocations(
	db: Queries,
	withinSeconds = REVOCATION_SECONDS
): Promise<{ sessionId: string; until: string }[]> {
	// By their end, which comes as long after each as after any other: that has an index.
	const rows = await db.query<{ id: string; until: Date }>(
		`SELECT id, revoked_until AS until FROM session
		 WHERE revoked_at IS NOT NULL AND revoked_until > now() + make_interval(secs => $1)
		 ORDER BY revoked_until`,
		[Math.max(0, REVOCATION_SECONDS - withinSeconds)]
	);
	return rows.map(({ id, until }) => ({ sessionId: id, until: until.toISOString() }));
}

/** Whether a session of a user has not ended. */
export const isAlive = async (db: Queries, { userId, sessionId }: SessionRef): Promise<boolean> =>
	(await db.one(
		`SELECT 1 FROM session WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now()`,
		[sessionId, userId]
	)) !== undefined;

const PURGE_BATCH = 5_000;
/** How long an ended session is kept: so long somebody may want to know why it has ended. */
const KEPT_DAYS = 30;

/** Deletes sessions and tokens that nobody can use any more; answers how many rows went. */
export async function purgeSessions(db: Queries): Promise<number> {
	// A token that comes after its own end is refused whether we know it or not.
	const spent: Record<string, string> = {
		refresh_token: "expires_at < now()",
		one_time_token: "expires_at < now()",
		pending_sign_in: "expires_at < now()",
		sign_in_code: "expires_at < now()",
		passkey_challenge: "expires_at < now()",
		session: `least(revoked_at, expires_at) < now() - interval '${KEPT_DAYS} days'
			OR (last_used_at < now() - make_interval(secs => ${IDLE_SECONDS}) - interval '${KEPT_DAYS} days')`
	};
	let gone = 0;
	for (const [table, condition] of Object.entries(spent))
		for (;;) {
			const rows = await db.query(
				`DELETE FROM ${table} WHERE ctid IN (
				   SELECT ctid FROM ${table} WHERE ${condition} LIMIT ${PURGE_BATCH}) RETURNING 1`
			);
			gone += rows.length;
			if (rows.length < PURGE_BATCH) break;
		}
	return gone;
}

/** Commands that take effect once, however often the client sends them (the IETF's Idempotency-Key). */
import { createHash } from "node:crypto";
import type { Queries, Tx } from "./database.ts";
import { commonFailure } from "./failure.ts";
import type { Migration } from "./migrations.ts";

export interface OnceOptions {
	/** Keys of different users and actions do not meet. */
	readonly userId: string;
	readonly action: string;
	readonly key: string;
	/** What was asked for; the same key with another request is refused. JSON. */
	readonly request: unknown;
}

export const createIdempotencyTable: Migration = async ({ query }) => {
	await query(`CREATE TABLE idempotency_key (
		user_id uuid NOT NULL,
		action text NOT NULL,
		key text NOT NULL,
		fingerprint text NOT NULL,
		-- Not jsonb, which would forget the order of the names: the same key gets the same bytes.
		answer json,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (user_id, action, key))`);
	await query("CREATE INDEX idempotency_key_age ON idempotency_key (created_at)");
};

export const dropIdempotencyTable: Migration = async ({ query }) => {
	await query("DROP TABLE idempotency_key");
};

/**
 * Does `work` unless the key was used within the last 24 hours; then answers what was answered
 * then. The key is stored in the command's own transaction: both happen or neither. Of two at the
 * same time one waits for the other. Throws IDEMPOTENCY_KEY_REUSED where the request is another one.
 */
export async function once<T>(
	tx: Tx,
	{ userId, action, key, request }: OnceOptions,
	work: () => Promise<T>
): Promise<T> {
	const fingerprint = fingerprintOf(request);
	const first = await tx.one(
		`INSERT INTO idempotency_key AS k (user_id, action, key, fingerprint) VALUES ($1, $2, $3, $4)
		 ON CONFLICT (user_id, action, key) DO UPDATE
		   SET fingerprint = excluded.fingerprint, answer = NULL, created_at = clock_timestamp()
		   WHERE k.created_at < clock_timestamp() - interval '24 hours'
		 RETURNING key`,
		[userId, action, key, fingerprint]
	);
	if (!first) return storedAnswer<T>(tx, userId, action, key, fingerprint);
	const answer = await work();
	await tx.query(
		"UPDATE idempotency_key SET answer = $4::json WHERE user_id = $1 AND action = $2 AND key = $3",
		[userId, action, key, JSON.stringify(answer)]
	);
	return answer;
}

async function storedAnswer<T>(
	tx: Queries,
	userId: string,
	action: string,
	key: string,
	fingerprint: string
): Promise<T> {
	const row = await tx.one<{ fingerprint: string; answer: T }>(
		"SELECT fingerprint, answer FROM idempotency_key WHERE user_id = $1 AND action = $2 AND key = $3",
		[userId, action, key]
	);
	if (row!.fingerprint !== fingerprint) throw commonFailure("IDEMPOTENCY_KEY_REUSED");
	return row!.answer;
}

const fingerprintOf = (request: unknown): string =>
	createHash("sha256").update(canonical(request)).digest("base64url");

/** JSON with sorted names, so that the order in which a client writes its fields does not matter. */
const canonical = (value: unknown): string =>
	JSON.stringify(value, (_, part: unknown) =>
		part !== null && typeof part === "object" && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part
	);

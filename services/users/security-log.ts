/**
 * The record of what concerns the security of accounts, each entry chained to the one before by its
 * hash: whoever changes, takes out or adds one afterwards has to change all that follow, and the head
 * that an operator has written down. Of who it was and from where, only a salted commitment is
 * chained, so that it can be erased with the account while the chain holds.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Static } from "typebox";
import type {
	audit,
	AuditEntry,
	SecurityEvent as ToldEvent,
	SecurityEventType
} from "../../contracts/audit.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { findAlibis, mayBeErased } from "./security-details.ts";

/** What has happened. */
export interface SecurityEvent {
	readonly type: SecurityEventType;
	/** Whose account; null where the log-in names none. */
	readonly userId: string | null;
	/** Who has done it, where that is somebody else: an admin. */
	readonly by?: string | undefined;
	readonly client?: ClientInfo | undefined;
	readonly sessionId?: string | undefined;
	/** How, as in `password`, or what was named. */
	readonly note?: string | undefined;
}

/** What may be erased. */
export interface SecurityDetail {
	readonly address?: string;
	readonly device?: string;
	readonly sessionId?: string;
	readonly note?: string;
}

/** An entry as it is kept. Hashes are hexadecimal. */
export interface SecurityEntry {
	readonly position: number;
	readonly id: string;
	readonly type: string;
	readonly userId: string | null;
	readonly byId: string | null;
	readonly at: Date;
	/** JSON as it was written; null where it was erased. */
	readonly detail: string | null;
	readonly salt: string | null;
	readonly commitment: string;
	readonly previous: string;
	readonly hash: string;
}

export const GENESIS = "0".repeat(64);

/** What of an entry is hashed, beside its place and the hash before it. */
const canonical = ({
	id,
	type,
	userId,
	byId,
	at,
	commitment
}: Pick<SecurityEntry, "id" | "type" | "userId" | "byId" | "at" | "commitment">): string =>
	JSON.stringify([id, type, userId, byId, at.toISOString(), commitment]);

/** The commitment to a detail, as hexadecimal. */
export const commitmentTo = (detail: string, salt: Buffer): string =>
	createHash("sha256").update(salt).update(detail).digest("hex");

/** The hash of an entry, as hexadecimal; the statement below computes the same. */
export const hashOfEntry = (entry: Omit<SecurityEntry, "detail" | "salt" | "hash">): string =>
	createHash("sha256")
		.update(`${entry.position}|${entry.previous}|${canonical(entry)}`)
		.digest("hex");

/**
 * Writes it down in the transaction in which it happens. To be called last: from here to the commit
 * nobody else can write to the record.
 */
export async function logSecurity(tx: Tx, event: SecurityEvent, at = new Date()): Promise<void> {
	const { type, userId, by, client, sessionId, note } = event;
	const detail = JSON.stringify({
		address: client?.address,
		device: client?.device || undefined,
		sessionId,
		note
	} satisfies { [K in keyof SecurityDetail]-?: SecurityDetail[K] | undefined });
	const salt = randomBytes(16);
	const commitment = commitmentTo(detail, salt);
	const entry = { id: uuidv7(), type, userId, byId: by ?? null, at, commitment };
	await tx.query(
		`WITH chain AS (
		   UPDATE security_chain SET previous = hash, position = position + 1,
		     hash = sha256(convert_to((position + 1) || '|' || encode(hash, 'hex') || '|' || $1, 'UTF8'))
		   RETURNING position, previous, hash)
		 INSERT INTO security_event
		   (position, previous, hash, id, type, user_id, by_id, at, detail, salt, commitment)
		 SELECT position, previous, hash, $2, $3, $4, $5, $6, $7::json, $8, $9 FROM chain`,
		[
			canonical(entry),
			entry.id,
			type,
			userId,
			entry.byId,
			at,
			detail,
			salt,
			Buffer.from(commitment, "hex")
		]
	);
}

const COLUMNS = `position::float8, id, type, user_id AS "userId", by_id AS "byId", at, detail::text,
	encode(salt, 'hex') AS salt, encode(commitment, 'hex') AS commitment,
	encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash`;

/** Entries in their order, from the one after this position. */
export const readEntries = (db: Queries, after: number, limit: number): Promise<SecurityEntry[]> =>
	db.query(`SELECT ${COLUMNS} FROM security_event WHERE position > $1 ORDER BY position LIMIT $2`, [
		after,
		limit
	]);

/** The entries of a user, or all, the newest first, from the one before this position. */
export const readEntriesOf = (
	db: Queries,
	userId: string | undefined,
	before: number | undefined,
	limit: number
): Promise<SecurityEntry[]> =>
	db.query(
		`SELECT ${COLUMNS} FROM security_event WHERE ${userId === undefined ? "$1::uuid IS NULL" : "user_id = $1"} AND position < coalesce($2, 9223372036854775807)
		 ORDER BY position DESC LIMIT $3`,
		[userId ?? null, before ?? null, limit]
	);

/** Where the record ends. */
export async function readHead(db: Queries): Promise<{ position: number; hash: string }> {
	const head = await db.one<{ position: number; hash: string }>(
		"SELECT position::float8, encode(hash, 'hex') AS hash FROM security_chain"
	);
	return head!;
}

/** What is wrong with an entry, seen after the one before it; undefined where nothing is. Pure. */
export function flawOf(
	entry: SecurityEntry,
	before: { readonly position: number; readonly hash: string }
): string | undefined {
	const { position, previous, detail, salt, commitment, hash } = entry;
	if (position <= before.position) return `entry ${position} stands where none can`;
	if (position !== before.position + 1)
		return `entries ${before.position + 1} to ${position - 1} are missing`;
	if (previous !== before.hash) return `entry ${position} does not follow the one before it`;
	if (hash !== hashOfEntry(entry)) return `entry ${position} was changed`;
	if (detail !== null && commitment !== commitmentTo(detail, Buffer.from(salt!, "hex")))
		return `the detail of entry ${position} was changed`;
	return undefined;
}

/** An entry as its user reads it. */
export function toSecurityEvent(entry: SecurityEntry): Static<typeof ToldEvent> {
	const { id, type, at, byId, userId } = entry;
	const detail = JSON.parse(entry.detail ?? "{}") as SecurityDetail;
	const bySelf = byId === null || byId === userId;
	return {
		id,
		type,
		at: at.toISOString(),
		by: bySelf ? "self" : "admin",
		// Where an admin sits is nobody's business but ours.
		address: (bySelf && detail.address) || null,
		device: (bySelf && detail.device) || null,
		sessionId: detail.sessionId ?? null,
		note: detail.note ?? null
	};
}

/** An entry as an operator reads it. */
export function toAuditEntry(entry: SecurityEntry): AuditEntry {
	const { position, at, type, userId, byId } = entry;
	const detail = JSON.parse(entry.detail ?? "{}") as SecurityDetail;
	return {
		position,
		at: at.toISOString(),
		type,
		userId,
		byId,
		address: detail.address ?? null,
		device: detail.device ?? null,
		sessionId: detail.sessionId ?? null,
		note: detail.note ?? null,
		erased: entry.detail === null
	};
}

const BATCH = 1_000;
const MAX_FLAWS = 100;

type Verdict = Static<(typeof audit)["actions"]["verify"]["result"]>;

/**
 * Goes through the whole record. `head` is one that was written down earlier: without it, whoever can
 * write to the database could have made the record anew from some entry on.
 */
export async function verifyChain(
	db: Queries,
	head?: { readonly position: number; readonly hash: string }
): Promise<Verdict> {
	const flaws: string[] = [];
	let [entries, erased] = [0, 0];
	let before = { position: 0, hash: GENESIS };
	let noted = head === undefined || head.position === 0 ? undefined : "is missing";
	// Read before the entries, which may become more meanwhile.
	const end = await readHead(db);
	for (;;) {
		// From below the first, where only a stranger's hand could have put one.
		const after = entries === 0 ? -Number.MAX_SAFE_INTEGER : before.position;
		const batch = await readEntries(db, after, BATCH);
		const wiped = batch.filter(entry => entry.detail === null);
		const alibis = await findAlibis(db, wiped);
		erased += wiped.length;
		for (const entry of batch) {
			const flaw = flawOf(entry, before);
			if (flaw) flaws.push(flaw);
			if (entry.detail === null && !mayBeErased(entry, alibis))
				flaws.push(`the detail of entry ${entry.position} was erased, and nothing explains it`);
			if (entry.position === head?.position)
				noted = entry.hash === head.hash ? undefined : "has another hash than you wrote down";
			if (entry.position === end.position && entry.hash !== end.hash)
				flaws.push("the head of the chain has another hash than the last entry");
			entries++;
			before = { position: entry.position, hash: entry.hash };
		}
		if (batch.length < BATCH) break;
	}
	if (before.position < end.position)
		flaws.push(`entries ${before.position + 1} to ${end.position} are missing`);
	// An entry and its head are committed together.
	const { position: last } = await readHead(db);
	if (before.position > last)
		flaws.push(`entries ${last + 1} to ${before.position} are behind the head of the chain`);
	if (noted) flaws.push(`entry ${head!.position} ${noted}`);
	return { entries, erased, flaws: flaws.slice(0, MAX_FLAWS), head: before };
}

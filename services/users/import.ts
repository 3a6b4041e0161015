/** Takes over users of another system, many in one transaction. */
import type { ImportedUser, ImportOutcome } from "../../contracts/users.ts";
import type { Tx } from "../../lib/database.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import type { Manager } from "./management.ts";
import { problemOf } from "./password-hash.ts";
import { DEFAULT_PREFERENCES, preferencesOf, problemsOfWish } from "./preferences.ts";
import { logSecurity } from "./security-log.ts";
import { normalizeLogin } from "./user.ts";
import { findTaken, insertUsers, type Newcomer } from "./users.store.ts";

type Problem = ImportOutcome["problems"][number];

interface Candidate {
	readonly user: ImportedUser;
	readonly problems: readonly Problem[];
}

/** Why a user cannot be taken over, beside what others have already. Pure. */
export function problemsOf(user: ImportedUser, now: Date): Problem[] {
	const { passwordHash, createdAt } = user;
	const hash = passwordHash === undefined ? undefined : problemOf(passwordHash);
	const time = createdAt === undefined ? now.getTime() : Date.parse(createdAt);
	return [
		...problemsOfWish(user).map(({ field, message }) => ({ field, message })),
		...(hash ? [{ field: "passwordHash", message: hash }] : []),
		...(time >= 0 && time <= now.getTime()
			? []
			: [{ field: "createdAt", message: "must be a time from 1970 until now" }])
	];
}

const prefers = ({ locale, timeZone }: ImportedUser): boolean =>
	locale !== undefined || timeZone !== undefined;

function newcomerOf(user: ImportedUser, now: Date): Newcomer {
	const { email, username, name = null, phone = null, passwordHash = null } = user;
	const { roles = ["customer"], emailVerified = false } = user;
	const createdAt = user.createdAt === undefined ? now : new Date(user.createdAt);
	return {
		email,
		username,
		name,
		phone,
		passwordHash,
		roles,
		emailVerified,
		...preferencesOf(DEFAULT_PREFERENCES, user),
		// Lists are in the order of ids: somebody of long ago is no newcomer there.
		id: uuidv7(createdAt.getTime()),
		createdAt,
		facts: prefers(user) ? 2 : 1
	};
}

function tell(tx: Tx, { id, email, username, name, ...user }: Newcomer): void {
	tx.record(
		"user.created.v1",
		{ id, version: 1 },
		{ userId: id, email, username, name, imported: true }
	);
	const { locale, timeZone, currency, facts } = user;
	if (facts === 2)
		tx.record(
			"user.preferences-changed.v1",
			{ id, version: 2 },
			{ userId: id, locale, timeZone, currency }
		);
}

/**
 * The record is one chain that all log-ins wait for: a batch is one entry, and so is each user who may do
 * more than buy.
 */
async function writeDown(tx: Tx, imported: readonly Newcomer[], by: Manager): Promise<void> {
	for (const { id: userId, roles } of imported)
		if (roles.some(role => role !== "customer"))
			await logSecurity(tx, { type: "imported", userId, ...by, note: roles.join(", ") });
	if (imported.length > 0)
		await logSecurity(tx, {
			type: "imported",
			userId: null,
			...by,
			note: `${imported.length} users`
		});
}

const IMPORTED: ImportOutcome = { status: "imported", problems: [] };
const EXISTS: ImportOutcome = { status: "exists", problems: [] };
const rejected = (...problems: Problem[]): ImportOutcome => ({ status: "rejected", problems });

/**
 * Stores those who can be, tells of them, and answers what became of each, in their order. Whoever has an
 * account by the address is left as they are. A dry run only looks.
 */
export async function importUsers(
	tx: Tx,
	users: readonly ImportedUser[],
	{ dryRun, by, now }: { readonly dryRun: boolean; readonly by: Manager; readonly now: Date }
): Promise<ImportOutcome[]> {
	const candidates = users.map(user => ({ user, problems: problemsOf(user, now) }));
	const good = candidates.filter(({ problems }) => problems.length === 0);
	const stored = dryRun ? new Set<Candidate>() : await store(tx, good, by, now);
	const others = good.filter(candidate => !stored.has(candidate));
	const taken = await findTaken(
		tx,
		others.map(({ user }) => user)
	);
	return candidates.map(candidate => {
		const { user, problems } = candidate;
		if (problems.length > 0) return rejected(...problems);
		if (stored.has(candidate)) return IMPORTED;
		if (taken.emails.has(normalizeLogin(user.email))) return EXISTS;
		// What was not stored has met one of the two, which may be gone by now.
		return dryRun && !taken.usernames.has(normalizeLogin(user.username))
			? IMPORTED
			: rejected({ field: "username", message: "is taken" });
	});
}

/** Answers those of whom nothing was taken. */
async function store(
	tx: Tx,
	candidates: readonly Candidate[],
	by: Manager,
	now: Date
): Promise<ReadonlySet<Candidate>> {
	const newcomers = candidates.map(({ user }) => newcomerOf(user, now));
	const ids = await insertUsers(tx, newcomers);
	const stored = newcomers.filter(({ id }) => ids.has(id));
	for (const newcomer of stored) tell(tx, newcomer);
	await writeDown(tx, stored, by);
	return new Set(candidates.filter((_, index) => ids.has(newcomers[index]!.id)));
}

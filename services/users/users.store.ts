/** Users in SQL. What leaves here as a User has no password hash in it. */
import { DataTypes } from "sequelize";
import { auth } from "../../contracts/auth.ts";
import type { Events, Fact } from "../../contracts/index.ts";
import { users, type Preferences, type Role, type User } from "../../contracts/users.ts";
import { violatedConstraint, type Queries, type Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { defineModel } from "../../mixins/repository.mixin.ts";
import { normalizeLogin } from "./user.ts";

type UserRow = Omit<User, "createdAt" | "updatedAt"> & {
	readonly createdAt: Date;
	readonly updatedAt: Date;
};

/** The table as the repository sees it. Columns that nobody outside may see are not even declared. */
export const userModel = defineModel<UserRow>(
	"user",
	() => ({
		id: { type: DataTypes.UUID, primaryKey: true },
		email: DataTypes.TEXT,
		emailVerified: DataTypes.BOOLEAN,
		username: DataTypes.TEXT,
		name: DataTypes.TEXT,
		phone: DataTypes.TEXT,
		avatarUrl: DataTypes.TEXT,
		roles: DataTypes.ARRAY(DataTypes.TEXT),
		status: DataTypes.TEXT,
		version: DataTypes.INTEGER,
		createdAt: DataTypes.DATE,
		updatedAt: DataTypes.DATE
	}),
	{ tableName: "users" }
);

const COLUMNS = `id, email, email_verified AS "emailVerified", username, name, phone,
	avatar_url AS "avatarUrl", roles, status, version, created_at AS "createdAt", updated_at AS "updatedAt"`;

const toUser = (row: UserRow): User => ({
	...row,
	createdAt: row.createdAt.toISOString(),
	updatedAt: row.updatedAt.toISOString()
});

/** Somebody who registers. */
export interface NewUser {
	readonly email: string;
	readonly username: string;
	readonly name: string | null;
	/** Null where they sign in otherwise. */
	readonly passwordHash: string | null;
	readonly roles: readonly Role[];
	readonly emailVerified: boolean;
}

const TAKEN: Record<string, "EMAIL_TAKEN" | "USERNAME_TAKEN"> = {
	users_email_taken: "EMAIL_TAKEN",
	users_username_taken: "USERNAME_TAKEN"
};

/**
 * Stores a new user and records user.created.v1. Throws EMAIL_TAKEN or USERNAME_TAKEN; the unique
 * constraints decide, since a look beforehand would prove nothing.
 */
export async function createUser(tx: Tx, user: NewUser): Promise<User> {
	const { email, username, name, passwordHash, roles, emailVerified } = user;
	try {
		const row = await tx.one<UserRow>(
			`INSERT INTO users (id, email, email_normalized, username, username_normalized, name,
			   password_hash, roles, email_verified)
			 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ${COLUMNS}`,
			[
				uuidv7(),
				email,
				normalizeLogin(email),
				username,
				normalizeLogin(username),
				name,
				passwordHash,
				roles,
				emailVerified
			]
		);
		const { id, version } = row!;
		tx.record("user.created.v1", { id, version }, { userId: id, email, username, name });
		return toUser(row!);
	} catch (error) {
		const code = TAKEN[violatedConstraint(error) ?? ""];
		throw code ? failure(auth, code) : error;
	}
}

/** Somebody as another system knew them. */
export interface Newcomer extends NewUser, Omit<Preferences, "version"> {
	readonly id: string;
	readonly phone: string | null;
	readonly createdAt: Date;
	/** How many facts will be told of them at once. */
	readonly facts: number;
}

/**
 * Stores those of whom neither address nor username is taken, and answers their ids. Tells nobody.
 */
export async function insertUsers(tx: Tx, newcomers: readonly Newcomer[]): Promise<Set<string>> {
	const rows = newcomers.map(({ email, username, ...user }) => ({
		...user,
		email,
		username,
		emailNormalized: normalizeLogin(email),
		usernameNormalized: normalizeLogin(username)
	}));
	const inserted = await tx.query<{ id: string }>(
		`INSERT INTO users (id, email, email_normalized, username, username_normalized, name, phone,
		   password_hash, roles, email_verified, locale, time_zone, currency, facts, created_at)
		 SELECT id, email, "emailNormalized", username, "usernameNormalized", name, phone,
		   "passwordHash", roles, "emailVerified", locale, "timeZone", currency, facts, "createdAt"
		 FROM jsonb_to_recordset($1::jsonb) AS u(id uuid, email text, "emailNormalized" text,
		   username text, "usernameNormalized" text, name text, phone text, "passwordHash" text,
		   roles text[], "emailVerified" boolean, locale text, "timeZone" text, currency text,
		   facts int, "createdAt" timestamptz)
		 ON CONFLICT DO NOTHING RETURNING id`,
		[JSON.stringify(rows)]
	);
	return new Set(inserted.map(({ id }) => id));
}

/** Which of these addresses and usernames somebody has, in the form in which they are compared. */
export async function findTaken(
	db: Queries,
	wished: readonly Pick<NewUser, "email" | "username">[]
): Promise<{ readonly emails: ReadonlySet<string>; readonly usernames: ReadonlySet<string> }> {
	const rows = await db.query<{ email: string; username: string }>(
		`SELECT email_normalized AS email, username_normalized AS username FROM users
		 WHERE email_normalized = ANY ($1) OR username_normalized = ANY ($2)`,
		[
			wished.map(({ email }) => normalizeLogin(email)),
			wished.map(({ username }) => normalizeLogin(username))
		]
	);
	return {
		emails: new Set(rows.map(({ email }) => email)),
		usernames: new Set(rows.map(({ username }) => username))
	};
}

/** A user with what proves a log-in. */
export interface Account {
	readonly user: User;
	/** Null where the user has no password. */
	readonly passwordHash: string | null;
}

/**
 * The user locked, with the hash that the password was proven against while nothing was; undefined where
 * it is another one by now, or the user may not sign in any more.
 */
export async function findProvenForUpdate(
	tx: Tx,
	id: string,
	passwordHash: string
): Promise<User | undefined> {
	const row = await tx.one<UserRow>(
		`SELECT ${COLUMNS} FROM users WHERE id = $1 AND password_hash = $2 AND status = 'active' FOR UPDATE`,
		[id, passwordHash]
	);
	return row && toUser(row);
}

/** The account whose e-mail address or username this is. */
export async function findAccount(db: Queries, login: string): Promise<Account | undefined> {
	const row = await db.one<UserRow & Pick<Account, "passwordHash">>(
		`SELECT ${COLUMNS}, password_hash AS "passwordHash" FROM users
		 WHERE email_normalized = $1 OR username_normalized = $1`,
		[normalizeLogin(login)]
	);
	if (!row) return undefined;
	const { passwordHash, ...user } = row;
	return { user: toUser(user), passwordHash };
}

/** The user with this id. */
export async function findUser(db: Queries, id: string): Promise<User | undefined> {
	const row = await db.one<UserRow>(`SELECT ${COLUMNS} FROM users WHERE id = $1`, [id]);
	return row && toUser(row);
}

/**
 * The same, locked until the transaction ends. Whoever locks a user and something of theirs (a session, a
 * token, a passkey, a second factor) takes the user first, and the record of security events last: so
 * nobody waits for another in a circle.
 */
export async function findUserForUpdate(tx: Tx, id: string): Promise<User | undefined> {
	const row = await tx.one<UserRow>(`SELECT ${COLUMNS} FROM users WHERE id = $1 FOR UPDATE`, [id]);
	return row && toUser(row);
}

/** Null where the user has none; undefined where there is no such user. */
export async function findPasswordHash(
	db: Queries,
	id: string
): Promise<string | null | undefined> {
	const row = await db.one<{ hash: string | null }>(
		"SELECT password_hash AS hash FROM users WHERE id = $1",
		[id]
	);
	return row?.hash;
}

/**
 * The version of the next fact of a user, whose row is locked from here on; undefined where there is
 * none, or none in this status. It is not that of the profile, which a log-in leaves alone.
 */
export async function countFact(
	tx: Tx,
	id: string,
	status?: User["status"]
): Promise<number | undefined> {
	const row = await tx.one<{ facts: number }>(
		`UPDATE users SET facts = facts + 1 WHERE id = $1 AND status = coalesce($2, status)
		 RETURNING facts`,
		[id, status ?? null]
	);
	return row?.facts;
}

/** Records a fact of a user that is there. */
export async function recordFact<K extends Fact & `user.${string}`>(
	tx: Tx,
	id: string,
	type: K,
	data: Events[K]
): Promise<void> {
	const version = await countFact(tx, id);
	if (version === undefined) throw new Error(`There is no user ${id} to tell of.`);
	tx.record(type, { id, version }, data);
}

/** Gives the user another password, where the current one still is this. */
export async function replacePassword(
	tx: Tx,
	id: string,
	hash: string,
	current?: string
): Promise<boolean> {
	const row = await tx.one(
		`UPDATE users SET password_hash = $2, updated_at = clock_timestamp()
		 WHERE id = $1 AND ($3::text IS NULL OR password_hash = $3) RETURNING id`,
		[id, hash, current ?? null]
	);
	return row !== undefined;
}

/** The same password under another hash, where it still is the old one: to whoever has it, nothing has changed. */
export async function renewHash(tx: Tx, id: string, hash: string, old: string): Promise<void> {
	await tx.query("UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3", [
		id,
		hash,
		old
	]);
}

/** The address is the user's own; tells of it, and answers true, where that is news. */
export async function markVerified(tx: Tx, id: string): Promise<boolean> {
	const row = await tx.one(
		`UPDATE users SET email_verified = true, version = version + 1, updated_at = clock_timestamp()
		 WHERE id = $1 AND NOT email_verified RETURNING id`,
		[id]
	);
	if (row) await recordFact(tx, id, "user.email-verified.v1", { userId: id });
	return row !== undefined;
}

/** What of a user can be changed here; what is left out stays. */
export type UserChange = Partial<
	Pick<User, "name" | "username" | "phone" | "avatarUrl" | "roles" | "status">
>;

/** Changes a user and answers how it is then. Throws USERNAME_TAKEN. */
export async function updateUser(tx: Tx, id: string, change: UserChange): Promise<User> {
	const values: Readonly<Record<string, unknown>> = {
		name: change.name,
		username: change.username,
		username_normalized: change.username && normalizeLogin(change.username),
		phone: change.phone,
		avatar_url: change.avatarUrl,
		roles: change.roles,
		status: change.status
	};
	const names = Object.keys(values).filter(name => values[name] !== undefined);
	const sets = names.map((name, index) => `${name} = $${index + 2}`);
	try {
		const row = await tx.one<UserRow>(
			`UPDATE users SET ${[...sets, "version = version + 1", "updated_at = clock_timestamp()"].join(", ")}
			 WHERE id = $1 RETURNING ${COLUMNS}`,
			[id, ...names.map(name => values[name])]
		);
		return toUser(row!);
	} catch (error) {
		if (TAKEN[violatedConstraint(error) ?? ""] === "USERNAME_TAKEN")
			throw failure(users, "USERNAME_TAKEN");
		throw error;
	}
}

/** Whether somebody else is an active admin; locks all who are, so that two do not go at once. */
export async function hasOtherAdmin(tx: Tx, id: string): Promise<boolean> {
	const rows = await tx.query<{ id: string }>(
		`SELECT id FROM users WHERE 'admin' = ANY (roles) AND status = 'active' ORDER BY id FOR UPDATE`
	);
	return rows.some(row => row.id !== id);
}

/** Removes a user and all that refers to it; answers how many sessions went along. */
export async function deleteUser(tx: Tx, id: string): Promise<number> {
	const row = await tx.one<{ sessions: number }>(
		`WITH gone AS (DELETE FROM users WHERE id = $1)
		 SELECT count(*)::int AS sessions FROM session WHERE user_id = $1`,
		[id]
	);
	return row!.sessions;
}

export interface UserFilter {
	/** Part of an address, username or name. */
	readonly q?: string | undefined;
	readonly role?: Role | undefined;
	readonly status?: User["status"] | undefined;
	/** Only users that came before this one. */
	readonly before?: string | undefined;
	readonly limit: number;
}

/** Users, the newest first: ids grow with time. */
export async function listUsers(
	db: Queries,
	{ q, role, status, before, limit }: UserFilter
): Promise<User[]> {
	const rows = await db.query<UserRow>(
		`SELECT ${COLUMNS} FROM users
		 WHERE ($1::text IS NULL OR strpos(email_normalized, $1) > 0 OR strpos(username_normalized, $1) > 0
		     OR strpos(lower(name), $1) > 0)
		   AND ($2::text IS NULL OR $2 = ANY (roles)) AND ($3::text IS NULL OR status = $3)
		   AND ($4::uuid IS NULL OR id < $4)
		 ORDER BY id DESC LIMIT $5`,
		[
			q === undefined ? null : normalizeLogin(q),
			role ?? null,
			status ?? null,
			before ?? null,
			limit
		]
	);
	return rows.map(toUser);
}

const PREFERENCES = `locale, time_zone AS "timeZone", currency, preferences_version AS version`;

export const findPreferences = (db: Queries, id: string): Promise<Preferences | undefined> =>
	db.one<Preferences>(`SELECT ${PREFERENCES} FROM users WHERE id = $1`, [id]);

/** The same, locked until the transaction ends. */
export const findPreferencesForUpdate = (tx: Tx, id: string): Promise<Preferences | undefined> =>
	tx.one<Preferences>(`SELECT ${PREFERENCES} FROM users WHERE id = $1 FOR UPDATE`, [id]);

export const updatePreferences = async (
	tx: Tx,
	id: string,
	{ locale, timeZone, currency }: Omit<Preferences, "version">
): Promise<Preferences> =>
	(await tx.one<Preferences>(
		`UPDATE users SET locale = $2, time_zone = $3, currency = $4,
		   preferences_version = preferences_version + 1
		 WHERE id = $1 RETURNING ${PREFERENCES}`,
		[id, locale, timeZone, currency]
	))!;

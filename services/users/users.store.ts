/** Users in SQL. What leaves here as a User has no password hash in it. */
import { DataTypes } from "sequelize";
import { auth } from "../../contracts/auth.ts";
import type { Role, User } from "../../contracts/users.ts";
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
	readonly passwordHash: string;
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

/** A user with what proves a log-in. */
export interface Account {
	readonly user: User;
	/** Null where the user has no password. */
	readonly passwordHash: string | null;
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

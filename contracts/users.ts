import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import {
	cursorFailures,
	HttpsUrl,
	Id,
	IfMatch,
	Nullable,
	Page,
	pageParams,
	Params,
	Text,
	Timestamp
} from "./common.ts";

export const Role = Type.Enum(["customer", "staff", "admin"]);
export type Role = Static<typeof Role>;

export const Email = Type.String({
	format: "email",
	maxLength: 254,
	examples: ["ada@example.com"]
});
export const Username = Type.String({
	pattern: "^[A-Za-z0-9](?:[A-Za-z0-9._-]{1,30})[A-Za-z0-9]$",
	description:
		"3 to 32 letters, digits, dots, dashes and underscores; letter or digit at both ends",
	examples: ["ada"]
});

export const Name = Text(1, 200, { examples: ["Ada Lovelace"] });
export const Phone = Type.String({
	pattern: "^\\+?[0-9](?:[0-9 ()./-]{1,30})[0-9]$",
	description: "Digits, with spaces and dashes where people write them",
	examples: ["+44 20 7946 0000"]
});
const Locale = Type.String({ maxLength: 35, description: "BCP 47", examples: ["en-GB"] });
const TimeZone = Type.String({
	maxLength: 64,
	description: "Of the IANA database",
	examples: ["Europe/London"]
});

export const User = Type.Object(
	{
		id: Id,
		email: Type.String({ examples: ["ada@example.com"] }),
		emailVerified: Type.Boolean(),
		username: Type.String({ examples: ["ada"] }),
		name: Nullable(Type.String({ examples: ["Ada Lovelace"] })),
		phone: Nullable(Type.String({ examples: ["+44 20 7946 0000"] })),
		avatarUrl: Nullable(Type.String({ examples: ["https://example.com/ada.png"] })),
		roles: Type.Array(Role),
		status: Type.Enum(["active", "disabled"]),
		version: Type.Integer(),
		createdAt: Timestamp,
		updatedAt: Timestamp
	},
	{ title: "User" }
);
export type User = Static<typeof User>;

/** How somebody wants to be addressed, and to see times and amounts. */
export const Preferences = Type.Object(
	{
		locale: Type.String({ description: "BCP 47", examples: ["en-GB"] }),
		timeZone: Type.String({ description: "Of the IANA database", examples: ["Europe/London"] }),
		currency: Type.String({ description: "ISO 4217", examples: ["GBP"] }),
		version: Type.Integer()
	},
	{ title: "Preferences" }
);
export type Preferences = Static<typeof Preferences>;

/** Somebody whom another system knew. What is left out is as with who registers here. */
export const ImportedUser = Params({
	email: Email,
	username: Username,
	name: Type.Optional(Name),
	passwordHash: Type.Optional(
		Type.String({
			minLength: 1,
			maxLength: 255,
			writeOnly: true,
			description: "bcrypt, or Argon2id as a PHC string; without it they reset their password"
		})
	),
	roles: Type.Optional(Type.Array(Role, { minItems: 1, uniqueItems: true })),
	emailVerified: Type.Optional(Type.Boolean()),
	phone: Type.Optional(Phone),
	locale: Type.Optional(Locale),
	timeZone: Type.Optional(TimeZone),
	createdAt: Type.Optional(Timestamp)
});
export type ImportedUser = Static<typeof ImportedUser>;

/** What became of one of those. `exists`: its address has an account, which is left as it is. */
const ImportOutcome = Type.Object({
	status: Type.Enum(["imported", "exists", "rejected"]),
	problems: Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))
});
export type ImportOutcome = Static<typeof ImportOutcome>;

/** At most so many at once: an event may have 900 kB, a message over NATS 1 MB. */
export const IMPORT_BATCH = 500;

const etag = ["version"];
const ifMatch = { "if-match": "ifMatch" };

export const users = contract({
	name: "users",
	failures: {
		USERNAME_TAKEN: { status: 409, message: "This username is taken." },
		...cursorFailures,
		LAST_ADMIN: {
			status: 409,
			message: "This is the last active admin. Make somebody else an admin first."
		},
		USER_BEING_DELETED: {
			status: 409,
			message: "This user has asked to be deleted. That cannot be taken back."
		}
	},
	actions: {
		me: {
			summary: "Read one's own account",
			access: "user",
			rest: { route: "GET /users/me", tag: "Users", etag },
			idempotent: true,
			params: Params({}),
			result: User
		},
		update: {
			summary: "Change one's own profile",
			description: "Null takes a field away.",
			access: "user",
			rest: { route: "PATCH /users/me", tag: "Users", etag, headers: ifMatch },
			params: Params({
				name: Type.Optional(Nullable(Name)),
				username: Type.Optional(Username),
				phone: Type.Optional(Nullable(Phone)),
				avatarUrl: Type.Optional(Nullable(HttpsUrl)),
				ifMatch: Type.Optional(IfMatch)
			}),
			result: User,
			failures: ["USERNAME_TAKEN", "VERSION_MISMATCH"]
		},
		preferences: {
			summary: "Read one's own preferences",
			access: "user",
			rest: { route: "GET /users/me/preferences", tag: "Users", etag },
			idempotent: true,
			params: Params({}),
			result: Preferences
		},
		updatePreferences: {
			summary: "Change one's own preferences",
			access: "user",
			rest: { route: "PATCH /users/me/preferences", tag: "Users", etag, headers: ifMatch },
			params: Params({
				locale: Type.Optional(Locale),
				timeZone: Type.Optional(TimeZone),
				currency: Type.Optional(
					Type.String({ pattern: "^[A-Z]{3}$", description: "ISO 4217", examples: ["GBP"] })
				),
				ifMatch: Type.Optional(IfMatch)
			}),
			result: Preferences,
			failures: ["VALIDATION_ERROR", "VERSION_MISMATCH"]
		},
		list: {
			summary: "List users, newest first",
			access: "admin",
			rest: { route: "GET /users", tag: "Users" },
			idempotent: true,
			params: Params({
				q: Type.Optional(
					Text(1, 254, { description: "Part of an address, username or name", examples: ["ada"] })
				),
				role: Type.Optional(Role),
				status: Type.Optional(Type.Enum(["active", "disabled"])),
				...pageParams
			}),
			result: Page(User),
			failures: ["INVALID_CURSOR"]
		},
		get: {
			summary: "Read a user",
			access: "admin",
			rest: { route: "GET /users/:id", tag: "Users", etag },
			idempotent: true,
			params: Params({ id: Id }),
			result: User,
			failures: ["NOT_FOUND"]
		},
		manage: {
			summary: "Change what a user may do",
			description:
				"Takes effect at once: all sessions of the user end. The last active admin stays one.",
			access: "admin",
			rest: { route: "PATCH /users/:id", tag: "Users", etag, headers: ifMatch },
			params: Params({
				id: Id,
				roles: Type.Optional(
					Type.Array(Role, { minItems: 1, uniqueItems: true, examples: [["customer", "staff"]] })
				),
				status: Type.Optional(Type.Enum(["active", "disabled"])),
				ifMatch: Type.Optional(IfMatch)
			}),
			result: User,
			failures: ["NOT_FOUND", "LAST_ADMIN", "USER_BEING_DELETED", "VERSION_MISMATCH"]
		},
		find: {
			summary: "Find a user by e-mail address or username",
			access: "internal",
			idempotent: true,
			params: Params({ login: Text(1, 254) }),
			result: User,
			failures: ["NOT_FOUND"]
		},
		import: {
			summary: "Take over users of another system",
			description:
				"All of a call or none, where it fails. A repetition imports nobody twice. With `dryRun` it only says what would become of them.",
			access: "internal",
			timeout: 30_000,
			params: Params({
				users: Type.Array(ImportedUser, { minItems: 1, maxItems: IMPORT_BATCH }),
				dryRun: Type.Boolean()
			}),
			result: Type.Object({
				outcomes: Type.Array(ImportOutcome, { description: "In the order of the users" })
			})
		}
	},
	events: {
		"user.created.v1": {
			summary: "Somebody has registered",
			data: Type.Object({
				userId: Id,
				email: Type.String(),
				username: Type.String(),
				name: Nullable(Text(1, 200)),
				imported: Type.Optional(
					Type.Boolean({ description: "True where they come from another system: no news to them" })
				)
			})
		},
		"user.updated.v1": {
			summary: "A user is called otherwise",
			data: Type.Object({ userId: Id, username: Type.String(), name: Nullable(Text(1, 200)) })
		},
		"user.preferences-changed.v1": {
			summary: "A user wants to see times, amounts or texts otherwise",
			data: Type.Object({
				userId: Id,
				locale: Type.String(),
				timeZone: Type.String(),
				currency: Type.String()
			})
		},
		"user.roles-changed.v1": {
			summary: "A user may do other things than before",
			data: Type.Object({ userId: Id, roles: Type.Array(Role) })
		},
		"user.disabled.v1": {
			summary: "A user may not sign in any more",
			data: Type.Object({ userId: Id })
		},
		"user.enabled.v1": {
			summary: "A user may sign in again",
			data: Type.Object({ userId: Id })
		}
	}
});

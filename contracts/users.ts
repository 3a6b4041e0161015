import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Params, Text, Timestamp } from "./common.ts";

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

export const users = contract({
	name: "users",
	failures: {},
	actions: {
		me: {
			summary: "Read one's own account",
			access: "user",
			rest: { route: "GET /users/me", tag: "Users", etag: ["version"] },
			idempotent: true,
			params: Params({}),
			result: User
		}
	},
	events: {
		"user.created.v1": {
			summary: "Somebody has registered",
			data: Type.Object({
				userId: Id,
				email: Type.String(),
				username: Type.String(),
				name: Nullable(Text(1, 200))
			})
		}
	}
});

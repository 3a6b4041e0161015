import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { cursorFailures, Nullable, pageParams, Params, Timestamp } from "./common.ts";
import { User } from "./users.ts";

export const Export = Type.Object(
	{
		exportedAt: Timestamp,
		user: User,
		parts: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown()), {
			description: "By the group of services that keeps it",
			examples: [{ users: { sessions: [] }, orders: { orders: [] } }]
		}),
		nextCursor: Nullable(
			Type.String({
				description: "Where the lists go on, if they do not fit into one document; else null",
				examples: ["WyJkZXNrLWxhbXAiXQ"]
			})
		)
	},
	{ title: "Export" }
);
export type Export = Static<typeof Export>;

/** All that the services know of somebody, handed out. */
export const exports = contract({
	name: "exports",
	failures: {
		...cursorFailures,
		EXPORT_INCOMPLETE: {
			status: 503,
			message:
				"One of the services does not answer, and an export without its part would not be whole. Try again later."
		}
	},
	actions: {
		mine: {
			summary: "Everything about oneself, as JSON",
			description:
				"Each service's part is whole, or the answer is 503. Lists too long for one document go on under `nextCursor`. Passwords, tokens and their hashes are in no part.",
			access: "user",
			rest: {
				route: "GET /users/me/export",
				tag: "Users",
				attachment: "valence-export.json",
				limit: { cost: 100 },
				priority: "low"
			},
			idempotent: true,
			params: Params({
				cursor: Type.Optional(Type.String({ ...pageParams.cursor, maxLength: 2_048 }))
			}),
			result: Export,
			failures: ["INVALID_CURSOR", "EXPORT_INCOMPLETE"]
		}
	},
	events: {}
});

import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Params, Timestamp } from "./common.ts";
import { CurrentPassword, passwordFailures } from "./passwords.ts";
import { Erased } from "./personal-data.ts";
import { REAUTHENTICATION_FAILURES } from "./reauthentication.ts";
import { users } from "./users.ts";

export const Deletion = Type.Object(
	{
		id: Id,
		status: Type.Enum(["requested", "finished"]),
		requestedAt: Timestamp
	},
	{ title: "Deletion" }
);
export type Deletion = Static<typeof Deletion>;

/** The end of an account, across all services that know something of it. */
export const deletions = contract({
	name: "deletions",
	failures: {
		REAUTHENTICATION_REQUIRED: passwordFailures.REAUTHENTICATION_REQUIRED,
		WRONG_PASSWORD: passwordFailures.WRONG_PASSWORD,
		BUSY: passwordFailures.BUSY,
		LAST_ADMIN: users.failures.LAST_ADMIN
	},
	actions: {
		request: {
			summary: "Delete one's own account",
			description:
				"Ends all sessions at once; nobody can sign in to the account any more, and it cannot be taken back. Every service then erases what it knows; orders that are under way are finished first. A mail tells when it is done, what was erased, and what has to be kept without the person. The password is needed; an account that has none needs a session that began within the last ten minutes.",
			access: "user",
			rest: {
				route: "DELETE /users/me",
				tag: "Users",
				status: 202,
				body: ["password"],
				limit: { attempt: "login" }
			},
			params: Params({ password: Type.Optional(CurrentPassword) }),
			result: Deletion,
			failures: ["VALIDATION_ERROR", ...REAUTHENTICATION_FAILURES, "LAST_ADMIN"]
		}
	},
	events: {
		"user.deletion-requested.v1": {
			summary: "A user wants to be forgotten; whoever holds personal data erases it and tells so",
			data: Type.Object({ userId: Id, deletionId: Id })
		},
		"user.deleted.v1": {
			summary: "A user is forgotten: everybody has erased what they knew. The last fact of a user",
			data: Type.Object({
				userId: Id,
				deletionId: Id,
				receipt: Type.Array(Type.Object({ holder: Type.String(), ...Erased.properties }))
			})
		}
	}
});

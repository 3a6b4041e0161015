import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Params, Text } from "./common.ts";
import { Email } from "./users.ts";

/** A new password. */
export const Password = Type.String({
	minLength: 8,
	maxLength: 128,
	writeOnly: true,
	description: "8 to 128 characters",
	examples: ["correct horse battery"]
});
/** A password as it is proven: what was allowed once may be too short today. */
export const CurrentPassword = Type.String({
	minLength: 1,
	maxLength: 128,
	writeOnly: true,
	examples: ["correct horse battery"]
});
/** Of a link in a mail. */
export const MailedToken = Type.String({
	pattern: "^[A-Za-z0-9_-]{43}$",
	writeOnly: true,
	description: "From the link in the mail: 256 bits, base64url",
	examples: ["0ne-t1me-t0ken-of-256-bits-as-base64url-tex"]
});

/** Failures of whoever proves or chooses a password. */
export const passwordFailures = {
	WRONG_PASSWORD: {
		status: 403,
		message: "This is not your current password. If you have forgotten it, ask for a reset."
	},
	REAUTHENTICATION_REQUIRED: {
		status: 403,
		message:
			"Show that it is still you: send your current password or, where you have none, sign in again first."
	},
	PASSWORD_TOO_COMMON: {
		status: 422,
		message: "This password is among the most common ones. Choose another."
	},
	BUSY: { status: 503, message: "Too many sign-ins at once. Try again in a moment." }
} as const;
export const linkFailures = {
	INVALID_TOKEN: {
		status: 422,
		message: "This link is not valid any more: it was used, or it is too old. Ask for a new one."
	}
} as const;

export const passwords = contract({
	name: "passwords",
	failures: { ...passwordFailures, ...linkFailures },
	actions: {
		forgot: {
			summary: "Ask for a mail with a link that resets the password",
			description:
				"Answers the same, in the same time, whether there is such an account or not. The link works once, for thirty minutes.",
			access: "public",
			rest: {
				route: "POST /auth/password/forgot",
				tag: "Identity",
				bearer: "ignored",
				status: 202,
				limit: { attempt: "reset", account: "email" }
			},
			params: Params({ email: Email }),
			result: Type.Object({ status: Type.Literal("accepted") })
		},
		reset: {
			summary: "Choose a new password by the link of a mail",
			description: "Ends all sessions of the account, and does not sign in.",
			access: "public",
			rest: {
				route: "POST /auth/password/reset",
				tag: "Identity",
				bearer: "ignored",
				status: 204,
				idempotencyKey: "refused"
			},
			params: Params({ token: MailedToken, password: Password }),
			result: Type.Null(),
			failures: ["INVALID_TOKEN", "PASSWORD_TOO_COMMON", "BUSY"]
		},
		change: {
			summary: "Change one's own password",
			description: "Ends all other sessions.",
			access: "user",
			rest: {
				route: "POST /auth/password/change",
				tag: "Identity",
				status: 204,
				limit: { attempt: "login" }
			},
			params: Params({ currentPassword: CurrentPassword, newPassword: Password }),
			result: Type.Null(),
			failures: ["WRONG_PASSWORD", "PASSWORD_TOO_COMMON", "BUSY"]
		}
	},
	events: {
		"user.password-reset-requested.v1": {
			summary:
				"A user has asked for a link to reset the password; the link itself is told to nobody",
			data: Type.Object({
				userId: Id,
				tokenId: Id,
				email: Type.String(),
				username: Type.String(),
				name: Nullable(Text(1, 200))
			})
		},
		"user.password-changed.v1": {
			summary: "A user has another password",
			data: Type.Object({ userId: Id, by: Type.Enum(["change", "reset"]) })
		}
	}
});

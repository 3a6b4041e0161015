import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Params, Text } from "./common.ts";
import { linkFailures, MailedToken } from "./passwords.ts";

/** Whether an address belongs to who says so. */
export const emails = contract({
	name: "emails",
	failures: {
		...linkFailures,
		EMAIL_ALREADY_VERIFIED: { status: 409, message: "Your e-mail address is confirmed already." }
	},
	actions: {
		verify: {
			summary: "Confirm one's e-mail address by the link of a mail",
			access: "public",
			rest: {
				route: "POST /auth/email/verify",
				tag: "Identity",
				bearer: "ignored",
				status: 204,
				idempotencyKey: "refused"
			},
			params: Params({ token: MailedToken }),
			result: Type.Null(),
			failures: ["INVALID_TOKEN"]
		},
		requestVerification: {
			summary: "Have the mail that confirms one's e-mail address sent again",
			description: "Links that were sent before do not work any more.",
			access: "user",
			rest: {
				route: "POST /auth/email/verification",
				tag: "Identity",
				status: 202,
				limit: { attempt: "reset" }
			},
			params: Params({}),
			result: Type.Object({ status: Type.Literal("accepted") }),
			failures: ["EMAIL_ALREADY_VERIFIED"]
		},
		/** Asked for at the moment when a mail is sent, so that a link stands nowhere but in that mail. */
		token: {
			summary: "The secret of a link that is to be mailed; null where it would not work any more",
			access: "internal",
			idempotent: true,
			params: Params({ tokenId: Id }),
			result: Nullable(Type.String())
		}
	},
	events: {
		"user.email-verification-requested.v1": {
			summary:
				"A user is to confirm the e-mail address by a link; the link itself is told to nobody",
			data: Type.Object({
				userId: Id,
				tokenId: Id,
				email: Type.String(),
				username: Type.String(),
				name: Nullable(Text(1, 200))
			})
		},
		"user.email-verified.v1": {
			summary: "A user has shown that the e-mail address is the own one",
			data: Type.Object({ userId: Id })
		}
	}
});

import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Page, Params, pageParams, Timestamp } from "./common.ts";

/** What is written down of an account's security. More may come, so it travels as text. */
export const SECURITY_EVENT_TYPES = [
	"registered",
	"imported",
	"signed-in",
	"sign-in-failed",
	"signed-out",
	"session-ended",
	"token-reused",
	"email-verified",
	"password-changed",
	"password-reset-requested",
	"password-reset",
	"password-check-failed",
	"two-factor-enabled",
	"two-factor-disabled",
	"two-factor-failed",
	"recovery-code-used",
	"recovery-codes-renewed",
	"passkey-added",
	"passkey-removed",
	"identity-linked",
	"identity-unlinked",
	"roles-changed",
	"disabled",
	"enabled",
	"data-exported",
	"deletion-requested",
	"deleted"
] as const;
export type SecurityEventType = (typeof SECURITY_EVENT_TYPES)[number];

export const SecurityEvent = Type.Object(
	{
		id: Id,
		type: Type.String({
			description: `One of ${SECURITY_EVENT_TYPES.join(", ")}; more may come`,
			examples: ["signed-in"]
		}),
		at: Timestamp,
		by: Type.Enum(["self", "admin"], { description: "Who has done it" }),
		address: Nullable(
			Type.String({ description: "Where the request came from", examples: ["192.0.2.7"] })
		),
		device: Nullable(Type.String({ description: "What the client calls itself" })),
		sessionId: Nullable(Id),
		note: Nullable(Type.String({ description: "How, as in `password`", examples: ["password"] }))
	},
	{ title: "SecurityEvent" }
);

/** The record of security events: each user reads the own ones; an operator verifies the whole. */
export const audit = contract({
	name: "audit",
	failures: {
		INVALID_CURSOR: {
			status: 422,
			message: "This cursor comes from another list, or from nowhere."
		}
	},
	actions: {
		mine: {
			summary: "List what has happened to the security of one's own account, newest first",
			access: "user",
			rest: { route: "GET /users/me/security-events", tag: "Users" },
			idempotent: true,
			params: Params(pageParams),
			result: Page(SecurityEvent),
			failures: ["INVALID_CURSOR"]
		},
		verify: {
			summary: "Check the chain of all security events",
			access: "internal",
			idempotent: true,
			timeout: 600_000,
			params: Params({
				head: Type.Optional(
					Type.Object({
						position: Type.Integer({ minimum: 0 }),
						hash: Type.String({ pattern: "^[0-9a-f]{64}$" })
					})
				)
			}),
			result: Type.Object({
				entries: Type.Integer({ description: "How many were checked" }),
				erased: Type.Integer({ description: "How many have had their details erased" }),
				flaws: Type.Array(Type.String({ description: "What is wrong; the first hundred" })),
				head: Type.Object({ position: Type.Integer(), hash: Type.String() })
			})
		}
	},
	events: {}
});

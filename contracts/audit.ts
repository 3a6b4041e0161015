import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { cursorFailures, Id, Nullable, Page, Params, pageParams, Timestamp } from "./common.ts";

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
	"two-factor-requested",
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

const Head = Type.Object({
	position: Type.Integer({ minimum: 0 }),
	hash: Type.String({ pattern: "^[0-9a-f]{64}$" })
});

/** An entry as an operator sees it. */
export const AuditEntry = Type.Object({
	position: Type.Integer(),
	at: Timestamp,
	type: Type.String(),
	userId: Nullable(Id),
	byId: Nullable(Type.String({ description: "Who has done it, where it is not the user" })),
	address: Nullable(Type.String()),
	device: Nullable(Type.String()),
	sessionId: Nullable(Id),
	note: Nullable(Type.String()),
	erased: Type.Boolean({
		description: "Whether the details were erased: with a person, or after their time"
	})
});
export type AuditEntry = Static<typeof AuditEntry>;

/** The record of security events: each user reads the own ones; an operator verifies the whole. */
export const audit = contract({
	name: "audit",
	failures: {
		...cursorFailures
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
			summary:
				"Check the chain of all security events, and that nothing is erased without a reason",
			access: "internal",
			idempotent: true,
			timeout: 600_000,
			params: Params({ head: Type.Optional(Head) }),
			result: Type.Object({
				entries: Type.Integer({ description: "How many were checked" }),
				erased: Type.Integer({ description: "How many have had their details erased" }),
				flaws: Type.Array(Type.String({ description: "What is wrong; the first hundred" })),
				head: Type.Object({ position: Type.Integer(), hash: Type.String() })
			})
		},
		head: {
			summary: "Where the record ends: what an operator writes down elsewhere",
			access: "internal",
			idempotent: true,
			params: Params({}),
			result: Head
		},
		list: {
			summary: "List security events, newest first: all, or those of a user",
			access: "internal",
			idempotent: true,
			params: Params({ userId: Type.Optional(Id), ...pageParams }),
			result: Page(AuditEntry),
			failures: ["INVALID_CURSOR"]
		}
	},
	events: {}
});

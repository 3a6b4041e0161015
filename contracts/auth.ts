import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { cursorFailures, Id, Page, pageParams, Params, Text, Timestamp } from "./common.ts";
import { CurrentPassword, Password, passwordFailures } from "./passwords.ts";
import { SecondFactorCode } from "./two-factor.ts";
import { Email, Name, User, Username } from "./users.ts";

const RefreshToken = Type.String({
	pattern: "^[A-Za-z0-9_-]{43}$",
	description: "256 bits, base64url",
	examples: ["R3fr3sh-t0ken-of-256-bits-as-base64url-text"]
});

export const Tokens = Type.Object(
	{
		accessToken: Type.String({
			examples: ["eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"]
		}),
		refreshToken: Type.String({ examples: ["R3fr3sh-t0ken-of-256-bits-as-base64url-text"] }),
		tokenType: Type.Literal("Bearer"),
		expiresIn: Type.Integer({
			description: "Seconds until the access token ends",
			examples: [900]
		}),
		user: User
	},
	{ title: "Tokens" }
);
export type Tokens = Static<typeof Tokens>;

/** A public signing key (RFC 7517). */
const Jwk = Type.Object({
	kty: Type.String({ examples: ["OKP"] }),
	crv: Type.String({ examples: ["Ed25519"] }),
	x: Type.String({ examples: ["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"] }),
	y: Type.Optional(Type.String()),
	kid: Type.String({ examples: ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"] }),
	alg: Type.String({ examples: ["EdDSA"] }),
	use: Type.Literal("sig")
});

/** How a session ended; v1 of its fact knows three of them. */
export const SESSION_ENDS = [
	"logout",
	"logout-all",
	"token-reuse",
	"ended",
	"password-changed",
	"password-reset",
	"roles-changed",
	"disabled",
	"deletion"
] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

export const Session = Type.Object(
	{
		id: Id,
		device: Type.String({
			description: "What the client calls itself",
			examples: ["Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"]
		}),
		address: Type.String({ description: "Where it was used from last", examples: ["192.0.2.7"] }),
		createdAt: Timestamp,
		lastUsedAt: Timestamp,
		current: Type.Boolean({ description: "Whether it is the one that asks" })
	},
	{ title: "Session" }
);
export type Session = Static<typeof Session>;

export const auth = contract({
	name: "auth",
	failures: {
		EMAIL_TAKEN: {
			status: 409,
			message:
				"An account with this e-mail address exists already. Sign in, or reset your password."
		},
		USERNAME_TAKEN: { status: 409, message: "This username is taken." },
		PASSWORD_TOO_COMMON: passwordFailures.PASSWORD_TOO_COMMON,
		INVALID_CREDENTIALS: {
			status: 401,
			message: "The login or the password is wrong. Check both, or reset your password."
		},
		SECOND_FACTOR_REQUIRED: {
			status: 401,
			message: "Send `code` as well: what your authenticator shows now, or a recovery code."
		},
		INVALID_SECOND_FACTOR: {
			status: 401,
			message: "This code is wrong, or it was used before. Wait for the next one."
		},
		SECOND_FACTOR_PAUSED: {
			status: 401,
			message:
				"After too many wrong codes those of the authenticator are not looked at for some time, at most an hour. A recovery code works."
		},
		INVALID_REFRESH_TOKEN: {
			status: 401,
			message: "This refresh token is not valid any more. Sign in again."
		},
		BUSY: passwordFailures.BUSY,
		...cursorFailures
	},
	actions: {
		register: {
			summary: "Create an account",
			access: "public",
			rest: {
				route: "POST /auth/register",
				tag: "Identity",
				bearer: "ignored",
				status: 201,
				location: "/api/v1/users/me",
				limit: { attempt: "register", account: "email" }
			},
			params: Params({
				email: Email,
				username: Username,
				password: Password,
				name: Type.Optional(Name)
			}),
			result: User,
			failures: ["EMAIL_TAKEN", "USERNAME_TAKEN", "PASSWORD_TOO_COMMON", "BUSY"]
		},
		registerAdmin: {
			summary: "Create an account that is an admin's",
			access: "internal",
			params: Params({
				email: Email,
				username: Username,
				password: Password,
				name: Type.Optional(Name)
			}),
			result: User,
			failures: ["EMAIL_TAKEN", "USERNAME_TAKEN", "PASSWORD_TOO_COMMON", "BUSY"]
		},
		login: {
			summary: "Sign in by e-mail or username",
			description:
				"Of an account with a second factor, the right password without `code` answers SECOND_FACTOR_REQUIRED. That counts as an attempt, as a wrong code does; only what signs in does not.",
			access: "public",
			rest: {
				route: "POST /auth/login",
				tag: "Identity",
				bearer: "ignored",
				idempotencyKey: "refused",
				limit: { attempt: "login", account: "login", failuresOnly: true }
			},
			params: Params({
				login: Text(1, 254, {
					description: "E-mail address or username",
					examples: ["ada@example.com"]
				}),
				password: CurrentPassword,
				code: Type.Optional(SecondFactorCode)
			}),
			result: Tokens,
			failures: [
				"INVALID_CREDENTIALS",
				"SECOND_FACTOR_REQUIRED",
				"INVALID_SECOND_FACTOR",
				"SECOND_FACTOR_PAUSED",
				"BUSY"
			]
		},
		refresh: {
			summary: "Change a refresh token for new tokens",
			description:
				"Each refresh token works once. A repetition within ten seconds gets the same successor; a later one ends the session.",
			access: "public",
			rest: {
				route: "POST /auth/refresh",
				tag: "Identity",
				bearer: "ignored",
				idempotencyKey: "refused"
			},
			params: Params({ refreshToken: RefreshToken }),
			result: Tokens,
			failures: ["INVALID_REFRESH_TOKEN"]
		},
		logout: {
			summary: "End this session",
			access: "user",
			rest: { route: "POST /auth/logout", tag: "Identity", status: 204 },
			params: Params({}),
			result: Type.Null()
		},
		logoutAll: {
			summary: "End all of one's sessions",
			access: "user",
			rest: { route: "POST /auth/logout-all", tag: "Identity", status: 204 },
			params: Params({}),
			result: Type.Null()
		},
		sessions: {
			summary: "List one's own sessions that have not ended, the one used last first",
			access: "user",
			rest: { route: "GET /auth/sessions", tag: "Identity" },
			idempotent: true,
			params: Params(pageParams),
			result: Page(Session),
			failures: ["INVALID_CURSOR"]
		},
		endSession: {
			summary: "End one of one's own sessions",
			access: "user",
			rest: { route: "DELETE /auth/sessions/:id", tag: "Identity", status: 204 },
			params: Params({ id: Id }),
			result: Type.Null(),
			failures: ["NOT_FOUND"]
		},
		keys: {
			summary: "Public keys that verify access tokens (JWKS)",
			access: "public",
			rest: { route: "GET //.well-known/jwks.json", tag: "Identity", bearer: "ignored" },
			idempotent: true,
			params: Params({}),
			result: Type.Object({ keys: Type.Array(Jwk) })
		},
		revocations: {
			summary: "Sessions that ended while an access token of theirs may still be alive",
			access: "internal",
			idempotent: true,
			breaker: false,
			params: Params({
				withinSeconds: Type.Optional(
					Type.Integer({
						minimum: 1,
						maximum: 3_600,
						description: "Only those that ended so many seconds ago at most"
					})
				)
			}),
			result: Type.Array(Type.Object({ sessionId: Id, until: Timestamp }))
		}
	},
	events: {
		"session.revoked.v1": {
			summary: "A session has ended; its access tokens are refused from now on",
			data: Type.Object({
				sessionId: Id,
				userId: Id,
				reason: Type.Enum(["logout", "logout-all", "token-reuse"], {
					description: "`logout-all` where `cause` says it more exactly"
				}),
				cause: Type.Optional(
					Type.String({ description: `One of ${SESSION_ENDS.join(", ")}; more may come` })
				),
				until: Type.String({
					format: "date-time",
					description: "When its last access token ends by itself"
				})
			})
		},
		"user.authenticated.v1": {
			summary: "A user has signed in",
			data: Type.Object({
				userId: Id,
				sessionId: Id,
				method: Type.String({ description: "`password`, `google`, `passkey`; more may come" })
			})
		}
	}
});

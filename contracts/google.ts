import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Tokens } from "./auth.ts";
import { Id, Params } from "./common.ts";
import { passwordFailures } from "./passwords.ts";
import {
	reauthentication,
	REAUTHENTICATION,
	REAUTHENTICATION_FAILURES
} from "./reauthentication.ts";

/** By which a browser that comes back from the provider is known to be the one that was sent there. */
const BROWSER = "valence-google";
const setCookie = { name: BROWSER, field: "browser", maxAge: 600 };
const cookies = { [BROWSER]: "browser" };

const browser = Type.Optional(
	Type.String({
		maxLength: 4_096,
		description:
			"Set by the answer that sent the browser to the provider; `__Host-valence-google` where this is reached by https"
	})
);
const returnTo = Type.Optional(
	Type.String({
		minLength: 1,
		maxLength: 2_000,
		description:
			"Where the browser goes in the end: a path here, or an address of an origin that may call the API; without a fragment",
		examples: ["/docs"]
	})
);
const codeChallenge = Type.Optional(
	Type.String({
		pattern: "^[A-Za-z0-9_-]{43}$",
		description:
			"SHA-256 of a secret of the client's own, as base64url (RFC 7636, S256): only who has that secret gets the tokens for the code",
		examples: ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"]
	})
);
const Address = (description: string) =>
	Type.String({
		description,
		examples: ["https://accounts.google.com/o/oauth2/v2/auth?client_id=…"]
	});
const provider = Type.Enum(["google"], {
	description: "`google` stands for any that the configuration names"
});
const Secret = Type.String({ description: "256 bits, base64url" });

/**
 * Sign-in with Google, or another OpenID provider that the configuration names. A person is known by the
 * provider's `iss` and `sub`, never by an address.
 */
export const google = contract({
	name: "google",
	failures: {
		WRONG_PASSWORD: passwordFailures.WRONG_PASSWORD,
		REAUTHENTICATION_REQUIRED: passwordFailures.REAUTHENTICATION_REQUIRED,
		BUSY: passwordFailures.BUSY,
		GOOGLE_NOT_CONFIGURED: {
			status: 404,
			message: "Sign-in with Google is not switched on here."
		},
		GOOGLE_UNAVAILABLE: {
			status: 503,
			message: "Google does not answer as it should. Try again in a moment, or sign in otherwise."
		},
		GOOGLE_SIGN_IN_EXPIRED: {
			status: 422,
			message:
				"This sign-in was not begun in this browser, is over already, or took more than ten minutes. Begin again."
		},
		GOOGLE_SIGN_IN_DENIED: {
			status: 403,
			message: "You, or Google, broke the sign-in off. Begin again if you want to."
		},
		GOOGLE_ANSWER_REFUSED: {
			status: 422,
			message: "What Google answered does not prove who you are. Begin again."
		},
		GOOGLE_EMAIL_UNVERIFIED: {
			status: 403,
			message:
				"Google has not confirmed your e-mail address, so no account can be made with it. Confirm it there, or register with a password."
		},
		EMAIL_TAKEN: {
			status: 409,
			message:
				"There is an account with this e-mail address already. Sign in with your password and link Google in your account."
		},
		GOOGLE_LINKED_ELSEWHERE: {
			status: 409,
			message:
				"This Google account is linked to another account here. Sign in with Google to get to that one."
		},
		GOOGLE_ALREADY_LINKED: {
			status: 409,
			message: "Your account is linked to another Google account. Unlink that one first."
		},
		ACCOUNT_DISABLED: {
			status: 403,
			message:
				"This account may not sign in. Ask those who run this shop if you think that it should."
		},
		INVALID_SIGN_IN_CODE: {
			status: 422,
			message:
				"This code was used, is more than a minute old, or is not yours. Begin the sign-in again."
		},
		LAST_WAY_IN: {
			status: 409,
			message:
				"Without Google you could not sign in any more. Choose a password first: ask for a link to reset it."
		}
	},
	actions: {
		begin: {
			summary: "Go to Google, to sign in or up, or to link it",
			description:
				"For browsers to navigate to. Links Google to the account of whoever has signed in (by `Authorization`) within the last ten minutes; browsers, which cannot send that along when they navigate, use `POST /auth/google/link`.",
			access: "public",
			rest: {
				route: "GET /auth/google",
				tag: "Identity",
				redirect: "location",
				setCookie,
				cookies,
				limit: { cost: 5 }
			},
			params: Params({ returnTo, codeChallenge, browser }),
			result: Type.Object({
				location: Address("Where the provider asks the user"),
				browser: Secret
			}),
			failures: ["REAUTHENTICATION_REQUIRED", "GOOGLE_NOT_CONFIGURED", "GOOGLE_UNAVAILABLE"]
		},
		beginLink: {
			summary: "Begin to link Google to one's own account",
			description: `${REAUTHENTICATION} The browser that got this answer goes to \`url\`. A page of another origin sends it with credentials, so that the browser keeps the cookie; it must be of the same site.`,
			access: "user",
			rest: {
				route: "POST /auth/google/link",
				tag: "Identity",
				setCookie,
				cookies,
				idempotencyKey: "refused",
				limit: { attempt: "login", failuresOnly: true }
			},
			params: Params({ returnTo, browser, ...reauthentication }),
			result: Type.Object({ url: Address("Where the provider asks the user"), browser: Secret }),
			failures: [...REAUTHENTICATION_FAILURES, "GOOGLE_NOT_CONFIGURED", "GOOGLE_UNAVAILABLE"]
		},
		finish: {
			summary: "Come back from Google",
			description:
				"What Google redirects to. Answers the tokens, or nothing where an account was linked. Where a `returnTo` was given it redirects there, with `#code=…`, `#linked` or `#error=CODE`.",
			access: "public",
			rest: {
				route: "GET /auth/google/callback",
				tag: "Identity",
				bearer: "ignored",
				redirect: "location",
				cookies,
				foreign: true,
				limit: { attempt: "login", failuresOnly: true }
			},
			// Four requests to the provider, each with a patience of its own.
			timeout: 13_000,
			params: Params({
				state: Type.String({ maxLength: 200, examples: ["af0ifjsldkj"] }),
				code: Type.Optional(Type.String({ maxLength: 4_096 })),
				iss: Type.Optional(Type.String({ maxLength: 2_000 })),
				error: Type.Optional(Type.String({ maxLength: 200 })),
				browser
			}),
			result: Type.Union([
				Tokens,
				Type.Object({ location: Address("`returnTo`, with the outcome") }),
				Type.Null()
			]),
			failures: [
				"GOOGLE_NOT_CONFIGURED",
				"GOOGLE_UNAVAILABLE",
				"GOOGLE_SIGN_IN_EXPIRED",
				"GOOGLE_SIGN_IN_DENIED",
				"GOOGLE_ANSWER_REFUSED",
				"GOOGLE_EMAIL_UNVERIFIED",
				"EMAIL_TAKEN",
				"GOOGLE_LINKED_ELSEWHERE",
				"GOOGLE_ALREADY_LINKED",
				"ACCOUNT_DISABLED"
			]
		},
		redeem: {
			summary: "Change the code behind `returnTo` for tokens",
			description: "Works once, for a minute.",
			access: "public",
			rest: {
				route: "POST /auth/google/token",
				tag: "Identity",
				bearer: "ignored",
				idempotencyKey: "refused",
				limit: { attempt: "login", failuresOnly: true }
			},
			params: Params({
				code: Type.String({
					pattern: "^[A-Za-z0-9_-]{43}$",
					writeOnly: true,
					examples: ["0ne-t1me-c0de-of-256-bits-as-base64url-text"]
				}),
				codeVerifier: Type.Optional(
					Type.String({
						pattern: "^[A-Za-z0-9._~-]{43,128}$",
						writeOnly: true,
						description: "The secret of which `codeChallenge` was made; needed where one was",
						examples: ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"]
					})
				)
			}),
			result: Tokens,
			failures: ["INVALID_SIGN_IN_CODE", "ACCOUNT_DISABLED"]
		},
		unlink: {
			summary: "Unlink Google from one's own account",
			access: "user",
			rest: { route: "DELETE /auth/google", tag: "Identity", status: 204 },
			params: Params({}),
			result: Type.Null(),
			failures: ["NOT_FOUND", "LAST_WAY_IN"]
		}
	},
	events: {
		"user.identity-linked.v1": {
			summary: "A user can sign in by a provider as well, to an account that was there before",
			data: Type.Object({ userId: Id, provider })
		},
		"user.identity-unlinked.v1": {
			summary: "A user does not sign in by a provider any more",
			data: Type.Object({ userId: Id, provider })
		}
	}
});

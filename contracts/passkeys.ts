import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Tokens } from "./auth.ts";
import { Id, Nullable, Params, Text, Timestamp } from "./common.ts";
import { passwordFailures } from "./passwords.ts";
import {
	reauthentication,
	REAUTHENTICATION,
	REAUTHENTICATION_FAILURES
} from "./reauthentication.ts";

export const Passkey = Type.Object(
	{
		id: Id,
		name: Type.String({ examples: ["Ada's phone"] }),
		backedUp: Type.Boolean({
			description: "Whether it is kept beside the device too, so that it outlives that"
		}),
		createdAt: Timestamp,
		lastUsedAt: Nullable(Timestamp)
	},
	{ title: "Passkey" }
);
export type Passkey = Static<typeof Passkey>;

const Base64Url = (maxLength: number, example: string) =>
	Type.String({
		pattern: "^[A-Za-z0-9_-]+$",
		maxLength,
		description: "base64url",
		examples: [example]
	});
const CredentialId = Base64Url(1_400, "Rk9SLUVYQU1QTEUtT05MWQ");
const Challenge = Base64Url(100, "Q2hhbGxlbmdlLW9mLTI1Ni1iaXRzLWFzLWJhc2U2NHU");
const ClientData = Base64Url(10_000, "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0");
const Transports = Type.Array(Type.String({ pattern: "^[a-z-]{1,32}$", examples: ["internal"] }), {
	maxItems: 10
});
const Credential = Type.Object({
	id: CredentialId,
	type: Type.Literal("public-key"),
	transports: Type.Optional(Transports)
});
const UserVerification = Type.Literal("required");

/** For `PublicKeyCredential.parseCreationOptionsFromJSON`. */
const CreationOptions = Type.Object(
	{
		rp: Type.Object({
			id: Type.String({ examples: ["example.com"] }),
			name: Type.String({ examples: ["Valence"] })
		}),
		user: Type.Object({
			id: Base64Url(100, "AZnA3gAAcACAAAAAAAAAAQ"),
			name: Type.String({ examples: ["ada@example.com"] }),
			displayName: Type.String({ examples: ["Ada Lovelace"] })
		}),
		challenge: Challenge,
		pubKeyCredParams: Type.Array(
			Type.Object({ type: Type.Literal("public-key"), alg: Type.Integer({ examples: [-7] }) })
		),
		timeout: Type.Integer({ description: "Milliseconds", examples: [300_000] }),
		excludeCredentials: Type.Array(Credential),
		authenticatorSelection: Type.Object({
			residentKey: Type.Literal("required"),
			requireResidentKey: Type.Literal(true),
			userVerification: UserVerification
		}),
		attestation: Type.Literal("none")
	},
	{ title: "PasskeyCreationOptions" }
);
export type CreationOptions = Static<typeof CreationOptions>;

/** For `PublicKeyCredential.parseRequestOptionsFromJSON`. */
const RequestOptions = Type.Object(
	{
		rpId: Type.String({ examples: ["example.com"] }),
		challenge: Challenge,
		timeout: Type.Integer({ description: "Milliseconds", examples: [300_000] }),
		userVerification: UserVerification
	},
	{ title: "PasskeyRequestOptions" }
);
export type RequestOptions = Static<typeof RequestOptions>;

// What a browser's `toJSON()` gives. Those of tomorrow may add to it, so it may have more than these.
const credential = {
	id: CredentialId,
	rawId: CredentialId,
	type: Type.Literal("public-key"),
	authenticatorAttachment: Type.Optional(Nullable(Type.String({ maxLength: 32 }))),
	clientExtensionResults: Type.Object({})
};
const CreatedCredential = Type.Object(
	{
		...credential,
		response: Type.Object({
			clientDataJSON: ClientData,
			attestationObject: Base64Url(50_000, "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVjE"),
			transports: Type.Optional(Transports)
		})
	},
	{ title: "CreatedPasskeyCredential" }
);
export type CreatedCredential = Static<typeof CreatedCredential>;

const AssertedCredential = Type.Object(
	{
		...credential,
		response: Type.Object({
			clientDataJSON: ClientData,
			authenticatorData: Base64Url(10_000, "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ"),
			signature: Base64Url(10_000, "MEUCIQDF0rExampleOfASignature"),
			userHandle: Type.Optional(Nullable(Base64Url(100, "AZnA3gAAcACAAAAAAAAAAQ")))
		})
	},
	{ title: "AssertedPasskeyCredential" }
);
export type AssertedCredential = Static<typeof AssertedCredential>;

const Name = Text(1, 100, { examples: ["Ada's phone"] });

/**
 * Passkeys (WebAuthn): keys of a device that signs in by itself, after it has made sure who holds it.
 * So they are two factors in one.
 */
export const passkeys = contract({
	name: "passkeys",
	failures: {
		WRONG_PASSWORD: passwordFailures.WRONG_PASSWORD,
		REAUTHENTICATION_REQUIRED: passwordFailures.REAUTHENTICATION_REQUIRED,
		BUSY: passwordFailures.BUSY,
		PASSKEYS_UNAVAILABLE: {
			status: 409,
			message:
				"Passkeys are for a name, and a page that came by HTTPS. The address of this API (PUBLIC_URL) is not like that."
		},
		INVALID_PASSKEY: {
			status: 422,
			message:
				"This passkey cannot be added: it is not what was asked for, or it took more than five minutes. Begin anew."
		},
		TOO_MANY_PASSKEYS: { status: 409, message: "You have twenty passkeys. Remove one first." },
		PASSKEY_REFUSED: {
			status: 401,
			message:
				"This passkey does not sign in here, or it took more than five minutes. Try again, or sign in otherwise."
		},
		LAST_SIGN_IN_METHOD: {
			status: 409,
			message: "You could not sign in any more. Set a password or add another passkey first."
		}
	},
	actions: {
		beginAdding: {
			summary: "Get what a browser needs to make a passkey",
			description: `Good for five minutes, once, in this session. ${REAUTHENTICATION}`,
			access: "user",
			rest: {
				route: "POST /auth/passkeys/options",
				tag: "Identity",
				idempotencyKey: "refused",
				limit: { attempt: "login" }
			},
			params: Params(reauthentication),
			result: CreationOptions,
			failures: [...REAUTHENTICATION_FAILURES, "PASSKEYS_UNAVAILABLE", "TOO_MANY_PASSKEYS"]
		},
		add: {
			summary: "Add the passkey that a browser has made",
			access: "user",
			rest: { route: "POST /auth/passkeys", tag: "Identity", status: 201 },
			params: Params({ name: Type.Optional(Name), response: CreatedCredential }),
			result: Passkey,
			failures: ["PASSKEYS_UNAVAILABLE", "INVALID_PASSKEY", "TOO_MANY_PASSKEYS"]
		},
		list: {
			summary: "List one's own passkeys, the oldest first",
			access: "user",
			rest: { route: "GET /auth/passkeys", tag: "Identity" },
			idempotent: true,
			params: Params({}),
			result: Type.Object({ items: Type.Array(Passkey), nextCursor: Type.Null() })
		},
		rename: {
			summary: "Give a passkey another name",
			access: "user",
			rest: { route: "PATCH /auth/passkeys/:id", tag: "Identity" },
			params: Params({ id: Id, name: Name }),
			result: Passkey,
			failures: ["NOT_FOUND"]
		},
		remove: {
			summary: "Remove a passkey",
			description: `The last way to sign in stays. ${REAUTHENTICATION}`,
			access: "user",
			rest: {
				route: "DELETE /auth/passkeys/:id",
				tag: "Identity",
				status: 204,
				body: ["password"],
				limit: { attempt: "login" }
			},
			params: Params({ id: Id, ...reauthentication }),
			result: Type.Null(),
			failures: [...REAUTHENTICATION_FAILURES, "NOT_FOUND", "LAST_SIGN_IN_METHOD"]
		},
		beginLogin: {
			summary: "Get what a browser needs to sign in by a passkey",
			description: "Good for five minutes, once.",
			access: "public",
			rest: {
				route: "POST /auth/passkeys/login/options",
				tag: "Identity",
				bearer: "ignored",
				// A challenge that was given before would be of no use.
				idempotencyKey: "refused",
				// Nothing can be guessed by it, but each is kept for a while.
				limit: { cost: 20 }
			},
			params: Params({}),
			result: RequestOptions,
			failures: ["PASSKEYS_UNAVAILABLE"]
		},
		login: {
			summary: "Sign in by a passkey",
			description:
				"The authenticator makes sure who holds it, by a finger or a PIN, so no further factor is asked for.",
			access: "public",
			rest: {
				route: "POST /auth/passkeys/login",
				tag: "Identity",
				bearer: "ignored",
				idempotencyKey: "refused",
				limit: { attempt: "login", failuresOnly: true }
			},
			params: Params({ response: AssertedCredential }),
			result: Tokens,
			failures: ["PASSKEYS_UNAVAILABLE", "PASSKEY_REFUSED"]
		}
	},
	events: {
		"user.passkey-added.v1": {
			summary: "A user can sign in by another passkey",
			data: Type.Object({ userId: Id, passkeyId: Id })
		},
		"user.passkey-removed.v1": {
			summary: "A passkey of a user does not sign in any more",
			data: Type.Object({ userId: Id, passkeyId: Id })
		}
	}
});

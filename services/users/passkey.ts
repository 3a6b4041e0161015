/** What browsers and their authenticators are asked, and whether they answered well (WebAuthn, level 3). */
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import {
	COSEALG,
	decodeAttestationObject,
	decodeClientDataJSON,
	isoBase64URL
} from "@simplewebauthn/server/helpers";
import type {
	AssertedCredential,
	CreatedCredential,
	CreationOptions,
	RequestOptions
} from "../../contracts/passkeys.ts";
import type { User } from "../../contracts/users.ts";
import type { RelyingParty } from "./relying-party.ts";

/** For how long an answer to a challenge is taken. */
export const CHALLENGE_SECONDS = 300;

const NAME = "Valence";
/** Signatures that we verify; every authenticator makes one of them. */
const ALGORITHMS = [COSEALG.EdDSA, COSEALG.ES256, COSEALG.RS256];
const PUBLIC_KEY = "public-key" as const;

/** A passkey as it is known to browsers. */
export interface KnownCredential {
	readonly credentialId: string;
	readonly transports: readonly string[];
}

/** A passkey that an authenticator has made. */
export interface NewPasskey extends KnownCredential {
	readonly publicKey: Buffer;
	readonly counter: number;
	readonly backedUp: boolean;
}

/** What an authenticator says when it signs. */
export interface Assertion {
	readonly counter: number;
	readonly backedUp: boolean;
}

/** What authenticators know a user by: the id's 16 bytes, which say nothing of who it is. */
export const userHandleOf = (userId: string): string =>
	Buffer.from(userId.replaceAll("-", ""), "hex").toString("base64url");

export const creationOptions = (
	challenge: string,
	{ id: userId, email, username, name }: User,
	known: readonly KnownCredential[],
	{ id }: RelyingParty
): CreationOptions => ({
	rp: { id, name: NAME },
	user: { id: userHandleOf(userId), name: email, displayName: name ?? username },
	challenge,
	pubKeyCredParams: ALGORITHMS.map(alg => ({ type: PUBLIC_KEY, alg })),
	timeout: CHALLENGE_SECONDS * 1_000,
	excludeCredentials: known.map(({ credentialId, transports }) => ({
		id: credentialId,
		type: PUBLIC_KEY,
		transports: [...transports]
	})),
	// Found without a log-in, and by somebody whom it has made sure of.
	authenticatorSelection: {
		residentKey: "required",
		requireResidentKey: true,
		userVerification: "required"
	},
	attestation: "none"
});

export const requestOptions = (challenge: string, { id }: RelyingParty): RequestOptions => ({
	rpId: id,
	challenge,
	timeout: CHALLENGE_SECONDS * 1_000,
	userVerification: "required"
});

/** The challenge that an answer claims to be for; undefined where it claims none. */
export const challengeOf = ({
	response
}: CreatedCredential | AssertedCredential): string | undefined =>
	attempt(() => {
		const { challenge } = decodeClientDataJSON(response.clientDataJSON) as { challenge: unknown };
		return typeof challenge === "string" ? challenge : undefined;
	});

/** The passkey that was made for this challenge; undefined where it is not as it was asked for. */
export async function verifyCreation(
	response: CreatedCredential,
	challenge: string,
	party: RelyingParty
): Promise<NewPasskey | undefined> {
	if (!attempt(() => isUnattested(response))) return undefined;
	const answer = verifyRegistrationResponse({
		response: response as Parameters<typeof verifyRegistrationResponse>[0]["response"],
		expectedChallenge: challenge,
		expectedOrigin: [...party.origins],
		expectedRPID: party.id,
		requireUserVerification: true,
		supportedAlgorithmIDs: ALGORITHMS
	});
	// Whatever it stumbles over, a stranger has sent.
	const { registrationInfo } = await answer.catch(() => ({ registrationInfo: undefined }));
	if (!registrationInfo) return undefined;
	const { credential, credentialBackedUp } = registrationInfo;
	return {
		credentialId: credential.id,
		publicKey: Buffer.from(credential.publicKey),
		counter: credential.counter,
		transports: response.response.transports ?? [],
		backedUp: credentialBackedUp
	};
}

/**
 * Whether nobody vouches for the authenticator, as we asked. Of a certificate the library would look up
 * revocations, at an address that the certificate names: nobody makes us do that.
 */
function isUnattested({ response }: CreatedCredential): boolean {
	const attestation = decodeAttestationObject(isoBase64URL.toBuffer(response.attestationObject));
	const format = attestation.get("fmt");
	return (
		format === "none" ||
		(format === "packed" && attestation.get("attStmt").get("x5c") === undefined)
	);
}

/**
 * What the authenticator of a passkey says about this challenge; undefined where it is not signed by
 * that, or not as it was asked for. Whether its counter has gone on is the caller's to ask.
 */
export async function verifyAssertion(
	response: AssertedCredential,
	challenge: string,
	{ credentialId, publicKey }: Pick<NewPasskey, "credentialId" | "publicKey">,
	party: RelyingParty
): Promise<Assertion | undefined> {
	const answer = verifyAuthenticationResponse({
		response: response as Parameters<typeof verifyAuthenticationResponse>[0]["response"],
		expectedChallenge: challenge,
		expectedOrigin: [...party.origins],
		expectedRPID: party.id,
		credential: { id: credentialId, publicKey: Uint8Array.from(publicKey), counter: 0 },
		requireUserVerification: true
	});
	const outcome = await answer.catch(() => undefined);
	if (!outcome?.verified) return undefined;
	const { newCounter, credentialBackedUp } = outcome.authenticationInfo;
	return { counter: newCounter, backedUp: credentialBackedUp };
}

/** What it computes of something that a stranger has sent; undefined where it stumbles over that. */
function attempt<T>(compute: () => T): T | undefined {
	try {
		return compute();
	} catch {
		return undefined;
	}
}

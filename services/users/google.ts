/** Sign-in at an OpenID provider: where browsers may be sent back to, and what an account is made of. */
import { createHash } from "node:crypto";
import { Text } from "../../contracts/common.ts";
import { Email } from "../../contracts/users.ts";
import { createAjv } from "../../lib/validator.ts";
import type { FederatedIdentity } from "./identities.store.ts";

/** Somebody as the provider tells of them. */
export interface ProvenPerson extends FederatedIdentity {
	/** Whether the provider has seen that the address is theirs. */
	readonly emailVerified: boolean;
	readonly name: string | null;
}

/** What a provider says of somebody; any of it may be missing, or be something else. */
export interface Claims {
	readonly sub: string;
	readonly email?: unknown;
	readonly email_verified?: unknown;
	readonly name?: unknown;
}

const ajv = createAjv();
const isEmail = ajv.compile<string>(Email);
const isName = ajv.compile<string>(Text(1, 200));

/** The person that verified claims are about. */
export function personOf(issuer: string, claims: Claims): ProvenPerson {
	return {
		issuer: issuerOf(issuer),
		subject: claims.sub,
		email: isEmail(claims.email) ? claims.email : null,
		// Some say it as text, and a word is not a promise.
		emailVerified: claims.email_verified === true,
		name: isName(claims.name) ? claims.name : null
	};
}

/** An issuer as it is kept, so that a slash at its end does not make it another one. */
export const issuerOf = (url: string): string => new URL(url).href.replace(/\/$/, "");

/**
 * The absolute address that `returnTo` means, undefined where browsers shall not be sent there: it is
 * neither a path below `publicUrl` nor of one of the origins, or reads as something else than it is.
 */
export function returnAddress(
	returnTo: string,
	publicUrl: URL,
	origins: ReadonlySet<string>
): string | undefined {
	// Browsers drop some of these, and take a backslash for a slash.
	if (/[\\\s\p{Cc}\p{Cs}#]/u.test(returnTo) || returnTo.startsWith("//")) return undefined;
	const isPath = returnTo.startsWith("/");
	// Without the slashes, `https:evil` would be a path to some.
	if (!isPath && !/^https?:\/\/[^/]/i.test(returnTo)) return undefined;
	const url = URL.parse(returnTo, isPath ? publicUrl.origin : undefined);
	if (!url || url.username !== "" || url.password !== "") return undefined;
	return url.origin === publicUrl.origin || origins.has(url.origin) ? url.href : undefined;
}

/** Longest and shortest, as the contract of users has it. */
const USERNAME_LENGTH = { min: 3, max: 32 };

/** A username made of what somebody is called, or else of the address; it may well be taken. */
export const usernameOf = ({ name, email }: Pick<ProvenPerson, "name" | "email">): string =>
	[name ?? "", email?.split("@", 1)[0] ?? ""].map(simplify).find(isLongEnough) ?? "user";

/** The same with something behind it (up to ten letters and digits) that makes it another one. */
export const usernameWith = (username: string, suffix: string): string =>
	`${username.slice(0, USERNAME_LENGTH.max - suffix.length - 1)}-${suffix}`;

const isLongEnough = ({ length }: string): boolean => length >= USERNAME_LENGTH.min;

const simplify = (text: string): string =>
	text
		.normalize("NFKD")
		.replaceAll(/\p{M}/gu, "")
		.toLowerCase()
		.replaceAll(/[^a-z0-9_-]+/g, ".")
		.slice(0, USERNAME_LENGTH.max)
		.replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");

/** Whether the verifier is the secret that the challenge was made of (RFC 7636, 4.6); nobody has one where there was none. */
export const isProvenBy = (challenge: string | null, verifier: string | undefined): boolean =>
	challenge === null
		? verifier === undefined
		: verifier !== undefined &&
			createHash("sha256").update(verifier).digest("base64url") === challenge;

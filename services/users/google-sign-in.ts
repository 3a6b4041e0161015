/** A sign-in at the OpenID provider, from where it begins to what follows once it has come back. */
import { randomBytes } from "node:crypto";
import type { Tokens } from "../../contracts/auth.ts";
import { google } from "../../contracts/google.ts";
import type { User } from "../../contracts/users.ts";
import { publicUrl, type Config } from "../../lib/config.ts";
import type { Tx } from "../../lib/database.ts";
import { commonFailure, failure, isFailure } from "../../lib/failure.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import type { DatabaseMethods } from "../../mixins/events.mixin.ts";
import { returnAddress, usernameOf, usernameWith, type ProvenPerson } from "./google.ts";
import { addIdentity, findHolder, lockIdentity } from "./identities.store.ts";
import type { OpenIdProvider } from "./openid-provider.ts";
import {
	addCode,
	addPending,
	takePending,
	type LinkTo,
	type PendingSignIn
} from "./pending-sign-ins.store.ts";
import type { Proof } from "./proof.mixin.ts";
import { logSecurity } from "./security-log.ts";
import { hashOf } from "./session.ts";
import { isAlive } from "./sessions.store.ts";
import { openSignedIn, tokensOf } from "./sign-in.ts";
import { createUser, findUserForUpdate, recordFact } from "./users.store.ts";

export interface Abroad {
	readonly provider: OpenIdProvider;
	readonly config: Config;
}
type Self = DatabaseMethods & Proof & Abroad;

/** 256 bits, base64url. */
const newSecret = (): string => randomBytes(32).toString("base64url");
const isSecret = (text: string | undefined): text is string =>
	/^[A-Za-z0-9_-]{43}$/.test(text ?? "");

/** Throws VALIDATION_ERROR. */
function returnAddressOf(returnTo: string, config: Config): string {
	const origins = new Set(config.CORS_ORIGINS.split(",").filter(Boolean));
	const address = returnAddress(returnTo, new URL(publicUrl(config)), origins);
	if (address !== undefined) return address;
	const message = "must be a path here, or lead to an origin that may call the API";
	throw commonFailure("VALIDATION_ERROR", {
		errors: [{ field: "returnTo", code: "origin", message }]
	});
}

interface Wishes {
	readonly returnTo?: string;
	readonly codeChallenge?: string;
	readonly browser?: string;
}

/** Where to send the browser, and the secret by which it is known again. */
export async function begin(
	{ db, config, provider }: Self,
	{ returnTo, codeChallenge, browser: known }: Wishes,
	linkTo: LinkTo | null
): Promise<{ location: string; browser: string }> {
	const address = returnTo === undefined ? null : returnAddressOf(returnTo, config);
	// The same for all its tabs, so that one does not break off the sign-in of another.
	const browser = isSecret(known) ? known : newSecret();
	const binding = { state: newSecret(), nonce: newSecret(), verifier: newSecret() };
	const location = await provider.addressFor(binding);
	const { state, ...secrets } = binding;
	await addPending(db, hashOf(state), hashOf(browser), {
		...secrets,
		returnTo: address,
		codeChallenge: codeChallenge ?? null,
		linkTo
	});
	return { location, browser };
}

/** What follows for a user who may sign in. */
type Grant<T> = (tx: Tx, user: User) => Promise<T>;
interface Granted<T> {
	readonly user: User;
	readonly grant: T;
}

/** Undefined where the user may not sign in, which is written down. */
export async function grantTo<T>(
	tx: Tx,
	userId: string,
	client: ClientInfo,
	grant: Grant<T>
): Promise<Granted<T> | undefined> {
	const user = await findUserForUpdate(tx, userId);
	if (user?.status === "active") return { user, grant: await grant(tx, user) };
	await logSecurity(tx, { type: "sign-in-failed", userId, client, note: "google" });
	return undefined;
}

/** Makes an account without a password. Throws GOOGLE_EMAIL_UNVERIFIED, EMAIL_TAKEN or USERNAME_TAKEN. */
async function signUp(
	tx: Tx,
	person: ProvenPerson,
	username: string,
	client: ClientInfo
): Promise<string> {
	const { email, emailVerified, name } = person;
	if (email === null || !emailVerified) throw failure(google, "GOOGLE_EMAIL_UNVERIFIED");
	const roles = ["customer" as const];
	const account = { email, username, name, passwordHash: null, roles, emailVerified };
	const { id: userId } = await createUser(tx, account).catch((error: unknown) => {
		throw isFailure(error, "EMAIL_TAKEN") ? failure(google, "EMAIL_TAKEN") : error;
	});
	await addIdentity(tx, userId, person);
	await recordFact(tx, userId, "user.email-verified.v1", { userId });
	await logSecurity(tx, { type: "registered", userId, client, note: "google" });
	return userId;
}

/** Signs in whoever is known by this identity, or somebody new. Throws ACCOUNT_DISABLED as well. */
async function signIn<T>(
	self: Self,
	person: ProvenPerson,
	client: ClientInfo,
	grant: Grant<T>
): Promise<Granted<T>> {
	const plain = usernameOf(person);
	const others = [2, 4].map(bytes => usernameWith(plain, randomBytes(bytes).toString("hex")));
	const granted = await withFreeName([plain, ...others], username =>
		self.transaction(async tx => {
			await lockIdentity(tx, person);
			const holder = await findHolder(tx, person);
			const userId = holder ?? (await signUp(tx, person, username, client));
			return grantTo(tx, userId, client, grant);
		})
	);
	if (!granted) throw failure(google, "ACCOUNT_DISABLED");
	return granted;
}

/** Tries one name after the other, as long as they are taken. */
async function withFreeName<T>(
	[name, ...others]: readonly string[],
	attempt: (username: string) => Promise<T>
): Promise<T> {
	try {
		return await attempt(name!);
	} catch (error) {
		if (others.length === 0 || !isFailure(error, "USERNAME_TAKEN")) throw error;
		return withFreeName(others, attempt);
	}
}

/**
 * Links the identity to the account of who has begun it, in a session that is still open. Throws
 * GOOGLE_SIGN_IN_EXPIRED, GOOGLE_LINKED_ELSEWHERE or GOOGLE_ALREADY_LINKED.
 */
async function link(
	tx: Tx,
	{ userId, sessionId }: LinkTo,
	person: ProvenPerson,
	client: ClientInfo
): Promise<void> {
	await lockIdentity(tx, person);
	const user = await findUserForUpdate(tx, userId);
	// Whoever has signed out everywhere has taken back what a thief of a session began.
	if (user?.status !== "active" || !(await isAlive(tx, { userId, sessionId })))
		throw failure(google, "GOOGLE_SIGN_IN_EXPIRED");
	if (await addIdentity(tx, userId, person)) {
		await recordFact(tx, userId, "user.identity-linked.v1", { userId, provider: "google" });
		return logSecurity(tx, { type: "identity-linked", userId, client, sessionId, note: "google" });
	}
	const holder = await findHolder(tx, person);
	if (holder === undefined) throw failure(google, "GOOGLE_ALREADY_LINKED");
	if (holder !== userId) throw failure(google, "GOOGLE_LINKED_ELSEWHERE");
}

/** How a sign-in without `returnTo` ends: with tokens, or null where it linked. */
export async function answer(
	self: Self,
	{ linkTo }: PendingSignIn,
	person: ProvenPerson,
	client: ClientInfo
): Promise<Tokens | null> {
	if (linkTo) {
		await self.transaction(tx => link(tx, linkTo, person, client));
		return null;
	}
	const { user, grant } = await signIn(self, person, client, (tx, found) =>
		openSignedIn(tx, found, "google", client)
	);
	return tokensOf(user, grant, self.keys);
}

/** How one with `returnTo` ends: what goes behind the `#`. Tokens stand in no address. */
export async function fragment(
	self: Self,
	{ linkTo, codeChallenge }: PendingSignIn,
	person: ProvenPerson,
	client: ClientInfo
): Promise<string> {
	if (linkTo) {
		await self.transaction(tx => link(tx, linkTo, person, client));
		return "linked";
	}
	const code = newSecret();
	await signIn(self, person, client, (tx, { id: userId }) =>
		addCode(tx, hashOf(code), { userId, codeChallenge })
	);
	return `code=${code}`;
}

/** A failure that the contract knows, as a fragment; others are thrown. */
export function failed(error: unknown): string {
	const { type } = error as { type?: unknown };
	if (typeof type !== "string" || !Object.hasOwn(google.failures, type)) throw error;
	return `error=${type}`;
}

/** Finds what was begun in this browser, and uses it up. Throws GOOGLE_SIGN_IN_EXPIRED. */
export async function pendingOf(
	{ db }: Self,
	state: string,
	browser: string | undefined
): Promise<PendingSignIn> {
	const pending = browser && (await takePending(db, hashOf(state), hashOf(browser)));
	if (!pending) throw failure(google, "GOOGLE_SIGN_IN_EXPIRED");
	return pending;
}

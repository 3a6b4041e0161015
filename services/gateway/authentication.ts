/** Who is calling: the bearer of an access token, or nobody. */
import { decodeProtectedHeader, type JSONWebKeySet } from "jose";
import { verifyAccessToken } from "../../lib/access-token.ts";
import { commonFailure } from "../../lib/failure.ts";
import type { Identity } from "../../lib/identity.ts";

export interface AuthenticatorOptions {
	/** Asks for the public keys. */
	readonly readKeys: () => Promise<JSONWebKeySet>;
	readonly isRevoked: (sessionId: string) => boolean;
	readonly now?: () => number;
}

const BEARER = /^Bearer +([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2})$/i;
/** A token may name any key: so often at most is an unknown one asked for. */
const UNKNOWN_KEY_PAUSE_MS = 5_000;
/** After so long the keys are read again, so that one that was withdrawn is forgotten. */
const MAX_AGE_MS = 300_000;

export class Authenticator {
	readonly #options: Required<AuthenticatorOptions>;
	#keys: JSONWebKeySet | undefined;
	#askedAt = -Infinity;
	#asking: Promise<void> | undefined;

	constructor(options: AuthenticatorOptions) {
		this.#options = { now: Date.now, ...options };
	}

	/**
	 * Who the `Authorization` header speaks for; undefined without one. Throws UNAUTHENTICATED for any
	 * that is not good, also where a guest would do: the client believes to be somebody.
	 */
	async identify(authorization: string | undefined): Promise<Identity | undefined> {
		if (authorization === undefined) return undefined;
		const token = BEARER.exec(authorization)?.[1];
		if (!token) throw commonFailure("UNAUTHENTICATED");
		const identity = await verifyAccessToken(token, await this.#keysFor(keyIdOf(token)));
		if (this.#options.isRevoked(identity.sessionId)) throw commonFailure("UNAUTHENTICATED");
		return identity;
	}

	async #keysFor(kid: string): Promise<JSONWebKeySet> {
		const age = this.#options.now() - this.#askedAt;
		const isKnown = this.#keys?.keys.some(key => key.kid === kid);
		if (!this.#keys || age >= MAX_AGE_MS || (!isKnown && age >= UNKNOWN_KEY_PAUSE_MS))
			await (this.#asking ??= this.#ask().finally(() => (this.#asking = undefined)));
		return this.#keys!;
	}

	async #ask(): Promise<void> {
		this.#askedAt = this.#options.now();
		try {
			const { keys } = await this.#options.readKeys();
			this.#keys = { keys };
		} catch (error) {
			// Those who are signed in stay so while the service that signs is away.
			if (!this.#keys) throw error;
		}
	}
}

function keyIdOf(token: string): string {
	try {
		return String(decodeProtectedHeader(token).kid);
	} catch {
		throw commonFailure("UNAUTHENTICATED");
	}
}

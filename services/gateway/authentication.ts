/** Who is calling: the bearer of an access token, or nobody. */
import { decodeJwt, decodeProtectedHeader, type JSONWebKeySet } from "jose";
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
/** Tokens whose signature is not checked again with each request, which costs more than all the rest. */
const MAX_VERIFIED = 10_000;

export class Authenticator {
	readonly #options: Required<AuthenticatorOptions>;
	#keys: JSONWebKeySet | undefined;
	#askedAt = -Infinity;
	#asking: Promise<void> | undefined;
	/** By the token; of those keys alone that are held now. */
	readonly #verified = new Map<string, Verified>();

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
		const identity = this.#known(token) ?? (await this.#verify(token));
		if (this.#options.isRevoked(identity.sessionId)) throw commonFailure("UNAUTHENTICATED");
		return identity;
	}

	#known(token: string): Identity | undefined {
		const verified = this.#verified.get(token);
		const now = this.#options.now();
		// As soon as the keys are too old the long way is taken, which reads them.
		if (!verified || now >= verified.until || now - this.#askedAt >= MAX_AGE_MS) return undefined;
		return verified.identity;
	}

	async #verify(token: string): Promise<Identity> {
		const keys = await this.#keysFor(keyIdOf(token));
		const identity = await verifyAccessToken(token, keys);
		// Not where the keys have changed meanwhile.
		if (keys === this.#keys) {
			// The oldest goes: its bearer pays for another check.
			if (this.#verified.size >= MAX_VERIFIED)
				this.#verified.delete(this.#verified.keys().next().value!);
			this.#verified.set(token, { identity, until: decodeJwt(token).exp! * 1_000 });
		}
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
			this.#verified.clear();
		} catch (error) {
			// Those who are signed in stay so while the service that signs is away.
			if (!this.#keys) throw error;
		}
	}
}

interface Verified {
	readonly identity: Identity;
	/** When the token ends, in milliseconds since 1970. */
	readonly until: number;
}

function keyIdOf(token: string): string {
	try {
		return String(decodeProtectedHeader(token).kid);
	} catch {
		throw commonFailure("UNAUTHENTICATED");
	}
}

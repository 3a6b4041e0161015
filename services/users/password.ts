/** Hashing of passwords: Argon2id, off the event loop, and never too much of it at once. */
import { type Algorithm, hash, verify } from "@node-rs/argon2";
import { verify as verifyBcrypt } from "@node-rs/bcrypt";
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { auth } from "../../contracts/auth.ts";
import { failure } from "../../lib/failure.ts";
import { Bulkhead } from "./bulkhead.ts";
import { isBcrypt, isMadeBy } from "./password-hash.ts";

// The parameters of OWASP's first recommendation. The binding's const enum is no value at run time.
const ARGON2 = {
	algorithm: 2 satisfies Algorithm.Argon2id,
	memoryCost: 19_456,
	timeCost: 2,
	parallelism: 1
};

// Each hash takes a thread of libuv's pool, which has four: half of them stay free for files and DNS.
// And a core: one stays free for all who do not sign in just now.
export const AT_ONCE = Math.max(1, Math.min(2, availableParallelism() - 1));
export const WAITING = 100;

/** Makes and checks password hashes. All throw BUSY when too many wait already. */
export class Passwords {
	readonly #bulkhead = new Bulkhead(AT_ONCE, WAITING, () => failure(auth, "BUSY"));
	// Nobody's password: what an unknown login is compared with, so that it takes as long as a known one.
	readonly #decoy = hash(randomBytes(32), ARGON2);

	/** The Argon2id hash of a password, as a PHC string. */
	hash(password: string): Promise<string> {
		return this.#bulkhead.run(() => hash(canonical(password), ARGON2));
	}

	/**
	 * Whether the password is the one that was hashed, by Argon2id or, elsewhere, by bcrypt; false, after
	 * the same work as for a hash of ours, where there is none. bcrypt looks at the first 72 bytes alone.
	 */
	async verify(passwordHash: string | null | undefined, password: string): Promise<boolean> {
		const decoy = await this.#decoy;
		const same = await this.#bulkhead.run(() => isAnyOf(formsOf(password), passwordHash ?? decoy));
		return same && passwordHash != null;
	}

	/**
	 * A hash of today's kind for a password that was proven against this one; undefined where this is one.
	 * It is of the whole password, however much of it the old one looked at.
	 */
	async renewed(passwordHash: string, password: string): Promise<string | undefined> {
		return isMadeBy(passwordHash, ARGON2) ? undefined : this.hash(password);
	}
}

// Two keyboards may write the same letter as different code points.
const canonical = (password: string): string => password.normalize("NFKC");

/** What may have been hashed: our form and, by whoever had the account before us, just what was typed. */
const formsOf = (password: string): ReadonlySet<string> => new Set([canonical(password), password]);

async function isAnyOf(passwords: Iterable<string>, passwordHash: string): Promise<boolean> {
	for (const password of passwords)
		if (
			await (isBcrypt(passwordHash)
				? verifyBcrypt(password, passwordHash)
				: verify(passwordHash, password))
		)
			return true;
	return false;
}

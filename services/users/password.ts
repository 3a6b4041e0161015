/** Hashing of passwords: Argon2id, off the event loop, and never too much of it at once. */
import { type Algorithm, hash, verify } from "@node-rs/argon2";
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import { auth } from "../../contracts/auth.ts";
import { failure } from "../../lib/failure.ts";
import { Bulkhead } from "./bulkhead.ts";

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

/** Makes and checks password hashes. Both throw BUSY when too many wait already. */
export class Passwords {
	readonly #bulkhead = new Bulkhead(AT_ONCE, WAITING, () => failure(auth, "BUSY"));
	// Nobody's password: what an unknown login is compared with, so that it takes as long as a known one.
	readonly #decoy = hash(randomBytes(32), ARGON2);

	/** The Argon2id hash of a password, as a PHC string. */
	hash(password: string): Promise<string> {
		return this.#bulkhead.run(() => hash(canonical(password), ARGON2));
	}

	/** Whether the password is the one that was hashed; false, after the same work, where there is no hash. */
	async verify(passwordHash: string | null | undefined, password: string): Promise<boolean> {
		const decoy = await this.#decoy;
		const same = await this.#bulkhead.run(() => verify(passwordHash ?? decoy, canonical(password)));
		return same && passwordHash != null;
	}
}

// Two keyboards may write the same letter as different code points.
const canonical = (password: string): string => password.normalize("NFKC");

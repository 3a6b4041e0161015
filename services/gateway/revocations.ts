/** The sessions that have ended while access tokens of theirs may still be alive. */
import { CLOCK_TOLERANCE_SECONDS } from "../../lib/access-token.ts";

export interface Revocation {
	readonly sessionId: string;
	/** When the session's last access token ends by itself. */
	readonly until: string;
}

export class Revocations {
	readonly #until = new Map<string, number>();

	add({ sessionId, until }: Revocation): void {
		// A token is still taken a little after its end, so its revocation is kept longer.
		this.#until.set(sessionId, Date.parse(until) + 2 * CLOCK_TOLERANCE_SECONDS * 1_000);
	}

	has(sessionId: string): boolean {
		return this.#until.has(sessionId);
	}

	/** Forgets what cannot matter any more. */
	prune(now: number): void {
		for (const [sessionId, until] of this.#until) if (until < now) this.#until.delete(sessionId);
	}
}

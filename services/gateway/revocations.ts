/**
 * The sessions that have ended while access tokens of theirs may still be alive. Each end is broadcast,
 * which a gateway may miss; so it also asks twice a second for those of late, and at times for all.
 */
import { CLOCK_TOLERANCE_SECONDS } from "../../lib/access-token.ts";

export interface Revocation {
	readonly sessionId: string;
	/** When the session's last access token ends by itself. */
	readonly until: string;
}

/** How often those of late are asked for. */
export const RECENT_EVERY_MS = 500;
const ALL_EVERY_MS = 30_000;
/** No transaction that ends a session stays open longer; until it commits nobody else sees its end. */
const OVERLAP_SECONDS = 10;

interface RevocationsOptions {
	/** Asks for the sessions that ended at most so many seconds ago; for all where nothing is said. */
	readonly ask: (params: { withinSeconds?: number }) => Promise<readonly Revocation[]>;
	/** Milliseconds of a clock that is never set. */
	readonly now?: () => number;
}

export class Revocations {
	readonly #ask: RevocationsOptions["ask"];
	readonly #now: () => number;
	readonly #until = new Map<string, number>();
	#readAt = -Infinity;
	#allReadAt = -Infinity;

	constructor({ ask, now = () => performance.now() }: RevocationsOptions) {
		this.#ask = ask;
		this.#now = now;
	}

	/** True once all have been read: before, ended sessions would be let in. */
	get areKnown(): boolean {
		return this.#allReadAt > -Infinity;
	}

	/** How long ago they were read; Infinity where they never were. */
	get ageMs(): number {
		return this.#now() - this.#readAt;
	}

	add({ sessionId, until }: Revocation): void {
		// A token is still taken a little after its end, so its revocation is kept longer.
		this.#until.set(sessionId, Date.parse(until) + 2 * CLOCK_TOLERANCE_SECONDS * 1_000);
	}

	has(sessionId: string): boolean {
		return this.#until.has(sessionId);
	}

	/** Asks for what was missed since it asked last. Throws what the asking throws. */
	async read(): Promise<void> {
		const begun = this.#now();
		const all = begun - this.#allReadAt >= ALL_EVERY_MS;
		const withinSeconds = Math.ceil((begun - this.#readAt) / 1_000) + OVERLAP_SECONDS;
		for (const revocation of await this.#ask(all ? {} : { withinSeconds })) this.add(revocation);
		this.#readAt = begun;
		if (all) this.#allReadAt = begun;
	}

	/** Forgets what cannot matter any more. */
	prune(now: number): void {
		for (const [sessionId, until] of this.#until) if (until < now) this.#until.delete(sessionId);
	}
}

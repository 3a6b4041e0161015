/** Where points are counted: in this process, or in Redis for all gateways together. */
import { Redis } from "ioredis";
import type { Service } from "moleculer";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { redisOptions } from "../../lib/redis.ts";

/** So many points within so many seconds, from the first on. */
export interface Policy {
	readonly name: string;
	readonly points: number;
	readonly seconds: number;
}

/** How somebody stands with a policy. */
export interface Balance {
	readonly policy: Policy;
	readonly isExceeded: boolean;
	readonly remaining: number;
	readonly msUntilReset: number;
}

/** Redis does not answer; what must be counted for all gateways together cannot be. */
export class LedgerAway extends Error {
	override readonly name = "LedgerAway";
}

/** So long Redis is not asked again once it has failed: who waits for it should be few. */
const PAUSE_MS = 1_000;

export class Ledger {
	readonly #redis: Redis | undefined;
	readonly #logger: Pick<Service["logger"], "warn" | "info">;
	#awayUntil = 0;
	#isAway = false;

	/** Counts in this process where there is no `redisUrl`. */
	constructor(redisUrl: string | undefined, logger: Pick<Service["logger"], "warn" | "info">) {
		this.#logger = logger;
		if (redisUrl === undefined) return;
		this.#redis = new Redis({ ...redisOptions(redisUrl), lazyConnect: true });
		// Told where it matters, by whoever asks; unheard, ioredis would print each attempt.
		this.#redis.on("error", () => {});
	}

	/** Connects, if it can; else it goes on trying. */
	async open(): Promise<void> {
		await this.#redis?.connect().catch((error: unknown) => this.#fail(error));
	}

	close(): void {
		this.#redis?.disconnect();
	}

	/** Counts by this policy. A strict one throws LedgerAway without Redis; any other counts by itself meanwhile. */
	bucket(policy: Policy, { isStrict }: { isStrict: boolean }): Bucket {
		const options = {
			keyPrefix: `valence:limit:${policy.name}`,
			points: policy.points,
			duration: policy.seconds
		};
		const own = new RateLimiterMemory(options);
		if (!this.#redis) return new Bucket(policy, own);
		const shared = new RateLimiterRedis({
			...options,
			storeClient: this.#redis,
			rejectIfRedisNotReady: true,
			// Who has used up everything is turned away without asking Redis. Not where points may come back.
			...(isStrict ? {} : { inMemoryBlockOnConsumed: policy.points })
		});
		return new Bucket(policy, shared, this, isStrict ? undefined : own);
	}

	/** Asks Redis, unless it failed a moment ago. Throws LedgerAway. */
	async ask<T>(question: () => Promise<T>): Promise<T> {
		if (Date.now() < this.#awayUntil) throw new LedgerAway();
		try {
			const answer = await question();
			this.#recover();
			return answer;
		} catch (error) {
			if (error instanceof RateLimiterRes) {
				this.#recover();
				throw error;
			}
			this.#fail(error);
			throw new LedgerAway();
		}
	}

	#fail(error: unknown): void {
		this.#awayUntil = Date.now() + PAUSE_MS;
		if (!this.#isAway)
			this.#logger.warn(`Redis does not count; sign-ins are refused meanwhile: ${String(error)}`);
		this.#isAway = true;
	}

	#recover(): void {
		if (this.#isAway) this.#logger.info("Redis counts again.");
		this.#isAway = false;
	}
}

type Limiter = Pick<RateLimiterMemory, "consume" | "reward">;

/** Everybody's points by one policy. */
export class Bucket {
	readonly policy: Policy;
	readonly #limiter: Limiter;
	readonly #ledger: Ledger | undefined;
	readonly #insurance: Limiter | undefined;

	constructor(policy: Policy, limiter: Limiter, ledger?: Ledger, insurance?: Limiter) {
		this.policy = policy;
		this.#limiter = limiter;
		this.#ledger = ledger;
		this.#insurance = insurance;
	}

	/** Takes points of `key`. Throws LedgerAway. */
	async take(key: string, points: number): Promise<Balance> {
		return this.#balance(limiter => limiter.consume(key, points));
	}

	/** Gives points back. Throws LedgerAway. */
	async giveBack(key: string, points: number): Promise<Balance> {
		return this.#balance(limiter => limiter.reward(key, points));
	}

	async #balance(change: (limiter: Limiter) => Promise<RateLimiterRes>): Promise<Balance> {
		try {
			return this.#told(await this.#change(change), false);
		} catch (error) {
			if (error instanceof RateLimiterRes) return this.#told(error, true);
			throw error;
		}
	}

	async #change(change: (limiter: Limiter) => Promise<RateLimiterRes>): Promise<RateLimiterRes> {
		if (!this.#ledger) return change(this.#limiter);
		try {
			return await this.#ledger.ask(() => change(this.#limiter));
		} catch (error) {
			if (!(error instanceof LedgerAway) || !this.#insurance) throw error;
			return change(this.#insurance);
		}
	}

	#told({ remainingPoints, msBeforeNext }: RateLimiterRes, isExceeded: boolean): Balance {
		return {
			policy: this.policy,
			isExceeded,
			remaining: remainingPoints,
			msUntilReset: msBeforeNext
		};
	}
}

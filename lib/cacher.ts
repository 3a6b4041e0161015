/** The cache of actions that declare one: in memory in one process, in Redis in the cluster. */
import { Cachers, type BrokerOptions } from "moleculer";
import type { Config } from "./config.ts";
import { redisOptions } from "./redis.ts";

type Key = string | string[];
interface RedisCacherMethods {
	logger: { warn(message: string): void };
	client: { disconnect(): void };
	get(key: string): Promise<unknown>;
	set(key: string, data: unknown, ttl?: number): Promise<unknown>;
	del(key: Key): Promise<unknown>;
	clean(match?: Key): Promise<unknown>;
	close(): Promise<unknown>;
}
const Redis = Cachers.Redis as unknown as new (options: object) => RedisCacherMethods;

/**
 * Moleculer's Redis cacher, without which the system still works: the stock one leaves rejections
 * unhandled when Redis goes away, and Node ends the process on those. Here a cache that does not
 * answer is an empty one.
 */
export class ForgivingRedisCacher extends Redis {
	/** Operations that Redis did not carry out, since the start. */
	failures = 0;
	#isDown = false;

	override get(key: string): Promise<unknown> {
		return this.#forgive(super.get(key));
	}
	override set(key: string, data: unknown, ttl?: number): Promise<unknown> {
		return this.#forgive(super.set(key, data, ttl));
	}
	override del(key: Key): Promise<unknown> {
		return this.#forgive(super.del(key));
	}
	override clean(match?: Key): Promise<unknown> {
		return this.#forgive(super.clean(match));
	}

	override async close(): Promise<void> {
		await this.#forgive(super.close());
		this.client.disconnect();
	}

	/** Undefined is how Moleculer's cachers say that there is nothing; null would be an answer. */
	async #forgive(work: Promise<unknown>): Promise<unknown> {
		try {
			const answer = await work;
			this.#isDown = false;
			return answer;
		} catch (error) {
			this.failures++;
			if (!this.#isDown) this.logger.warn(`The cache does not answer: ${String(error)}`);
			this.#isDown = true;
			return undefined;
		}
	}
}

/** The cacher for this configuration. */
export const cacherFor = ({ REDIS_URL }: Config): NonNullable<BrokerOptions["cacher"]> =>
	REDIS_URL
		? (new ForgivingRedisCacher({
				redis: redisOptions(REDIS_URL)
			}) as never)
		: { type: "Memory", options: { clone: false } };

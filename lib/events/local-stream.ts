import { setTimeout as sleep } from "node:timers/promises";
import type { Envelope } from "./envelope.ts";
import type { Consume, EventStream, Receipt, Subscriber } from "./stream.ts";

interface Consumer {
	readonly types: ReadonlySet<string>;
	readonly consume: Consume;
	readonly begin: Subscriber["begin"];
	readonly stop: AbortController;
	readonly running: Set<Promise<void>>;
}

/**
 * The stream of the one-process shape: `publish` hands the event to every consumer and resolves
 * when all are done with it. It keeps nothing: after a crash the outbox row is still unpublished
 * and is handed out again, and the inboxes drop what was done already.
 */
export class LocalStream implements EventStream {
	readonly kind = "local";
	readonly kept = undefined;
	readonly #consumers = new Map<string, Consumer>();
	#sequence = 0;

	async publish(event: Envelope, again = false): Promise<Receipt> {
		const aggregateType = event.aggregatetype;
		const interested = [...this.#consumers.values()].filter(({ types }) =>
			types.has(aggregateType)
		);
		await Promise.all(interested.map(consumer => deliver(consumer, event, again ? 2 : 1)));
		return { sequence: ++this.#sequence, epoch: "local", duplicate: false };
	}

	subscribe({ name, aggregateTypes, consume, begin }: Subscriber): Promise<void> {
		if (this.#consumers.get(name)?.stop.signal.aborted === false)
			return Promise.reject(new Error(`The consumer '${name}' is subscribed twice.`));
		this.#consumers.set(name, {
			types: new Set(aggregateTypes),
			consume,
			begin,
			stop: new AbortController(),
			running: new Set()
		});
		return Promise.resolve();
	}

	async unsubscribe(consumer: string): Promise<void> {
		const entry = this.#consumers.get(consumer);
		entry?.stop.abort();
		// It stays listed, so that a publish under way fails instead of passing it over.
		if (entry) await Promise.allSettled(entry.running);
	}

	isUp(): boolean {
		return true;
	}

	/** It is never away: what it was given is in the outbox until all are done with it. */
	onBack(): void {}

	async close(): Promise<void> {
		await Promise.all([...this.#consumers.keys()].map(name => this.unsubscribe(name)));
		this.#consumers.clear();
	}
}

function deliver(consumer: Consumer, event: Envelope, first: number): Promise<void> {
	const run = deliverUntilDone(consumer, event, first);
	consumer.running.add(run);
	const forget = () => consumer.running.delete(run);
	run.then(forget, forget);
	return run;
}

async function deliverUntilDone(
	{ consume, begin, stop: { signal } }: Consumer,
	event: Envelope,
	first: number
): Promise<void> {
	for (let deliveries = first; ; deliveries++) {
		// The publish fails, so the outbox keeps the event for the next start.
		signal.throwIfAborted();
		const verdict = await consume(event, deliveries);
		if (verdict.done) return;
		// The outboxes hand out an aggregate's events one after the other, from the first that there is.
		if (verdict.unbegun) await begin?.(event);
		await sleep(verdict.delayMs, undefined, { signal });
	}
}

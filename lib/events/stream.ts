import type { Envelope } from "./envelope.ts";

/** Where an event came to rest. `epoch` names the life of the stream, so that one that was lost and remade is noticed. */
export interface Receipt {
	readonly sequence: number;
	readonly epoch: string;
	/** The stream had it already. */
	readonly duplicate: boolean;
}

/** What a consumer makes of a delivery: done with (handled, known, or dead-lettered), or to be tried again later. */
export type Verdict = { readonly done: true } | { readonly done: false; readonly delayMs: number };
export const DONE: Verdict = { done: true };

/** Handles one delivery of an event; `deliveries` counts from 1. It never throws. */
export type Consume = (event: Envelope, deliveries: number) => Promise<Verdict>;

/**
 * The stream that facts travel on. Two adapters: `LocalStream` within one process, `JetStream`
 * between processes. Both deliver each event to each consumer until it says that it is done.
 */
export interface EventStream {
	readonly kind: "local" | "jetstream";
	/**
	 * Resolves when the stream has taken responsibility. Rejects when the outcome is unknown or the
	 * event was refused; it is then published again, and the stream or the inbox drops the duplicate.
	 * `again`: a process that died since may have published it before. A stream that does not count
	 * deliveries beyond the life of a process takes it for a redelivery.
	 */
	publish(event: Envelope, again?: boolean): Promise<Receipt>;
	/** Starts a durable consumer of whole topics, named by aggregate type (`order`). */
	subscribe(consumer: string, aggregateTypes: readonly string[], consume: Consume): Promise<void>;
	/** Ends the deliveries to a consumer and waits for those under way. The stream keeps its place. */
	unsubscribe(consumer: string): Promise<void>;
	isUp(): boolean;
	close(): Promise<void>;
}

import type { Envelope } from "./envelope.ts";

/** Where an event came to rest. `epoch` names the life of the stream, so that one that was lost and remade is noticed. */
export interface Receipt {
	readonly sequence: number;
	readonly epoch: string;
	/** The stream had it already. */
	readonly duplicate: boolean;
}

/** What a consumer makes of a delivery: done with (handled, known, or dead-lettered), or to be tried again later. */
export type Verdict =
	| { readonly done: true }
	| {
			readonly done: false;
			readonly delayMs: number;
			/** It waits for earlier events of its aggregate, of which none has ever come. */
			readonly unbegun?: boolean;
	  };
export const DONE: Verdict = { done: true };

/** Handles one delivery of an event; `deliveries` counts from 1. It never throws. */
export type Consume = (event: Envelope, deliveries: number) => Promise<Verdict>;

/** A message of the stream that is no event: nobody could say what it tells. */
export interface Malformed {
	readonly subject: string;
	readonly sequence: number;
	readonly epoch: string;
	/** What it holds, as far as it is text; at most 100 kB. */
	readonly text: string;
}

/** The first event of an aggregate that there still is, where earlier ones are gone. */
export interface Beginning {
	readonly aggregateId: string;
	readonly version: number;
}

/** A durable consumer: what it is called for ever, which topics it takes, and what it does. */
export interface Subscriber {
	readonly name: string;
	/** Whole topics, named by aggregate type (`order`). */
	readonly aggregateTypes: readonly string[];
	readonly consume: Consume;
	/** Keeps what is no event where an operator sees it; as `consume` it never throws. */
	readonly refuse?: (message: Malformed) => Promise<Verdict>;
	/**
	 * Told, before the first delivery of a topic, of the aggregates whose first events the stream does
	 * not hold any more: a consumer that is new would wait for them for ever. One that is not new knows
	 * better where it is.
	 */
	readonly join?: (aggregateType: string, beginnings: readonly Beginning[]) => Promise<void>;
	/**
	 * Told that an event which waits for the beginning of its aggregate waits in vain: the stream has
	 * nothing earlier. So it is where an aggregate rested for longer than events are kept.
	 */
	readonly begin?: (event: Envelope) => Promise<void>;
}

/** What is in a stream, and since when. */
export interface StreamState {
	readonly epoch: string;
	readonly firstSequence: number;
	readonly lastSequence: number;
	readonly bytes: number;
	/** Undefined where there is no bound. */
	readonly maxBytes: number | undefined;
	/** Messages by topic (`order.events`). */
	readonly topics: Readonly<Record<string, number>>;
	/** Messages that the server has given up on; none, since our consumers never let it. */
	readonly advisories: number;
}

/** How far a consumer is in one topic. */
export interface ConsumerState {
	readonly consumer: string;
	readonly aggregateType: string;
	readonly pending: number;
	readonly unacknowledged: number;
	/** Of the oldest message that is not acknowledged; undefined where all are. */
	readonly oldestSeconds: number | undefined;
}

/** What an operator and the relay may ask of a stream that keeps what it was given. */
export interface KeptStream {
	state(): Promise<StreamState>;
	/** The message id at a place of the stream; undefined where nothing is (any more). */
	messageIdAt(sequence: number): Promise<string | undefined>;
	consumers(): Promise<readonly ConsumerState[]>;
}

/**
 * The stream that facts travel on. Two adapters: `LocalStream` within one process, `JetStream`
 * between processes. Both deliver each event to each consumer until it says that it is done.
 */
export interface EventStream {
	readonly kind: "local" | "jetstream";
	/** Undefined where the stream keeps nothing: then the outboxes are all there is to ask. */
	readonly kept: KeptStream | undefined;
	/**
	 * Resolves when the stream has taken responsibility. Rejects when the outcome is unknown or the
	 * event was refused (an UnpublishableError where it always will be); it is then published again,
	 * and the stream or the inbox drops the duplicate.
	 * `again`: a process that died since may have published it before. A stream that does not count
	 * deliveries beyond the life of a process takes it for a redelivery.
	 */
	publish(event: Envelope, again?: boolean): Promise<Receipt>;
	/** Starts a durable consumer. */
	subscribe(subscriber: Subscriber): Promise<void>;
	/** Ends the deliveries to a consumer and waits for those under way. The stream keeps its place. */
	unsubscribe(consumer: string): Promise<void>;
	isUp(): boolean;
	/** Calls back each time the stream has come back and may have lost something. */
	onBack(listener: () => void): void;
	close(): Promise<void>;
}

/** The stream will never take this event, however often it is tried. */
export class UnpublishableError extends Error {
	override name = "UnpublishableError";
}

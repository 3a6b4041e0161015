import {
	AckPolicy,
	DeliverPolicy,
	DiscardPolicy,
	nanos,
	RetentionPolicy,
	StorageType,
	type ConsumerConfig,
	type ConsumerMessages,
	type JetStreamClient,
	type JetStreamManager,
	type JsMsg,
	type NatsConnection,
	type StreamConfig
} from "nats";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config.ts";
import { connectNats, NatsUnreachableError, watchConnection } from "../nats.ts";
import type { Envelope } from "./envelope.ts";
import { DONE, type Consume, type EventStream, type Receipt, type Verdict } from "./stream.ts";

export const STREAM = "EVENTS";
const DAY_MS = 24 * 60 * 60 * 1_000;
const TIMEOUT_MS = 2_000;
const ACK_WAIT_MS = 10_000;
const RESTART_MS = 500;
const CLOSE_MS = 2_000;

const decoder = new TextDecoder("utf-8", { fatal: true });

interface Subscription {
	readonly consumer: string;
	readonly aggregateType: string;
	readonly consume: Consume;
	readonly underway: Map<JsMsg, Promise<void>>;
	messages: ConsumerMessages | undefined;
	stopping: boolean;
	loop: Promise<void>;
}

/**
 * The stream of the cluster: NATS JetStream with one durable pull consumer for each service and
 * topic (nats-server 2.9 knows one filter subject per consumer). Stream and consumers are made and
 * brought up to date when they are first needed, so that a changed setting takes effect.
 */
export class JetStream implements EventStream {
	readonly kind = "jetstream";
	readonly #connection: NatsConnection;
	readonly #manager: JetStreamManager;
	readonly #client: JetStreamClient;
	readonly #replicas: number;
	readonly #ackWaitMs: number;
	readonly #isUp: () => boolean;
	readonly #subscriptions = new Set<Subscription>();
	/** Unknown while the connection is down: the server may come back with another stream. */
	#epoch: string | undefined;

	/** Throws a NatsUnreachableError where there is no NATS, or one without JetStream. */
	static async connect(
		{ NATS_URL, EVENT_STREAM_REPLICAS, NODE_NAME = "" }: Config,
		{ ackWaitMs = ACK_WAIT_MS } = {}
	): Promise<JetStream> {
		const connection = await connectNats(NATS_URL!, `valence-events ${NODE_NAME}`);
		try {
			const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS });
			const stream = new JetStream(connection, manager, EVENT_STREAM_REPLICAS, ackWaitMs);
			await stream.#ensureStream();
			return stream;
		} catch (error) {
			await connection.close();
			if (!isMissing(error)) throw error;
			throw new NatsUnreachableError(
				"NATS answers, but without JetStream. Start it with `-js` and a store of its own."
			);
		}
	}

	private constructor(
		connection: NatsConnection,
		manager: JetStreamManager,
		replicas: number,
		ackWaitMs: number
	) {
		this.#connection = connection;
		this.#manager = manager;
		this.#client = connection.jetstream({ timeout: TIMEOUT_MS });
		this.#replicas = replicas;
		this.#ackWaitMs = ackWaitMs;
		this.#isUp = watchConnection(connection, {
			onDown: () => {
				this.#epoch = undefined;
			}
		});
	}

	async publish(event: Envelope): Promise<Receipt> {
		try {
			const { seq, duplicate } = await this.#client.publish(
				subjectOf(event.type),
				JSON.stringify(event),
				{
					msgID: event.id,
					timeout: TIMEOUT_MS
				}
			);
			return { sequence: seq, epoch: this.#epoch ?? (await this.#ensureStream()), duplicate };
		} catch (error) {
			// The stream may be gone with its server's disk; the caller publishes again.
			if (isMissing(error)) await this.#ensureStream();
			throw error;
		}
	}

	async subscribe(
		consumer: string,
		aggregateTypes: readonly string[],
		consume: Consume
	): Promise<void> {
		if ([...this.#subscriptions].some(subscription => subscription.consumer === consumer))
			throw new Error(`The consumer '${consumer}' is subscribed twice.`);
		for (const aggregateType of aggregateTypes) {
			const subscription: Subscription = {
				consumer,
				aggregateType,
				consume,
				underway: new Map(),
				messages: undefined,
				stopping: false,
				loop: Promise.resolve()
			};
			await this.#ensureConsumer(subscription);
			subscription.loop = this.#pull(subscription);
			this.#subscriptions.add(subscription);
		}
	}

	async unsubscribe(consumer: string): Promise<void> {
		const own = [...this.#subscriptions].filter(subscription => subscription.consumer === consumer);
		await Promise.all(
			own.map(async subscription => {
				subscription.stopping = true;
				await subscription.messages?.close();
				await subscription.loop;
				await Promise.all(subscription.underway.values());
				this.#subscriptions.delete(subscription);
			})
		);
	}

	isUp(): boolean {
		return this.#isUp();
	}

	async close(): Promise<void> {
		await Promise.all([...this.#subscriptions].map(({ consumer }) => this.unsubscribe(consumer)));
		// Without NATS the last acknowledgements would wait for ever to be sent.
		if (this.isUp())
			await Promise.race([this.#connection.drain(), sleep(CLOSE_MS, undefined, { ref: false })]);
		await this.#connection.close();
	}

	/** Makes the stream or brings it up to date; answers its epoch. */
	async #ensureStream(): Promise<string> {
		const config: Partial<StreamConfig> = {
			name: STREAM,
			subjects: ["events.>"],
			storage: StorageType.File,
			retention: RetentionPolicy.Limits,
			discard: DiscardPolicy.Old,
			max_age: nanos(14 * DAY_MS),
			duplicate_window: nanos(10 * 60 * 1_000),
			num_replicas: this.#replicas,
			deny_delete: true,
			deny_purge: true
		};
		const info = await this.#manager.streams
			.update(STREAM, config)
			.catch(error =>
				isMissing(error) ? this.#manager.streams.add(config) : Promise.reject(error)
			);
		this.#epoch = info.created;
		return info.created;
	}

	async #ensureConsumer({ consumer, aggregateType }: Subscription): Promise<void> {
		const name = durableName(consumer, aggregateType);
		const changeable: Partial<ConsumerConfig> = {
			ack_wait: nanos(this.#ackWaitMs),
			max_ack_pending: 256,
			// Our inbox decides when an event is given up.
			max_deliver: -1,
			filter_subject: `events.${aggregateType}.>`
		};
		await this.#manager.consumers.update(STREAM, name, changeable).catch(error => {
			if (!isMissing(error)) throw error;
			return this.#manager.consumers.add(STREAM, {
				...changeable,
				durable_name: name,
				ack_policy: AckPolicy.Explicit,
				deliver_policy: DeliverPolicy.All
			});
		});
	}

	/** Pulls until told to stop, and starts over whatever happens to the server or the consumer. */
	async #pull(subscription: Subscription): Promise<void> {
		const { consumer, aggregateType } = subscription;
		const beat = setInterval(() => {
			for (const message of subscription.underway.keys()) message.working();
			// Well within the wait, also for a process that is busy.
		}, this.#ackWaitMs / 3);
		while (!subscription.stopping) {
			try {
				const pull = await this.#client.consumers.get(STREAM, durableName(consumer, aggregateType));
				subscription.messages = await pull.consume({
					max_messages: 64,
					idle_heartbeat: 1_000,
					expires: 5_000,
					abort_on_missing_resource: true
				});
				// Told to stop before there was anything to close. It is closed when the loop has ended.
				if (subscription.stopping) void subscription.messages.close();
				for await (const message of subscription.messages) this.#deliver(subscription, message);
			} catch (error) {
				if (subscription.stopping) break;
				await sleep(RESTART_MS);
				if (isMissing(error)) await this.#restore(subscription).catch(() => {});
			}
		}
		await Promise.all(subscription.underway.values());
		clearInterval(beat);
	}

	async #restore(subscription: Subscription): Promise<void> {
		await this.#ensureStream();
		await this.#ensureConsumer(subscription);
	}

	#deliver(subscription: Subscription, message: JsMsg): void {
		const run = this.#handle(subscription, message).finally(() =>
			subscription.underway.delete(message)
		);
		subscription.underway.set(message, run);
	}

	async #handle({ consume }: Subscription, message: JsMsg): Promise<void> {
		const event = parse(message);
		// Nothing of ours, and nothing that we could keep under an event's id.
		const verdict: Verdict = event ? await consume(event, message.info.deliveryCount) : DONE;
		if (this.#connection.isClosed()) return;
		if (verdict.done) message.ack();
		else message.nak(verdict.delayMs);
	}
}

const subjectOf = (type: string): string => `events.${type}`;

/** Durable names bear no dots. */
const durableName = (consumer: string, aggregateType: string): string =>
	`${consumer}__${aggregateType}`;

function parse(message: JsMsg): Envelope | undefined {
	try {
		const event = JSON.parse(decoder.decode(message.data)) as Envelope;
		return typeof event.id === "string" && typeof event.type === "string" ? event : undefined;
	} catch {
		return undefined;
	}
}

const isMissing = (error: unknown): boolean => {
	const {
		code,
		message = "",
		api_error: api
	} = error as {
		code?: string;
		message?: string;
		api_error?: { code: number };
	};
	return (
		api?.code === 404 ||
		code === "404" ||
		code === "503" ||
		/not found|no responders/i.test(message)
	);
};

import {
	AckPolicy,
	DeliverPolicy,
	DiscardPolicy,
	ErrorCode,
	nanos,
	RetentionPolicy,
	StorageType,
	type ConsumerConfig,
	type ConsumerInfo,
	type ConsumerMessages,
	type JetStreamClient,
	type JetStreamManager,
	type JsMsg,
	type NatsConnection,
	type StoredMsg,
	type StreamConfig
} from "nats";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config.ts";
import { connectNats, NatsUnreachableError, watchConnection } from "../nats.ts";
import { crashPoint } from "../crash-point.ts";
import { natsSubject, natsSubjects, topicOf, type Envelope } from "./envelope.ts";
import {
	DONE,
	UnpublishableError,
	type Beginning,
	type ConsumerState,
	type EventStream,
	type KeptStream,
	type Receipt,
	type StreamState,
	type Subscriber,
	type Verdict
} from "./stream.ts";

export const STREAM = "EVENTS";
const ADVISORIES = "ADVISORIES";
const DAY_MS = 24 * 60 * 60 * 1_000;
const TIMEOUT_MS = 2_000;
/**
 * More than a relay has in its hands: after a loss some of that may come before what is published
 * again, and a consumer that waits for the rest must be given it all the same.
 */
const MAX_ACK_PENDING = 5_000;
/** So many wait here to be handled; enough to handle some of them together. */
const MAX_PULLED = 64;
const RESTART_MS = 500;
const CLOSE_MS = 2_000;
/** Deliveries, and so some ten seconds, after which it is looked whether an event waits for what is not there. */
const PATIENT_DELIVERIES = 20;
const LOOK_EVERY_MS = 500;

const decoder = new TextDecoder("utf-8", { fatal: true });

interface Subscription {
	readonly subscriber: Subscriber;
	readonly aggregateType: string;
	readonly underway: Map<JsMsg, Promise<void>>;
	/** Its consumer in the stream as it was when that was looked at last. */
	durable: string;
	messages: ConsumerMessages | undefined;
	/** The place of the oldest message that the consumer is not done with, looked up not long ago. */
	oldest: Promise<number | undefined> | undefined;
	stopping: boolean;
	loop: Promise<void>;
}

interface JetStreamSettings {
	readonly replicas: number;
	/** Undefined where only the server's own store bounds it. */
	readonly maxBytes: number | undefined;
	readonly ackWaitMs: number;
}

/**
 * The stream of the cluster: NATS JetStream with one durable pull consumer for each service and
 * topic (nats-server 2.9 knows one filter subject per consumer). Stream and consumers are made and
 * brought up to date when they are first needed, so that a changed setting takes effect.
 */
export class JetStream implements EventStream {
	readonly kind = "jetstream";
	readonly kept: KeptStream = {
		state: () => this.#state(),
		messageIdAt: sequence => this.#messageIdAt(sequence),
		consumers: () => this.#consumers()
	};
	readonly #connection: NatsConnection;
	readonly #manager: JetStreamManager;
	readonly #client: JetStreamClient;
	readonly #settings: JetStreamSettings;
	readonly #isUp: () => boolean;
	readonly #subscriptions = new Set<Subscription>();
	readonly #backListeners: (() => void)[] = [];
	/** Unknown while the connection is down: the server may come back with another stream. */
	#epoch: string | undefined;
	/** Counts how often the connection was lost or came back. */
	#turns = 0;

	/** Throws a NatsUnreachableError where there is no NATS, or one without JetStream. */
	static async connect(config: Config): Promise<JetStream> {
		const connection = await connectNats(
			config.NATS_URL!,
			`valence-events ${config.NODE_NAME ?? ""}`
		);
		try {
			const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS });
			const stream = new JetStream(connection, manager, {
				replicas: config.EVENT_STREAM_REPLICAS,
				maxBytes: config.EVENT_STREAM_MAX_BYTES,
				ackWaitMs: config.EVENT_ACK_WAIT_MS
			});
			await stream.#ensureStream();
			await stream.#ensureAdvisories();
			return stream;
		} catch (error) {
			await connection.close();
			if (isUnanswered(error))
				throw new NatsUnreachableError(
					"NATS answers, but without JetStream. Start it with `-js` and a store of its own."
				);
			if (!isNotReady(error)) throw error;
			throw new NatsUnreachableError(
				`NATS answers, but its JetStream is not ready (${(error as Error).message}). A cluster needs most of its servers, and one for each of the EVENT_STREAM_REPLICAS.`
			);
		}
	}

	private constructor(
		connection: NatsConnection,
		manager: JetStreamManager,
		settings: JetStreamSettings
	) {
		this.#connection = connection;
		this.#manager = manager;
		this.#client = connection.jetstream({ timeout: TIMEOUT_MS });
		this.#settings = settings;
		this.#isUp = watchConnection(connection, {
			onDown: () => {
				this.#turns++;
				this.#epoch = undefined;
			},
			onUp: () => {
				this.#turns++;
				this.#tellBack();
			}
		});
	}

	async publish(event: Envelope): Promise<Receipt> {
		const turns = this.#turns;
		// Before: a server that comes back with another stream must not lend its name to what the one before has taken.
		const epoch = this.#epoch ?? (await this.#ensureStream());
		try {
			const { seq, duplicate } = await this.#client.publish(
				natsSubject(event.type),
				JSON.stringify(event),
				{ msgID: event.id, timeout: TIMEOUT_MS }
			);
			// Nor must this event take the place of one that the stream has lost, before that was noticed.
			if (this.#turns !== turns || this.#epoch !== epoch)
				throw new Error("The connection was lost meanwhile.");
			return { sequence: seq, epoch, duplicate };
		} catch (error) {
			// The stream may be gone with its server's disk; the caller publishes again.
			if (isUnanswered(error)) await this.#ensureStream();
			if ((error as { code?: unknown }).code === ErrorCode.MaxPayloadExceeded)
				throw new UnpublishableError(
					`NATS takes at most ${this.#connection.info?.max_payload} bytes a message.`
				);
			throw error;
		}
	}

	async subscribe(subscriber: Subscriber): Promise<void> {
		const { name, aggregateTypes } = subscriber;
		if ([...this.#subscriptions].some(subscription => subscription.subscriber.name === name))
			throw new Error(`The consumer '${name}' is subscribed twice.`);
		for (const aggregateType of aggregateTypes) {
			const subscription: Subscription = {
				subscriber,
				aggregateType,
				underway: new Map(),
				durable: "",
				messages: undefined,
				oldest: undefined,
				stopping: false,
				loop: Promise.resolve()
			};
			await this.#ensureConsumer(subscription).catch(error => {
				throw unreachableOr(error);
			});
			subscription.loop = this.#pull(subscription);
			this.#subscriptions.add(subscription);
		}
	}

	async unsubscribe(consumer: string): Promise<void> {
		const own = [...this.#subscriptions].filter(({ subscriber }) => subscriber.name === consumer);
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

	onBack(listener: () => void): void {
		this.#backListeners.push(listener);
	}

	#tellBack(): void {
		for (const listener of this.#backListeners) listener();
		// A consumer that is further than its stream would not be given what is new.
		for (const subscription of this.#subscriptions)
			void this.#ensureConsumer(subscription).catch(() => {});
	}

	async close(): Promise<void> {
		await Promise.all(
			[...this.#subscriptions].map(({ subscriber }) => this.unsubscribe(subscriber.name))
		);
		// Without NATS the last acknowledgements would wait for ever to be sent.
		if (this.isUp())
			await Promise.race([this.#connection.drain(), sleep(CLOSE_MS, undefined, { ref: false })]);
		await this.#connection.close();
	}

	/** Makes the stream or brings it up to date; answers its epoch. */
	async #ensureStream(): Promise<string> {
		const config: Partial<StreamConfig> = {
			name: STREAM,
			subjects: [SUBJECTS],
			storage: StorageType.File,
			retention: RetentionPolicy.Limits,
			discard: DiscardPolicy.Old,
			max_age: nanos(14 * DAY_MS),
			duplicate_window: nanos(10 * 60 * 1_000),
			max_bytes: this.#settings.maxBytes ?? -1,
			num_replicas: this.#settings.replicas,
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

	/**
	 * Keeps what the server says of messages that it has given up on, which it otherwise tells once to
	 * whoever listens. Our consumers never let it; so this stream stays empty, or something is wrong.
	 */
	async #ensureAdvisories(): Promise<void> {
		const config: Partial<StreamConfig> = {
			name: ADVISORIES,
			subjects: ["MAX_DELIVERIES", "MSG_TERMINATED"].map(
				kind => `$JS.EVENT.ADVISORY.CONSUMER.${kind}.${STREAM}.>`
			),
			storage: StorageType.File,
			max_age: nanos(14 * DAY_MS),
			num_replicas: this.#settings.replicas
		};
		await this.#manager.streams
			.update(ADVISORIES, config)
			.catch(error =>
				isMissing(error) ? this.#manager.streams.add(config) : Promise.reject(error)
			);
	}

	/** How many there are; none where the stream of them is gone, until it is made again at a start. */
	async #advisories(): Promise<number> {
		return this.#manager.streams.info(ADVISORIES).then(
			({ state }) => state.messages,
			error => (isMissing(error) ? 0 : Promise.reject(error))
		);
	}

	async #state(): Promise<StreamState> {
		const look = () => this.#manager.streams.info(STREAM, { subjects_filter: SUBJECTS });
		const { created, state, config } = await look().catch(async error => {
			if (!isMissing(error)) throw error;
			await this.#ensureStream();
			return look();
		});
		// Somebody may have made it anew, with the connection standing.
		if (this.isUp()) this.#epoch = created;
		const topics: Record<string, number> = {};
		for (const [subject, count] of Object.entries(state.subjects ?? {})) {
			const topic = topicOf(subject.slice("events.".length));
			topics[topic] = (topics[topic] ?? 0) + count;
		}
		return {
			epoch: created,
			firstSequence: state.first_seq,
			lastSequence: state.last_seq,
			bytes: state.bytes,
			maxBytes: config.max_bytes > 0 ? config.max_bytes : undefined,
			topics,
			advisories: await this.#advisories()
		};
	}

	async #messageIdAt(sequence: number): Promise<string | undefined> {
		try {
			const message = await this.#manager.streams.getMessage(STREAM, { seq: sequence });
			return message.header.get("Nats-Msg-Id");
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}

	async #consumers(): Promise<ConsumerState[]> {
		const { created } = await this.#manager.streams.info(STREAM);
		const infos: ConsumerInfo[] = [];
		for await (const info of this.#manager.consumers.list(STREAM)) infos.push(info);
		return Promise.all(
			infos.flatMap(info => {
				const [consumer, aggregateType] = info.name.split("__");
				// Not one of ours: somebody looks on.
				if (!consumer || !aggregateType) return [];
				if (info.name !== durableName(consumer, aggregateType, created)) return [];
				return [this.#consumerState(consumer, aggregateType, info)];
			})
		);
	}

	async #consumerState(
		consumer: string,
		aggregateType: string,
		{ num_pending, num_ack_pending, ack_floor }: ConsumerInfo
	): Promise<ConsumerState> {
		const oldest =
			num_pending + num_ack_pending > 0
				? (await this.#next(aggregateType, ack_floor.stream_seq + 1))?.time
				: undefined;
		return {
			consumer,
			aggregateType,
			pending: num_pending,
			unacknowledged: num_ack_pending,
			oldestSeconds: oldest && (Date.now() - oldest.getTime()) / 1_000
		};
	}

	/** The first message of a topic from this place on. */
	async #next(aggregateType: string, sequence: number): Promise<StoredMsg | undefined> {
		const query = { seq: sequence, next_by_subj: natsSubjects(aggregateType) };
		return this.#manager.streams.getMessage(STREAM, query).catch(() => undefined);
	}

	async #ensureConsumer(subscription: Subscription): Promise<void> {
		const { subscriber, aggregateType } = subscription;
		const { created } = await this.#manager.streams.info(STREAM);
		const name = durableName(subscriber.name, aggregateType, created);
		if (name !== subscription.durable) {
			subscription.durable = name;
			// It asks for messages by the name of before, which is gone with the stream that it was of.
			void subscription.messages?.close();
		}
		const changeable: Partial<ConsumerConfig> = {
			ack_wait: nanos(this.#settings.ackWaitMs),
			max_ack_pending: MAX_ACK_PENDING,
			// Our inbox decides when an event is given up.
			max_deliver: -1,
			filter_subject: natsSubjects(aggregateType)
		};
		const found = await this.#manager.consumers.update(STREAM, name, changeable).catch(error => {
			if (!isMissing(error)) throw error;
		});
		if (found) {
			const { state } = await this.#manager.streams.info(STREAM);
			if (found.delivered.stream_seq <= state.last_seq) return;
			// An older copy of the stream was restored, but not of the consumer. The inbox knows what was handled.
			await this.#manager.consumers.delete(STREAM, name);
		} else await subscriber.join?.(aggregateType, await this.#beginnings(aggregateType));
		await this.#manager.consumers.add(STREAM, {
			...changeable,
			durable_name: name,
			ack_policy: AckPolicy.Explicit,
			deliver_policy: DeliverPolicy.All
		});
	}

	/** The first event of each aggregate of a topic that does not begin with its first event any more. */
	async #beginnings(aggregateType: string): Promise<Beginning[]> {
		const { name, num_pending } = await this.#manager.consumers.add(STREAM, {
			ack_policy: AckPolicy.None,
			deliver_policy: DeliverPolicy.All,
			filter_subject: natsSubjects(aggregateType),
			inactive_threshold: nanos(30_000),
			mem_storage: true
		});
		const first = new Map<string, number>();
		const reader = await this.#client.consumers.get(STREAM, name);
		for (let left = num_pending; left > 0;) {
			const before = left;
			const batch = await reader.fetch({
				max_messages: Math.min(left, 1_000),
				expires: TIMEOUT_MS
			});
			for await (const message of batch) {
				left--;
				const event = parse(message);
				if (!event) continue;
				const { aggregateid: id, aggregateversion: version } = event;
				first.set(id, Math.min(version, first.get(id) ?? version));
			}
			// The rest has been dropped meanwhile, by age.
			if (left === before) break;
		}
		await this.#manager.consumers.delete(STREAM, name).catch(() => {});
		return [...first]
			.filter(([, version]) => version > 1)
			.map(([aggregateId, version]) => ({ aggregateId, version }));
	}

	/** Pulls until told to stop, and starts over whatever happens to the server or the consumer. */
	async #pull(subscription: Subscription): Promise<void> {
		const beat = setInterval(() => {
			for (const message of subscription.underway.keys()) message.working();
			// Well within the wait, also for a process that is busy.
		}, this.#settings.ackWaitMs / 3);
		while (!subscription.stopping) {
			try {
				const pull = await this.#client.consumers.get(STREAM, subscription.durable);
				subscription.messages = await pull.consume({
					max_messages: MAX_PULLED,
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

	async #handle(subscription: Subscription, message: JsMsg): Promise<void> {
		const { subscriber } = subscription;
		const { deliveryCount } = message.info;
		const event = parse(message);
		const verdict = event
			? await subscriber.consume(event, deliveryCount)
			: await this.#refuse(subscriber, message);
		if (event && !verdict.done && verdict.unbegun && deliveryCount >= PATIENT_DELIVERIES)
			if ((await this.#oldest(subscription)) === message.seq) await subscriber.begin?.(event);
		if (this.#connection.isClosed()) return;
		if (verdict.done) message.ack();
		else message.nak(verdict.delayMs);
		crashPoint("consumer.after-ack");
	}

	/** Undefined where it cannot be said at the moment. */
	#oldest(subscription: Subscription): Promise<number | undefined> {
		const { aggregateType } = subscription;
		const look = async () => {
			const { state } = await this.#manager.streams.info(STREAM);
			// Nothing was ever dropped: what is missing is being published again, after a loss.
			if (state.first_seq <= 1) return undefined;
			const { ack_floor } = await this.#manager.consumers.info(STREAM, subscription.durable);
			return (await this.#next(aggregateType, ack_floor.stream_seq + 1))?.seq;
		};
		if (!subscription.oldest) {
			subscription.oldest = look().catch(() => undefined);
			const forget = () => (subscription.oldest = undefined);
			setTimeout(forget, LOOK_EVERY_MS).unref();
		}
		return subscription.oldest;
	}

	async #refuse({ refuse }: Subscriber, { subject, seq, data }: JsMsg): Promise<Verdict> {
		if (!refuse) return DONE;
		const epoch = this.#epoch ?? (await this.#ensureStream().catch(() => undefined));
		if (epoch === undefined) return { done: false, delayMs: RESTART_MS };
		const text = Buffer.from(data).subarray(0, 100_000).toString();
		return refuse({ subject, sequence: seq, epoch, text });
	}
}

/** A server that is slow is worth another try, also while a node starts. */
const unreachableOr = (error: unknown): unknown =>
	(error as { code?: unknown }).code === ErrorCode.Timeout
		? new NatsUnreachableError("NATS takes connections, but its JetStream does not answer in time.")
		: error;

const SUBJECTS = "events.>";
/**
 * Of one life of the stream. An acknowledgement names its consumer and a place: under a name that
 * the next life had again, one of a delivery from before would settle whatever stands there now.
 * Durable names bear no dots.
 */
export const durableName = (consumer: string, aggregateType: string, epoch: string): string =>
	`${consumer}__${aggregateType}__${epoch.replace(/\D/g, "")}`;

function parse(message: JsMsg): Envelope | undefined {
	try {
		const event = JSON.parse(decoder.decode(message.data)) as Envelope;
		return isEnvelope(event) ? event : undefined;
	} catch {
		return undefined;
	}
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Whether it has all that the inbox keeps an event by. */
const isEnvelope = ({
	id,
	type,
	subject,
	time,
	aggregatetype,
	aggregateid,
	aggregateversion,
	correlationid
}: Envelope): boolean =>
	[type, subject, time, aggregatetype, correlationid].every(text => typeof text === "string") &&
	[id, aggregateid].every(text => typeof text === "string" && UUID.test(text)) &&
	Number.isInteger(aggregateversion) &&
	aggregateversion > 0;

interface NatsFailure {
	readonly code?: string;
	/** What JetStream itself says. */
	readonly api_error?: { readonly code: number; readonly description: string };
}

/** JetStream does not know such a stream, consumer or message. */
const isMissing = (error: unknown): boolean => {
	const { code, api_error: api } = error as NatsFailure;
	return api?.code === 404 || code === ErrorCode.JetStream404NoMessages;
};

/** Nobody listens: there is no JetStream, or no stream that would take the subject. */
const isUnanswered = (error: unknown): boolean => {
	const { code, api_error: api } = error as NatsFailure;
	return code === ErrorCode.NoResponders && (!api || /not enabled/i.test(api.description));
};

/** A cluster that has no leader yet, or too few servers. */
const isNotReady = (error: unknown): boolean => {
	const { code, api_error: api } = error as NatsFailure;
	return code === ErrorCode.Timeout || code === ErrorCode.NoResponders || (api?.code ?? 0) >= 500;
};

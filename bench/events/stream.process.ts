/** JetStream by itself: a publisher or a puller without an outbox, an inbox or a database. */
import {
	AckPolicy,
	DeliverPolicy,
	DiscardPolicy,
	nanos,
	RetentionPolicy,
	StorageType,
	type ConsumerMessages
} from "nats";
import { connectNats } from "../../lib/nats.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { atRate, now, type Moment } from "./clock.ts";
import { serve } from "./part.ts";
import type { Writing } from "./writer.ts";

const DURABLE = "pullers";
/** As many as a consumer of ours asks for at once. */
const PULLED = 64;

const connection = await connectNats(process.env["NATS_URL"]!, "bench");
const client = connection.jetstream();
const manager = await connection.jetstreamManager();

let handled = 0;
let lastAt = 0;
let moments: Moment[] = [];
let messages: ConsumerMessages | undefined;

/** A message of this size that begins with its number. */
const body = (number: number, bytes: number): string => `${number} `.padEnd(bytes, "x");
const subjectOf = (stream: string): string => `bare.${stream}`;
const publish = (stream: string, number: number, bytes: number) =>
	client.publish(subjectOf(stream), body(number, bytes), { msgID: uuidv7() });

const methods = {
	/** Makes stream and consumer, with the settings of ours that cost something. */
	async create(stream: string): Promise<void> {
		await manager.streams.add({
			name: stream,
			subjects: [subjectOf(stream)],
			storage: StorageType.File,
			retention: RetentionPolicy.Limits,
			discard: DiscardPolicy.Old,
			duplicate_window: nanos(10 * 60 * 1_000)
		});
		await manager.consumers.add(stream, {
			durable_name: DURABLE,
			ack_policy: AckPolicy.Explicit,
			deliver_policy: DeliverPolicy.All,
			max_ack_pending: 256
		});
	},
	/** Publishes so many, with so many in flight; answers when it began and ended. */
	async publishAll(stream: string, count: number, bytes: number, inFlight: number) {
		const startedAt = now();
		let next = 0;
		const work = async () => {
			while (next < count) await publish(stream, next++, bytes);
		};
		await Promise.all(Array.from({ length: inFlight }, work));
		return { startedAt, endedAt: now() };
	},
	/** Publishes at a rate; answers when each publish began. */
	async publishAtRate(
		stream: string,
		{ rate, count, from }: Writing,
		bytes: number
	): Promise<Moment[]> {
		const begun: Moment[] = [];
		await atRate(rate, count, async index => {
			begun.push([from + index, now()]);
			await publish(stream, from + index, bytes);
		});
		return begun;
	},
	/** Acknowledges whatever comes, at once. */
	async pull(stream: string, keepMoments: boolean): Promise<void> {
		const consumer = await client.consumers.get(stream, DURABLE);
		messages = await consumer.consume({ max_messages: PULLED });
		void (async () => {
			for await (const message of messages) {
				message.ack();
				handled++;
				lastAt = now();
				if (keepMoments) moments.push([Number.parseInt(message.string(), 10), lastAt]);
			}
		})();
	},
	progress: () => ({ handled, lastAt }),
	takeMoments(): Moment[] {
		const taken = moments;
		moments = [];
		return taken;
	}
};
export type StreamMethods = typeof methods;

serve(methods, async () => {
	await messages?.close();
	await connection.drain();
});

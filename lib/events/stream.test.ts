/** What both streams promise, as one suite that each of them passes; then what only JetStream has to. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "nats";
import { envelope } from "../../tests/support/publisher.ts";
import { BreakableServer } from "../../bin/breakable-server.ts";
import { StreamUnderTest, streamsUnderTest } from "../../tests/support/streams.ts";
import { until } from "../../tests/support/until.ts";
import { readConfig } from "../config.ts";
import { NatsUnreachableError } from "../nats.ts";
import type { Envelope } from "./envelope.ts";
import { durableName, JetStream, STREAM } from "./jetstream.ts";
import { DONE, type Consume, type EventStream, type Receipt, type Verdict } from "./stream.ts";

const subscribe = (
	stream: EventStream,
	name: string,
	aggregateTypes: readonly string[],
	consume: Consume
) => stream.subscribe({ name, aggregateTypes, consume });
const newName = () => `c-${randomUUID()}`;
const newEvent = (aggregateId: string = randomUUID(), version = 1): Envelope =>
	envelope("inventory.committed.v1", aggregateId, version, { orderId: aggregateId });

const publishUntilTaken = (stream: EventStream, event: Envelope): Promise<Receipt> =>
	until(() => stream.publish(event).catch(() => undefined), "the stream takes the event", 30_000);

/** Keeps what it is given, and answers with what `verdict` says. */
class Recorder {
	readonly seen: { id: string; deliveries: number; at: number; version: number }[] = [];
	readonly #verdict: (event: Envelope, deliveries: number) => Verdict | Promise<Verdict>;
	/** One stream is shared by many tests: only these events count. */
	readonly #ids: ReadonlySet<string>;

	constructor(
		events: readonly Envelope[],
		verdict: (event: Envelope, deliveries: number) => Verdict | Promise<Verdict> = () => DONE
	) {
		this.#ids = new Set(events.map(({ id }) => id));
		this.#verdict = verdict;
	}

	readonly consume = async (event: Envelope, deliveries: number): Promise<Verdict> => {
		if (!this.#ids.has(event.id)) return DONE;
		this.seen.push({
			id: event.id,
			deliveries,
			at: performance.now(),
			version: event.aggregateversion
		});
		return this.#verdict(event, deliveries);
	};

	has(count: number): Promise<unknown> {
		return until(() => this.seen.length >= count, `${count} deliveries, not ${this.seen.length}`);
	}
}

describe.each(streamsUnderTest())("the %s", (_name, under) => {
	beforeAll(() => under.start());
	afterEach(() => under.close());
	afterAll(() => under.stop());
	let stream: EventStream;
	beforeEach(async () => {
		stream = await under.open();
	});

	it("says what it is, and that it is up", () => {
		expect(stream.kind).toBe(under.keeps ? "jetstream" : "local");
		expect(stream.kept !== undefined).toBe(under.keeps);
		expect(stream.isUp()).toBe(true);
	});

	it("gives each event to every consumer of its topic, whole, and to no other", async () => {
		const event = newEvent();
		const [first, second, other] = [new Recorder([event]), new Recorder([event]), jest.fn()];
		await subscribe(stream, newName(), ["inventory", "order"], first.consume);
		await subscribe(stream, newName(), ["inventory"], second.consume);
		await subscribe(stream, newName(), ["payment"], other);
		const received = new Promise<Envelope>(done => {
			void subscribe(stream, newName(), ["inventory"], async given => {
				if (given.id === event.id) done(given);
				return DONE;
			});
		});
		await stream.publish(event);
		await Promise.all([first.has(1), second.has(1)]);
		expect(await received).toEqual(event);
		expect(first.seen).toEqual([expect.objectContaining({ id: event.id, deliveries: 1 })]);
		expect(other).not.toHaveBeenCalled();
	});

	it("answers where the event came to rest", async () => {
		const [first, second] = [await stream.publish(newEvent()), await stream.publish(newEvent())];
		expect(second).toEqual({
			sequence: first.sequence + 1,
			epoch: first.epoch,
			duplicate: false
		});
		expect(first.epoch).not.toBe("");
	});

	it("delivers again, no sooner than it was told and counting, until it is done", async () => {
		const event = newEvent();
		const consumer = new Recorder([event], (_, deliveries) =>
			deliveries < 3 ? { done: false, delayMs: 150 } : DONE
		);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		await stream.publish(event);
		await consumer.has(3);
		expect(consumer.seen.map(({ deliveries }) => deliveries)).toEqual([1, 2, 3]);
		for (const index of [1, 2])
			expect(consumer.seen[index]!.at - consumer.seen[index - 1]!.at).toBeGreaterThan(140);
		// Done is done: what is published now comes, and the old one does not come again.
		await sleep(300);
		expect(consumer.seen).toHaveLength(3);
	});

	it("hands out the events of an aggregate in the order in which they were published", async () => {
		const id = randomUUID();
		const events = Array.from({ length: 40 }, (_, index) => newEvent(id, index + 1));
		const consumer = new Recorder(events);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		for (const event of events) await stream.publish(event);
		await consumer.has(40);
		expect(consumer.seen.map(({ version }) => version)).toEqual(
			events.map(({ aggregateversion }) => aggregateversion)
		);
	});

	it("does not let one consumer's trouble hold up another", async () => {
		const event = newEvent();
		const troubled = new Recorder([event], () => ({ done: false, delayMs: 50 }));
		const well = new Recorder([event]);
		const troubledName = newName();
		await subscribe(stream, troubledName, ["inventory"], troubled.consume);
		await subscribe(stream, newName(), ["inventory"], well.consume);
		const publishing = stream.publish(event).catch(() => {});
		await well.has(1);
		await troubled.has(3);
		expect(well.seen).toHaveLength(1);
		await stream.unsubscribe(troubledName);
		await publishing;
	});

	it("waits, when a consumer leaves, for what it has in its hands", async () => {
		const event = newEvent();
		let finish: (verdict: Verdict) => void = () => {};
		const consumer = new Recorder(
			[event],
			() =>
				new Promise(done => {
					finish = done;
				})
		);
		const name = newName();
		await subscribe(stream, name, ["inventory"], consumer.consume);
		const publishing = stream.publish(event).catch(() => {});
		await consumer.has(1);
		let left = false;
		const leaving = stream.unsubscribe(name).then(() => {
			left = true;
		});
		await sleep(100);
		expect(left).toBe(false);
		finish(DONE);
		await leaving;
		await publishing;
		expect(left).toBe(true);
	});

	it("gives a consumer that left nothing any more, and does not know one that was never there", async () => {
		const event = newEvent();
		const [consumer, other] = [new Recorder([event]), new Recorder([event])];
		const name = newName();
		await subscribe(stream, name, ["inventory"], consumer.consume);
		await stream.unsubscribe(name);
		await stream.unsubscribe(newName());
		await subscribe(stream, newName(), ["inventory"], other.consume);
		await stream.publish(event).catch(() => {});
		await other.has(under.keeps ? 1 : 0);
		expect(consumer.seen).toEqual([]);
	});

	it("refuses a second consumer of the same name in one process", async () => {
		const name = newName();
		await subscribe(stream, name, ["inventory"], async () => DONE);
		await expect(subscribe(stream, name, ["order"], async () => DONE)).rejects.toThrow(
			`'${name}' is subscribed twice`
		);
	});

	/** A consumer that waits for what came before `event`, until it is told that this is gone. */
	async function waitFor(event: Envelope) {
		const told: string[] = [];
		let tries = 0;
		await stream.subscribe({
			name: newName(),
			aggregateTypes: ["inventory"],
			consume: async ({ id }) => {
				if (id !== event.id) return DONE;
				tries++;
				return told.length > 0 ? DONE : { done: false, delayMs: 5, unbegun: true };
			},
			begin: async ({ id }) => void told.push(id)
		});
		return { told, tried: (count: number) => until(() => tries > count, `${count} tries`) };
	}

	it("closes, also while a consumer is working", async () => {
		const event = newEvent();
		const consumer = new Recorder([event], () => sleep(100, DONE));
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		const publishing = stream.publish(event).catch(() => {});
		await consumer.has(1);
		await stream.close();
		await publishing;
		expect(consumer.seen).toHaveLength(1);
	});

	// What follows a stream within one process does not have: nothing outlives it.
	if (!under.keeps) {
		it("says at once that an event waits in vain: what came before would have come before", async () => {
			const event = newEvent(randomUUID(), 7);
			const { told } = await waitFor(event);
			await stream.publish(event);
			expect(told).toEqual([event.id]);
		});
		return;
	}

	it("does not say that an event waits in vain while it has dropped nothing: the rest may be published again", async () => {
		const event = newEvent(randomUUID(), 7);
		const { told, tried } = await waitFor(event);
		await stream.publish(event);
		await tried(60);
		expect(told).toEqual([]);
	});

	it("goes on where a consumer stopped, in another process too", async () => {
		const [before, meanwhile] = [newEvent(), newEvent()];
		const name = newName();
		const first = await under.open();
		const recorder = new Recorder([before, meanwhile]);
		await subscribe(first, name, ["inventory"], recorder.consume);
		await first.publish(before);
		await recorder.has(1);
		await first.unsubscribe(name);
		await first.publish(meanwhile);
		const again = new Recorder([before, meanwhile]);
		const second = await under.open();
		await subscribe(second, name, ["inventory"], again.consume);
		await again.has(1);
		expect(again.seen.map(({ id }) => id)).toEqual([meanwhile.id]);
		expect(recorder.seen).toHaveLength(1);
	});

	it("shares a consumer's events among its processes", async () => {
		const events = Array.from({ length: 60 }, () => newEvent());
		const name = newName();
		const [one, two] = [new Recorder(events), new Recorder(events)];
		const [first, second] = [await under.open(), await under.open()];
		await subscribe(first, name, ["inventory"], one.consume);
		await subscribe(second, name, ["inventory"], two.consume);
		await Promise.all(events.map(event => first.publish(event)));
		await until(() => one.seen.length + two.seen.length >= 60, "all are delivered");
		const ids = [...one.seen, ...two.seen].map(({ id }) => id);
		expect(ids.toSorted()).toEqual(events.map(({ id }) => id).toSorted());
	});

	it("keeps what was published before a consumer existed", async () => {
		const event = newEvent();
		await stream.publish(event);
		const consumer = new Recorder([event]);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		await consumer.has(1);
		expect(consumer.seen[0]!.deliveries).toBe(1);
	});

	it("knows an event that it has already", async () => {
		const event = newEvent();
		const first = await stream.publish(event);
		expect(await stream.publish(event)).toEqual({ ...first, duplicate: true });
	});

	it("passes over what is no event of ours", async () => {
		const event = newEvent();
		const stranger = await connect({ servers: under.url.split(",") });
		for (const data of ["not json", "null", '{"id":1}', Buffer.from([0xff, 0xfe])])
			await stranger.jetstream().publish("events.inventory.committed.v1", data);
		await stranger.close();
		const consumer = new Recorder([event]);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		await stream.publish(event);
		await consumer.has(1);
		expect(consumer.seen[0]!.id).toBe(event.id);
	});

	it("leaves an event to a consumer that takes longer than the server waits", async () => {
		const event = newEvent();
		stream = await under.open({ EVENT_ACK_WAIT_MS: "600" });
		const consumer = new Recorder([event], () => sleep(2_000, DONE));
		const name = newName();
		await subscribe(stream, name, ["inventory"], consumer.consume);
		await stream.publish(event);
		await consumer.has(1);
		// All that time another process of the consumer would be there to take it.
		const second = await under.open({ EVENT_ACK_WAIT_MS: "600" });
		const other = new Recorder([event]);
		await subscribe(second, name, ["inventory"], other.consume);
		await stream.unsubscribe(name);
		expect(consumer.seen).toHaveLength(1);
		expect(other.seen).toEqual([]);
	});

	it("hands what a process had in its hands when it died to another", async () => {
		const [before, event] = [newEvent(), newEvent()];
		const name = newName();
		stream = await under.open({ EVENT_ACK_WAIT_MS: "600" });
		const first = new Recorder([before]);
		await stream.publish(before);
		await subscribe(stream, name, ["inventory"], first.consume);
		await first.has(1);
		await stream.unsubscribe(name);
		const { epoch } = await stream.publish(event);
		const dying = await connect({ servers: under.url.split(",") });
		const taken = await dying
			.jetstream()
			.consumers.get(STREAM, durableName(name, "inventory", epoch));
		expect((await taken.next())!.json()).toMatchObject({ id: event.id });
		await dying.close();
		const consumer = new Recorder([event]);
		await subscribe(stream, name, ["inventory"], consumer.consume);
		await consumer.has(1);
		expect(consumer.seen[0]!.deliveries).toBe(2);
	});

	it("can be left at once, before the first pull", async () => {
		for (let turn = 0; turn < (under.replicas > 1 ? 4 : 20); turn++) {
			const name = newName();
			await subscribe(stream, name, ["inventory"], async () => DONE);
			await stream.unsubscribe(name);
		}
		expect(stream.isUp()).toBe(true);
	});

	if (under.replicas < 3) return;

	it("loses nothing that it has acknowledged when a server is killed, and goes on", async () => {
		const events = Array.from({ length: 300 }, () => newEvent());
		const consumer = new Recorder(events);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		const acknowledged = new Map<string, number>();
		const publishing = Promise.all(
			[0, 1, 2].map(async lane => {
				for (const event of events.filter((_, index) => index % 3 === lane)) {
					const { sequence } = await publishUntilTaken(stream, event);
					acknowledged.set(event.id, sequence);
				}
			})
		);
		await until(() => acknowledged.size > 50, "some are acknowledged");
		// The worst one: it takes the events, and we are connected to one of the three.
		const leader = await under.leader();
		await leader.kill();
		await publishing;
		await until(
			() => new Set(consumer.seen.map(({ id }) => id)).size === events.length,
			"all are delivered",
			30_000
		);
		for (const [id, sequence] of acknowledged)
			expect(await stream.kept!.messageIdAt(sequence)).toBe(id);
		await leader.start();
	}, 60_000);
});

describe("the jetstream stream, when NATS", () => {
	const under = new StreamUnderTest("jetstream on one server", 1);
	let nats: BreakableServer;
	beforeAll(async () => {
		await under.start();
		nats = under.servers[0]!;
	});
	afterEach(() => under.close());
	afterAll(() => under.stop());

	it("is away, says so, refuses events, and takes them when it is back", async () => {
		const stream = await under.open();
		const [before, after] = [newEvent(), newEvent()];
		const consumer = new Recorder([before, after]);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		const { epoch, sequence } = await stream.publish(before);
		await consumer.has(1);
		await nats.kill();
		await until(() => !stream.isUp(), "it notices");
		await expect(stream.publish(newEvent())).rejects.toThrow(/TIMEOUT|CONNECTION/);
		await nats.start();
		await until(() => stream.isUp(), "it is back");
		const receipt = await publishUntilTaken(stream, after);
		expect(receipt.epoch).toBe(epoch);
		expect(receipt.sequence).toBeGreaterThan(sequence);
		await until(() => consumer.seen.some(({ id }) => id === after.id), "it is delivered");
	});

	it("comes back without anything, makes the stream and its consumers again", async () => {
		const [stream, idle] = [await under.open(), await under.open()];
		const [before, after, last] = [newEvent(), newEvent(), newEvent()];
		const consumer = new Recorder([before, after, last]);
		await subscribe(stream, newName(), ["inventory"], consumer.consume);
		const { epoch } = await stream.publish(before);
		await consumer.has(1);
		await nats.kill();
		nats.emptyStore();
		await nats.start();
		const receipt = await publishUntilTaken(stream, after);
		expect(receipt.epoch).not.toBe(epoch);
		await consumer.has(2);
		expect(consumer.seen.at(-1)!.id).toBe(after.id);
		// Another process remade the stream; it must not speak of the lost one.
		expect((await publishUntilTaken(idle, last)).epoch).toBe(receipt.epoch);
	});

	it("comes back without anything, does not take an acknowledgement of before for one of what stands there now", async () => {
		const stream = await under.open();
		const [before, after] = [newEvent(), newEvent()];
		const seen: string[] = [];
		let settle = () => {};
		await subscribe(stream, newName(), ["inventory"], async ({ id }) => {
			seen.push(id);
			if (id === before.id) await new Promise<void>(resolve => (settle = resolve));
			if (id === after.id && seen.filter(other => other === id).length === 1) {
				settle();
				return { done: false, delayMs: 500 };
			}
			return DONE;
		});
		const { sequence } = await stream.publish(before);
		await until(() => seen.length > 0, "it is held");
		await nats.kill();
		nats.emptyStore();
		await nats.start();
		for (let next = 1; next < sequence; next++) await publishUntilTaken(stream, newEvent());
		expect((await publishUntilTaken(stream, after)).sequence).toBe(sequence);
		await until(() => seen.filter(id => id === after.id).length === 2, "it comes again");
	});

	it("is away, can be closed all the same", async () => {
		const stream = await under.open();
		await subscribe(stream, newName(), ["inventory"], async () => DONE);
		await nats.kill();
		await until(() => !stream.isUp(), "it notices");
		const began = performance.now();
		await stream.close();
		expect(performance.now() - began).toBeLessThan(4_000);
		await nats.start();
	});

	it("is not there, says which one", async () => {
		const config = readConfig({ NATS_URL: "nats://127.0.0.1:1,nats://127.0.0.1:2" });
		const refusal = JetStream.connect(config);
		await expect(refusal).rejects.toBeInstanceOf(NatsUnreachableError);
		await expect(refusal).rejects.toThrow(/127\.0\.0\.1:1, 127\.0\.0\.1:2.*NATS_URL/);
	});

	it("has no JetStream, says so", async () => {
		const plain = await BreakableServer.nats({ jetStream: false });
		try {
			await expect(JetStream.connect(readConfig({ NATS_URL: plain.url }))).rejects.toThrow(
				/without JetStream.*-js/
			);
		} finally {
			await plain.stop();
		}
	});
});

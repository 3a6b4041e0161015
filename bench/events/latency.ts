/** How long it takes from the commit that records an event to the commit of its handler. */
import { percentiles, type Percentiles } from "../report.ts";
import type { Moment } from "./clock.ts";
import { untilHandled } from "./handled.ts";
import type { Servers } from "./servers.ts";
import type { Writing } from "./writer.ts";

/** What wakes the relay up: a commit in its own process, NOTIFY from another one, or nothing. */
export const WAKE_UPS = ["nudge", "notify", "poll"] as const;
export type WakeUp = (typeof WAKE_UPS)[number];

export interface Latency {
	readonly events: number;
	readonly ms: Percentiles;
}

export interface Latencies {
	readonly wakeUps: Record<WakeUp, Latency>;
	/** From the publish to the arrival, without a database on either side. */
	readonly bare: Latency;
}

export interface Pace {
	readonly seconds: number;
	/** Events per second. */
	readonly rate: number;
}

const WARM_UP_SECONDS = 1;
/** About as large as an envelope with a sample. */
const BARE_BYTES = 640;
const BARE_STREAM = "BARE_LATENCY";

export async function measureLatencies(
	servers: Servers,
	pace: Pace,
	say: (text: string) => void
): Promise<Latencies> {
	return {
		wakeUps: await measureWakeUps(servers, pace, say),
		bare: await measureBare(servers, pace, say)
	};
}

async function measureWakeUps(
	servers: Servers,
	pace: Pace,
	say: (text: string) => void
): Promise<Latencies["wakeUps"]> {
	await using stack = new AsyncDisposableStack();
	const consumers = [
		stack.use(await servers.node("consumer-1", "catalog", "relay", "consumer")),
		stack.use(await servers.node("consumer-2", "catalog", "relay", "consumer"))
	];
	const relay = stack.use(await servers.node("relay", "orders", "relay"));
	const writer = stack.use(await servers.node("writer", "orders"));
	for (const consumer of consumers) await consumer.ask("start", { keepMoments: true });
	await relay.ask("start");
	await writer.ask("start");
	const ways: Record<WakeUp, (writing: Writing) => Promise<Moment[]>> = {
		nudge: writing => relay.ask("write", writing),
		notify: writing => writer.ask("write", writing),
		poll: writing => writer.ask("writeSilently", writing)
	};
	const measured: Partial<Record<WakeUp, Latency>> = {};
	let written = 0;
	for (const wakeUp of WAKE_UPS) {
		say(`  latency, woken up by ${wakeUp}`);
		const writing = writingOf(pace, written);
		written += writing.count;
		const committed = await ways[wakeUp](writing);
		await untilHandled(consumers, written);
		measured[wakeUp] = latency(committed, await momentsOf(consumers), writing, pace);
	}
	return measured as Record<WakeUp, Latency>;
}

async function measureBare(
	servers: Servers,
	pace: Pace,
	say: (text: string) => void
): Promise<Latency> {
	say("  latency of bare JetStream");
	await using stack = new AsyncDisposableStack();
	const publisher = stack.use(await servers.stream("publisher"));
	const pullers = [
		stack.use(await servers.stream("puller-1")),
		stack.use(await servers.stream("puller-2"))
	];
	await publisher.ask("create", BARE_STREAM);
	for (const puller of pullers) await puller.ask("pull", BARE_STREAM, true);
	const writing = writingOf(pace, 0);
	const begun = await publisher.ask("publishAtRate", BARE_STREAM, writing, BARE_BYTES);
	await untilHandled(pullers, writing.count);
	return latency(begun, await momentsOf(pullers), writing, pace);
}

const writingOf = ({ rate, seconds }: Pace, from: number): Writing => ({
	rate,
	count: rate * (seconds + WARM_UP_SECONDS),
	from
});

interface Consumer {
	ask(method: "takeMoments"): Promise<Moment[]>;
}
const momentsOf = async (consumers: readonly Consumer[]): Promise<Moment[]> =>
	(await Promise.all(consumers.map(consumer => consumer.ask("takeMoments")))).flat();

function latency(
	begun: readonly Moment[],
	handled: readonly Moment[],
	{ from }: Writing,
	{ rate }: Pace
): Latency {
	const ends = new Map(handled);
	const first = from + rate * WARM_UP_SECONDS;
	const all = begun
		.filter(([number]) => number >= first)
		.map(([number, at]) => {
			const end = ends.get(number);
			if (end === undefined) throw new Error(`The sample ${number} was not handled.`);
			return end - at;
		});
	return { events: all.length, ms: percentiles(all) };
}

/** How fast a backlog is drained: one relay, two consumers; beside it JetStream by itself. */
import { cpuSeconds, memory } from "../process-tree.ts";
import { aggregateType } from "../../lib/events/envelope.ts";
import { STREAM } from "../../lib/events/jetstream.ts";
import { connectNats } from "../../lib/nats.ts";
import { SAMPLE, TEXT } from "./contract.ts";
import { untilHandled } from "./handled.ts";
import type { Servers } from "./servers.ts";

export type Figures = Record<string, number | null>;

export interface Drain {
	/** From the start of the relay to the last handler's commit. */
	readonly rate: number;
	readonly seconds: number;
	/** Of each part, for 1,000 events; null where it cannot be known. */
	readonly cpuSeconds: Figures;
}

export interface Throughput {
	readonly events: number;
	readonly aggregates: number;
	readonly messageBytes: number;
	readonly valence: Drain & {
		/** Until the last event was marked as published. */
		readonly publishedRate: number;
		/** Deliveries that came before a predecessor and were sent back. */
		readonly outOfOrder: number;
		/** Megabytes of each part when so many tenths were handled: 11 samples. */
		readonly memoryMb: readonly Figures[];
	};
	readonly bare: Drain & { readonly publishedRate: number; readonly inFlight: number };
	/** Valence's rate as a share of the bare one. */
	readonly ratio: number;
}

const AGGREGATES = 1_000;
/** Aggregates that a relay publishes at once. */
const IN_FLIGHT = 64;
/** Out of the way of the numbers of other measurements. */
const FROM = 1_000_000_000;

const BACKLOG = `WITH source AS MATERIALIZED (
		SELECT gen_random_uuid() AS id, slot FROM generate_series(0, ${AGGREGATES - 1}) AS slot)
	INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers)
	SELECT uuidv7(), $2, $3, id, 1 + n / ${AGGREGATES},
		jsonb_build_object('number', ${FROM} + n, 'text', $4::text), jsonb_build_object('correlationId', id)
	FROM generate_series(0, $1::int - 1) AS n JOIN source ON slot = n % ${AGGREGATES} ORDER BY n`;

export async function measureThroughput(
	servers: Servers,
	events: number,
	say: (text: string) => void
): Promise<Throughput> {
	say(`  a backlog of ${events.toLocaleString("en")} events`);
	await writeBacklog(servers, events);
	say("  draining it");
	const valence = await drain(servers, events);
	await requireEachOnce(servers, events);
	const messageBytes = await sizeOfMessage(servers);
	say("  bare JetStream");
	const bare = await drainBare(servers, events, messageBytes);
	const ratio = valence.rate / bare.rate;
	return { events, aggregates: Math.min(events, AGGREGATES), messageBytes, valence, bare, ratio };
}

async function writeBacklog({ connect }: Servers, events: number): Promise<void> {
	await using client = await connect("orders");
	await client.query(BACKLOG, [events, SAMPLE, aggregateType(SAMPLE), TEXT]);
	// So that what the server does about it later does not fall into the measurement.
	await client.query("VACUUM (ANALYZE) outbox");
	await client.query("CHECKPOINT");
}

async function drain(servers: Servers, events: number): Promise<Throughput["valence"]> {
	await using stack = new AsyncDisposableStack();
	const relay = stack.use(await servers.node("relay", "orders", "relay"));
	const consumers = [
		stack.use(await servers.node("consumer-1", "catalog", "relay", "consumer")),
		stack.use(await servers.node("consumer-2", "catalog", "relay", "consumer"))
	];
	for (const consumer of consumers) await consumer.ask("start");
	const pids = pidsOf(servers, [relay, ...consumers]);
	const memoryMb: Figures[] = [];
	const before = cpuOf(pids);
	const startedAt = await relay.ask("start");
	const lastAt = await untilHandled(consumers, events, {
		onProgress(handled) {
			while (memoryMb.length <= (10 * handled) / events) memoryMb.push(memoryOf(pids));
		}
	});
	const after = cpuOf(pids);
	const sentBack = await Promise.all(consumers.map(consumer => consumer.ask("outOfOrder")));
	return {
		...drained(events, startedAt, lastAt),
		cpuSeconds: perThousand(before, after, events),
		outOfOrder: sentBack.reduce((sum, count) => sum + count, 0),
		publishedRate: (events / (await publishedBy(servers, startedAt))) * 1_000,
		memoryMb
	};
}

async function drainBare(
	servers: Servers,
	events: number,
	bytes: number
): Promise<Throughput["bare"]> {
	await using stack = new AsyncDisposableStack();
	const publisher = stack.use(await servers.stream("publisher"));
	const pullers = [
		stack.use(await servers.stream("puller-1")),
		stack.use(await servers.stream("puller-2"))
	];
	const stream = "BARE_THROUGHPUT";
	await publisher.ask("create", stream);
	for (const puller of pullers) await puller.ask("pull", stream, false);
	const { postgres: _, ...pids } = pidsOf(servers, [publisher, ...pullers]);
	const before = cpuOf(pids);
	const { startedAt, endedAt } = await publisher.ask(
		"publishAll",
		stream,
		events,
		bytes,
		IN_FLIGHT
	);
	const lastAt = await untilHandled(pullers, events);
	const after = cpuOf(pids);
	return {
		...drained(events, startedAt, lastAt),
		cpuSeconds: perThousand(before, after, events),
		publishedRate: (events / (endedAt - startedAt)) * 1_000,
		inFlight: IN_FLIGHT
	};
}

function drained(events: number, startedAt: number, lastAt: number) {
	const seconds = (lastAt - startedAt) / 1_000;
	return { rate: events / seconds, seconds };
}

/** Milliseconds from `startedAt` to the newest mark in the outbox. */
async function publishedBy({ connect }: Servers, startedAt: number): Promise<number> {
	await using client = await connect("orders");
	const { rows } = await client.query<{ at: number }>(
		"SELECT 1000 * extract(epoch FROM max(published_at))::float8 AS at FROM outbox"
	);
	return rows[0]!.at - startedAt;
}

/** A measurement of something that does not work would be worth nothing. */
async function requireEachOnce({ connect }: Servers, events: number): Promise<void> {
	await using client = await connect("catalog");
	const { rows } = await client.query<{ rows: number; numbers: number }>(
		`SELECT count(*)::int AS rows, count(DISTINCT number)::int AS numbers FROM sample WHERE number >= ${FROM}`
	);
	const { rows: written, numbers } = rows[0]!;
	if (written !== events || numbers !== events)
		throw new Error(`${events} events were handled ${written} times: ${numbers} different ones.`);
}

async function sizeOfMessage({ natsUrl }: Servers): Promise<number> {
	const connection = await connectNats(natsUrl, "bench");
	const manager = await connection.jetstreamManager();
	const { state } = await manager.streams.info(STREAM);
	const { data } = await manager.streams.getMessage(STREAM, { seq: state.last_seq });
	await connection.close();
	return data.length;
}

const pidsOf = (
	{ pids }: Servers,
	parts: readonly { readonly name: string; readonly pid: number }[]
): Record<string, number> => ({
	...Object.fromEntries(parts.map(({ name, pid }) => [name, pid])),
	...pids
});

const mapValues = <A, B>(values: Record<string, A>, map: (value: A, name: string) => B) =>
	Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value, name)]));

const cpuOf = (pids: Record<string, number>): Figures => mapValues(pids, cpuSeconds);

// PostgreSQL's processes share most of what they hold; a node shares nothing.
const memoryOf = (pids: Record<string, number>): Figures =>
	mapValues(pids, (pid, name) => {
		const held = memory(pid);
		return held && (name === "postgres" ? held.pssMb : held.rssMb);
	});

const perThousand = (before: Figures, after: Figures, events: number): Figures =>
	mapValues(after, (end, name) => {
		const start = before[name] ?? null;
		return end === null || start === null ? null : ((end - start) / events) * 1_000;
	});

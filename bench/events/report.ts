/** What the benchmark of the event backbone tells. Pure. */
import { describeMachine, type Machine } from "../machine.ts";
import { alignTable, digits, formatRatio, markdown, ms, whole, type Table } from "../report.ts";
import type { Idle } from "./idle.ts";
import { WAKE_UPS, type Latencies, type Latency, type WakeUp } from "./latency.ts";
import type { Figures, Throughput } from "./throughput.ts";

export interface Results {
	/** ISO 8601. */
	readonly date: string;
	readonly machine: Machine;
	readonly versions: { readonly postgres: string; readonly nats: string };
	readonly seconds: number;
	/** Events per second of the latency's measurement. */
	readonly rate: number;
	readonly backlog: number;
	readonly latency: Latencies;
	readonly throughput: Throughput;
	readonly idle: Idle;
}

const NAMES: Record<WakeUp, string> = {
	nudge: "the relay's own process commits (nudge)",
	notify: "another process commits (LISTEN/NOTIFY)",
	poll: "nobody tells the relay (polling)"
};

export function latencyTable({ latency: { wakeUps, bare } }: Results): Table {
	const row = (name: string, { events, ms: measured }: Latency) => [
		name,
		whole(events),
		...ms(measured)
	];
	return [
		["wake-up", "events", "p50 ms", "p95 ms", "p99 ms"],
		...WAKE_UPS.map(wakeUp => row(NAMES[wakeUp], wakeUps[wakeUp])),
		row("bare JetStream, publish to arrival", bare)
	];
}

export const throughputTable = ({ throughput: { valence, bare, ratio } }: Results): Table => [
	["", "events/s", "published/s", "seconds", "compared"],
	[
		"Valence, outbox to handler's commit",
		whole(valence.rate),
		whole(valence.publishedRate),
		digits(1)(valence.seconds),
		`${formatRatio(ratio)} × bare JetStream`
	],
	[
		"bare JetStream, publish to acknowledgement",
		whole(bare.rate),
		whole(bare.publishedRate),
		digits(1)(bare.seconds),
		""
	]
];

const sum = (figures: Figures): number | null =>
	Object.values(figures).reduce<number | null>(
		(total, figure) => (total === null || figure === null ? null : total + figure),
		0
	);

/** CPU seconds for 1,000 events, which are milliseconds for one. */
export function cpuTable({ throughput: { valence, bare } }: Results): Table {
	const seconds = digits(2);
	const figure = (figures: Figures, ...names: string[]) =>
		seconds(sum(Object.fromEntries(names.map(name => [name, figures[name] ?? null]))));
	const row = (name: string, figures: Figures, sender: string, receivers: string[]) => [
		name,
		figure(figures, sender),
		figure(figures, ...receivers),
		figure(figures, "nats"),
		"postgres" in figures ? figure(figures, "postgres") : "",
		seconds(sum(figures))
	];
	return [
		["CPU s per 1,000 events", "relay", "consumers", "NATS", "PostgreSQL", "all"],
		row("Valence", valence.cpuSeconds, "relay", ["consumer-1", "consumer-2"]),
		row("bare JetStream", bare.cpuSeconds, "publisher", ["puller-1", "puller-2"])
	];
}

export function memoryTable({ throughput: { valence } }: Results): Table {
	const [first = {}] = valence.memoryMb;
	return [
		["MB", ...valence.memoryMb.map((_, tenth) => `${tenth * 10} %`)],
		...Object.keys(first).map(name => [
			name,
			...valence.memoryMb.map(figures => whole(figures[name]))
		])
	];
}

export const idleTable = ({ idle }: Results): Table => [
	["node at rest", "CPU % of one core"],
	...idle.nodes.map(({ name, cpuPercent }) => [name, digits(1)(cpuPercent)])
];

const headOf = ({ machine, versions }: Results): string =>
	`${describeMachine(machine)}, PostgreSQL ${versions.postgres}, nats-server ${versions.nats}`;

interface Part {
	readonly title: string;
	readonly text: string;
	readonly tables: readonly Table[];
}

const partsOf = (results: Results): Part[] => {
	const { seconds, rate, throughput, idle } = results;
	return [
		{
			title: "Latency",
			text: `From the commit that records an event to the commit of its handler, at ${rate} events/s for ${seconds} s each.`,
			tables: [latencyTable(results)]
		},
		{
			title: "Throughput",
			text: `A backlog of ${whole(throughput.events)} events of ${whole(throughput.aggregates)} aggregates, messages of ${whole(throughput.messageBytes)} bytes; one relay, two consumers, whose handler inserts a row. Bare JetStream: as large, ${throughput.bare.inFlight} in flight. ${whole(throughput.valence.outOfOrder)} deliveries came before a predecessor and were sent back.`,
			tables: [throughputTable(results), cpuTable(results), memoryTable(results)]
		},
		{
			title: "At rest",
			text: `Two nodes of one group, each with relay, consumer and timers: ${digits(1)(idle.transactions)} transactions/s in the group's database over ${digits(0)(idle.seconds)} s. Beside them a node with nothing on it.`,
			tables: [idleTable(results)]
		}
	];
};

/** How the figures are to be read. */
const NOTES = [
	"Servers and nodes share the machine's cores, so a rate is that of the whole machine, and what one part saves another may use.",
	"PostgreSQL writes every commit to the disk before it answers; NATS syncs as it does by default, every two minutes.",
	"The latency's clock is one for all processes: it is read when COMMIT has answered in the writer, and again when it has in the consumer. The first second is left out.",
	"Memory is RSS, and for PostgreSQL, whose processes share most of theirs, PSS. A transaction counts as one at rest, whether it has one statement or several."
];

/** The report for a terminal. */
export const tell = (results: Results): string =>
	[
		headOf(results),
		...partsOf(results).flatMap(({ title, text, tables }) => [
			`${title}: ${text}`,
			...tables.map(alignTable)
		]),
		...NOTES.map(note => `* ${note}`)
	].join("\n\n");

/** The report as a document. */
export const document = (
	results: Results
): string => `<!-- Written by \`npm run bench:events -- --write\`; do not edit. -->

# Benchmarks of the event backbone

Measured on ${results.date.slice(0, 10)}: ${headOf(results)}. \`npm run bench:events\` measures anew.

${partsOf(results)
	.map(({ title, text, tables }) => [`## ${title}`, text, ...tables.map(markdown)].join("\n\n"))
	.join("\n\n")}

## How to read them

${NOTES.map(note => `- ${note}`).join("\n")}
`;

/** What the benchmark tells. Pure. */
import type { Checkouts } from "./checkouts.ts";
import { describeMachine, type Machine } from "./machine.ts";
import type { Memory } from "./process-tree.ts";
import type { Reads } from "./reads.ts";
import type { Shape } from "./servers.ts";

export interface Percentiles {
	readonly p50: number;
	readonly p95: number;
	readonly p99: number;
}

/** The bare servers at one moment of the run. */
export interface Baseline {
	readonly http: Reads;
	readonly web: Reads;
}

/** A rate, as a multiple of what the bare servers did at the time. */
export interface Ratios {
	readonly bareWeb: number;
	readonly bareHttp: number;
}

export interface ShapeResult {
	readonly shape: Shape;
	readonly reads: Reads & { readonly ratios: Ratios };
	readonly checkouts: Checkouts & { readonly ratios: Ratios };
}

export interface Results {
	/** ISO 8601. */
	readonly date: string;
	readonly machine: Machine;
	readonly seconds: number;
	readonly connections: number;
	readonly customers: number;
	/** One before each shape and one after the last. */
	readonly baselines: readonly Baseline[];
	readonly shapes: readonly ShapeResult[];
}

/** By the nearest rank. There has to be a value. */
export function percentiles(values: readonly number[]): Percentiles {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (share: number) => {
		const value = sorted[Math.ceil(sorted.length * share) - 1];
		if (value === undefined) throw new Error("There are no percentiles of nothing.");
		return value;
	};
	return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Compares with the baseline that was measured nearest in time. */
export function ratiosOf(
	{ rate, at }: Pick<Reads, "rate" | "at">,
	baselines: readonly Baseline[]
): Ratios {
	const to = (server: keyof Baseline) => {
		const nearest = baselines
			.map(baseline => baseline[server])
			.reduce((a, b) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a));
		return rate / nearest.rate;
	};
	return { bareWeb: to("web"), bareHttp: to("http") };
}

/** With two significant digits, as far as it is below 10. */
export const formatRatio = (ratio: number): string =>
	ratio < 10 ? ratio.toPrecision(2) : Math.round(ratio).toString();

const NAMES: Record<keyof Baseline | Shape, string> = {
	http: "bare node:http",
	web: "bare moleculer-web",
	"one-process": "Valence, one process",
	cluster: "Valence, cluster"
};

const formatRatios = ({ bareWeb, bareHttp }: Ratios): string =>
	`${formatRatio(bareWeb)} × ${NAMES.web}, ${formatRatio(bareHttp)} × ${NAMES.http}`;

const UNKNOWN = "–";
export const whole = (value: number | null | undefined): string =>
	value == null ? UNKNOWN : Math.round(value).toLocaleString("en");
export const digits =
	(count: number) =>
	(value: number | null): string =>
		value === null ? UNKNOWN : value.toFixed(count);
export const ms = ({ p50, p95, p99 }: Percentiles): string[] => [p50, p95, p99].map(digits(2));
const megabytes = (memory: Memory | null): string[] => [whole(memory?.rssMb), whole(memory?.pssMb)];

/** Rows of equal length; the first one is the head. */
export type Table = readonly (readonly string[])[];

/** In the order in which it was measured. */
export function readsTable({ baselines, shapes }: Results): Table {
	const row = (name: string, reads: Reads, compared = "") => [
		name,
		whole(reads.rate),
		...ms(reads.ms),
		whole(reads.cpuMicros),
		digits(2)(reads.cores),
		digits(2)(reads.loadCores),
		...megabytes(reads.memory),
		compared
	];
	return [
		"server|req/s|p50 ms|p95 ms|p99 ms|CPU µs/req|cores|load cores|RSS MB|PSS MB|compared".split(
			"|"
		),
		...baselines.flatMap(({ http, web }, round) => {
			const next = shapes[round];
			return [
				row(`${NAMES.http} (${round + 1})`, http),
				row(`${NAMES.web} (${round + 1})`, web),
				...(next ? [row(NAMES[next.shape], next.reads, formatRatios(next.reads.ratios))] : [])
			];
		})
	];
}

export const checkoutsTable = ({ shapes }: Results): Table => [
	"server|accepted/s|p50 ms|p95 ms|p99 ms|confirmed/s|to confirmed p50 ms|p95 ms|CPU ms/order|RSS MB|PSS MB|compared".split(
		"|"
	),
	...shapes.map(({ shape, checkouts }) => [
		NAMES[shape],
		digits(1)(checkouts.rate),
		...ms(checkouts.postMs),
		digits(1)(checkouts.confirmedRate),
		whole(checkouts.confirmedMs.p50),
		whole(checkouts.confirmedMs.p95),
		digits(1)(checkouts.cpuMs),
		...megabytes(checkouts.memory),
		formatRatios(checkouts.ratios)
	])
];

/** For people: names to the left, numbers to the right. */
export function alignTable(rows: Table): string {
	const last = rows[0]!.length - 1;
	const widths = rows[0]!.map((_, at) => Math.max(...rows.map(row => row[at]!.length)));
	return rows
		.map(row =>
			row
				.map((cell, at) =>
					at === 0 || at === last ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)
				)
				.join("  ")
				.trimEnd()
		)
		.join("\n");
}

/** The same for a document. */
export const markdown = (rows: Table): string =>
	[rows[0]!, rows[0]!.map((_, at) => (at === 0 ? "---" : "--:")), ...rows.slice(1)]
		.map(row => `| ${row.join(" | ")} |`)
		.join("\n");

const READS = "GET /products/:id";
const CHECKOUT = "POST /checkout";

/** How the figures are to be read. */
const NOTES = [
	"The load comes from the same machine and takes its share of the cores. Where `load cores` is near 1, the load generator was the limit and the server could have done more; `CPU µs/req` compares fairly even then.",
	"A rate of reads is the median of its seconds. Each shape is compared with the bare servers as they were measured nearest to it in time; how far these are apart shows how steady the machine was.",
	"Of a checkout the POST alone is timed, until its 202; `CPU ms/order` holds all that belongs to an order, from putting the product into the cart to the confirmation. A checkout is compared with one answer of the bare servers.",
	"CPU and memory are those of the whole process tree: Node, PostgreSQL and, in the cluster, NATS and Redis. RSS counts shared pages in each process, PSS once."
];

const STEADY = 1.2;

/** A warning where the bare servers' rates lie so far apart that ratios to them mean little; else nothing. */
export function unsteadiness({ baselines }: Pick<Results, "baselines">): string[] {
	return (["http", "web"] as const).flatMap(server => {
		const rates = baselines.map(baseline => baseline[server].rate);
		const spread = Math.max(...rates) / Math.min(...rates);
		return spread > STEADY
			? [
					`The machine was not steady: ${NAMES[server]} was ${spread.toFixed(1)} times as fast at its best as at its worst. Measure again while nothing else runs.`
				]
			: [];
	});
}

const settingsOf = ({ seconds, connections, customers }: Results) => ({
	reads: `${connections} connections, ${seconds} s each`,
	checkouts: `${customers} customers at once, ${seconds} s each`
});

/** The report for a terminal. */
export function tell(results: Results): string {
	const settings = settingsOf(results);
	return [
		describeMachine(results.machine),
		`${READS}: ${settings.reads}`,
		alignTable(readsTable(results)),
		...(results.shapes.length > 0
			? [`${CHECKOUT}: ${settings.checkouts}`, alignTable(checkoutsTable(results))]
			: []),
		...[...unsteadiness(results), ...NOTES].map(note => `* ${note}`)
	].join("\n\n");
}

/** The report as a document. */
export function document(results: Results): string {
	const settings = settingsOf(results);
	return `<!-- Written by \`npm run bench -- --write\`; do not edit. -->

# Benchmarks

Measured on ${results.date.slice(0, 10)}: ${describeMachine(results.machine)}. \`npm run bench\` measures anew.

## ${READS}

${settings.reads}.

${markdown(readsTable(results))}

## ${CHECKOUT}

${settings.checkouts}.

${markdown(checkoutsTable(results))}

## How to read them

${[...unsteadiness(results), ...NOTES].map(note => `- ${note}`).join("\n")}
`;
}

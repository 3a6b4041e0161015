/** That everything is measured and told, at a size that says nothing about speed. */
import { runCommand } from "../tests/support/process.ts";
import { document, tell, type Results } from "./events/report.ts";

const SIZE = { seconds: 1, rate: 20, backlog: 40 };
const number = expect.any(Number) as number;
const percentiles = { p50: number, p95: number, p99: number };
const latency = { events: SIZE.seconds * SIZE.rate, ms: percentiles };
const onLinux = process.platform === "linux" ? number : null;
const parts = (...names: string[]) => Object.fromEntries(names.map(name => [name, onLinux]));
const NODES = ["relay", "consumer-1", "consumer-2", "postgres", "nats"];

let results: Results;

beforeAll(async () => {
	const args = Object.entries(SIZE).flatMap(([name, value]) => [`--${name}`, String(value)]);
	const { code, output } = await runCommand("bench/events.ts", [...args, "--json"], {});
	if (code !== 0) throw new Error(output);
	// All else is for people, and comes before it.
	results = JSON.parse(output.trimEnd().split("\n").at(-1)!) as Results;
}, 120_000);

it("tells on what it was measured", () => {
	expect(results).toMatchObject({
		...SIZE,
		machine: { cores: number, loadAverage: number },
		versions: {
			postgres: expect.stringMatching(/^\d+\./) as string,
			nats: expect.stringMatching(/^\d+\./) as string
		}
	});
});

it("measures the latency of each wake-up, and of JetStream by itself", () => {
	expect(results.latency).toEqual({
		wakeUps: { nudge: latency, notify: latency, poll: latency },
		bare: latency
	});
});

it("drains the backlog, and the same messages without a database", () => {
	expect(results.throughput).toEqual({
		events: SIZE.backlog,
		aggregates: SIZE.backlog,
		messageBytes: number,
		valence: {
			rate: number,
			publishedRate: number,
			seconds: number,
			outOfOrder: number,
			cpuSeconds: parts(...NODES),
			memoryMb: Array.from({ length: 11 }, () => parts(...NODES))
		},
		bare: {
			rate: number,
			publishedRate: number,
			seconds: number,
			cpuSeconds: parts("publisher", "puller-1", "puller-2", "nats"),
			inFlight: number
		},
		ratio: number
	});
});

it("measures nodes at rest", () => {
	expect(results.idle).toEqual({
		seconds: number,
		transactions: number,
		nodes: ["leader", "standby", "empty"].map(name => ({ name, cpuPercent: onLinux }))
	});
});

it("tells it all to people, and writes it as a document", () => {
	for (const text of [tell(results), document(results)]) {
		expect(text).toContain(`PostgreSQL ${results.versions.postgres}`);
		expect(text).toMatch(/nobody tells the relay \(polling\)[ |]+20[ |]+\d+\.\d\d/);
		expect(text).toMatch(/Valence, outbox to handler's commit .* × bare JetStream/);
		expect(text).not.toMatch(/undefined|NaN/);
	}
});

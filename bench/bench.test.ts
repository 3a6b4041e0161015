import type { Checkouts } from "./checkouts.ts";
import type { Reads } from "./reads.ts";
import {
	alignTable,
	document,
	formatRatio,
	percentiles,
	ratiosOf,
	readsTable,
	tell,
	unsteadiness,
	type Baseline,
	type Results
} from "./report.ts";

const reads = (rate: number, at = 0): Reads => ({
	at,
	rate,
	ms: { p50: 1, p95: 2.345, p99: 30 },
	cpuMicros: 20.4,
	cores: 0.5,
	loadCores: 0.9,
	memory: { rssMb: 80, pssMb: 60 }
});
const baseline = (http: number, web: number, at = 0): Baseline => ({
	http: reads(http, at),
	web: reads(web, at)
});
const ratios = { bareWeb: 0.43, bareHttp: 0.0215 };
const checkouts: Checkouts = {
	at: 0,
	orders: 100,
	rate: 10,
	postMs: { p50: 5, p95: 6, p99: 7 },
	confirmedRate: 9,
	confirmedMs: { p50: 70, p95: 80, p99: 90 },
	cpuMs: null,
	memory: null
};
const results: Results = {
	date: "2030-01-02T03:04:05.000Z",
	machine: {
		cores: 2,
		cpu: "Some CPU",
		memoryGb: 8,
		system: "Linux",
		node: "24.0.0",
		loadAverage: 0.1
	},
	seconds: 10,
	connections: 16,
	customers: 8,
	baselines: [baseline(40_000, 20_000), baseline(40_000, 20_000)],
	shapes: [
		{
			shape: "one-process",
			reads: { ...reads(8_600), ratios },
			checkouts: { ...checkouts, ratios }
		}
	]
};

it("takes percentiles by the nearest rank, whatever the order", () => {
	const values = Array.from({ length: 200 }, (_, at) => 200 - at);
	expect(percentiles(values)).toEqual({ p50: 100, p95: 190, p99: 198 });
	expect(percentiles([0.25])).toEqual({ p50: 0.25, p95: 0.25, p99: 0.25 });
	expect(percentiles([10, 9])).toEqual({ p50: 9, p95: 10, p99: 10 });
});

it("has no percentiles of nothing", () => {
	expect(() => percentiles([])).toThrow(/nothing/);
});

it("compares with the baseline nearest in time", () => {
	const baselines = [baseline(1_000, 500, 0), baseline(2_000, 800, 100)];
	expect(ratiosOf({ rate: 200, at: 40 }, baselines)).toEqual({ bareWeb: 0.4, bareHttp: 0.2 });
	expect(ratiosOf({ rate: 200, at: 60 }, baselines)).toEqual({ bareWeb: 0.25, bareHttp: 0.1 });
	expect(ratiosOf({ rate: 200, at: 900 }, baselines)).toEqual({ bareWeb: 0.25, bareHttp: 0.1 });
});

it.each([
	[0.4321, "0.43"],
	[0.004_27, "0.0043"],
	[0.5, "0.50"],
	[1, "1.0"],
	[9.96, "10"],
	[99.6, "100"],
	[1_234, "1234"]
])("writes the ratio %p as %p", (ratio, text) => {
	expect(formatRatio(ratio)).toBe(text);
});

it("aligns names to the left and numbers to the right", () => {
	const table = [
		["server", "req/s", "compared"],
		["a", "1,000", ""],
		["longer name", "5", "half"]
	];
	expect(alignTable(table)).toBe(
		["server       req/s  compared", "a            1,000", "longer name      5  half"].join("\n")
	);
});

it("lists what was measured in its order: baselines around each shape", () => {
	expect(readsTable(results).map(([name, rate]) => `${name} ${rate}`)).toEqual([
		"server req/s",
		"bare node:http (1) 40,000",
		"bare moleculer-web (1) 20,000",
		"Valence, one process 8,600",
		"bare node:http (2) 40,000",
		"bare moleculer-web (2) 20,000"
	]);
});

it("tells ratios, and a dash where something is not known", () => {
	const text = tell(results);
	expect(text).toContain("0.43 × bare moleculer-web, 0.021 × bare node:http");
	expect(text).toMatch(/one process +10\.0 +5\.00 +6\.00 +7\.00 +9\.0 +70 +80 +– +– +– +0\.43 ×/);
});

it("warns where the bare servers were not equally fast all the time", () => {
	expect(unsteadiness({ baselines: [baseline(1_000, 500), baseline(1_150, 450)] })).toEqual([]);
	const baselines = [baseline(1_000, 500), baseline(1_100, 500), baseline(2_500, 510)];
	expect(unsteadiness({ baselines })).toEqual([
		expect.stringMatching(/not steady: bare node:http was 2\.5 times/)
	]);
	expect(tell({ ...results, baselines })).toContain("not steady");
	expect(document({ ...results, baselines })).toContain("not steady");
});

it("writes a document with the day, the machine and rows of equal length", () => {
	const text = document(results);
	expect(text).toContain("Measured on 2030-01-02: 2 × Some CPU, 8.0 GB, Linux, Node 24.0.0");
	const widths = text
		.split("\n")
		.filter(line => line.startsWith("|"))
		.map(line => line.split("|").length);
	expect(widths).toEqual([...Array<number>(7).fill(13), ...Array<number>(3).fill(14)]);
});

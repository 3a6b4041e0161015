/** `npm run bench`: Valence in both shapes beside a bare node:http server and a bare moleculer-web action. */
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname, join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { format, resolveConfig } from "prettier";
import { CONCURRENCY, findProducts, measureCheckouts } from "./checkouts.ts";
import { measureReads, type Load } from "./reads.ts";
import {
	document,
	ratiosOf,
	tell,
	type Baseline,
	type Results,
	type ShapeResult
} from "./report.ts";
import { SHAPES, startBare, startValence, type Shape } from "./servers.ts";

const PRODUCTS = 50;
const DOCUMENT = join(import.meta.dirname, "..", "docs", "benchmarks.md");

const { shapes, json, write, ...load } = new Command("npm run bench --")
	.description("Measures reads and checkouts, beside bare servers in the same run")
	.option("--seconds <n>", "how long each measurement takes", parseNumber(300), 10)
	.option("--connections <n>", "connections that read at once", parseNumber(1_000), 16)
	.option("--shapes <list>", `of ${SHAPES.join(", ")}`, parseShapes, [...SHAPES])
	.option("--json", "print the results as one line of JSON; all else goes to standard error", false)
	.option("--write", "write docs/benchmarks.md", false)
	.parse()
	.opts<Load & { shapes: readonly Shape[]; json: boolean; write: boolean }>();

function parseNumber(maximum: number): (text: string) => number {
	return text => {
		const value = /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN;
		if (!(value <= maximum))
			throw new InvalidArgumentError(`It is a whole number from 1 to ${maximum}.`);
		return value;
	};
}

function parseShapes(text: string): Shape[] {
	const names = text.split(",");
	const known = SHAPES.filter(shape => names.includes(shape));
	if (known.length !== names.length)
		throw new InvalidArgumentError(`Name each of ${SHAPES.join(", ")} at most once.`);
	return known;
}

/** For people; with --json standard output belongs to the machine that reads it. */
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);

let interruption: Error | undefined;
/** Rejects at Ctrl-C, so that everything is ended on the way out. A second Ctrl-C ends us at once. */
const interrupted = new Promise<never>((_, reject) => {
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => {
			say("Ending what was started.");
			interruption = new Error(`Ended by ${signal}.`);
			reject(interruption);
		});
});
interrupted.catch(() => {});
const unlessInterrupted = <T>(work: Promise<T>): Promise<T> => Promise.race([work, interrupted]);

async function measureBare(file: "bare-http.ts" | "bare-web.ts") {
	await using server = await startBare(file);
	say(`  reads of bench/${file}`);
	const ids = Array.from({ length: PRODUCTS }, () => crypto.randomUUID());
	return await unlessInterrupted(measureReads(server, ids, load));
}

const measureBaseline = async (): Promise<Baseline> => ({
	http: await measureBare("bare-http.ts"),
	web: await measureBare("bare-web.ts")
});

async function measureValence(shape: Shape) {
	say(`  starting Valence (${shape})`);
	await using server = await startValence(shape);
	say("  reads");
	const products = await unlessInterrupted(findProducts(server));
	const reads = await unlessInterrupted(measureReads(server, products.slice(0, PRODUCTS), load));
	say("  checkouts");
	const checkouts = await unlessInterrupted(measureCheckouts(server, products, load));
	return { shape, reads, checkouts };
}

async function measure(): Promise<Results> {
	const machine = {
		cores: os.availableParallelism(),
		cpu: os.cpus()[0]?.model.trim() ?? "unknown processor",
		memoryGb: os.totalmem() / 1e9,
		system: `${os.type()} ${os.release()} (${os.arch()})`,
		node: process.versions.node,
		loadAverage: os.loadavg()[0]!
	};
	if (machine.loadAverage > 1)
		say(
			`The machine is busy (load average ${machine.loadAverage.toFixed(2)}): expect poor figures.`
		);
	const date = new Date().toISOString();
	const baselines = [await measureBaseline()];
	const measured: Awaited<ReturnType<typeof measureValence>>[] = [];
	for (const shape of shapes) {
		measured.push(await measureValence(shape));
		baselines.push(await measureBaseline());
	}
	const compared = measured.map(({ shape, reads, checkouts }): ShapeResult => ({
		shape,
		reads: { ...reads, ratios: ratiosOf(reads, baselines) },
		checkouts: { ...checkouts, ratios: ratiosOf(checkouts, baselines) }
	}));
	return { date, machine, ...load, customers: CONCURRENCY, baselines, shapes: compared };
}

async function writeDocument(results: Results): Promise<void> {
	const options = await resolveConfig(DOCUMENT);
	const text = await format(document(results), { ...options, filepath: DOCUMENT });
	mkdirSync(dirname(DOCUMENT), { recursive: true });
	writeFileSync(DOCUMENT, text);
	say("\nwrote docs/benchmarks.md");
}

try {
	say("Measuring");
	const results = await measure();
	say(`\n${tell(results)}`);
	if (write) await writeDocument(results);
	if (json) console.log(JSON.stringify(results));
} catch (error) {
	// A terminal's Ctrl-C reaches the servers as well: what they say of it is not the reason.
	const reason = interruption ?? error;
	console.error(reason instanceof Error ? reason.message : reason);
	// What was interrupted still has work under way.
	process.exit(interruption ? 130 : 1);
}

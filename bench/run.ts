/** `npm run bench`: Valence in both shapes beside a bare node:http server and a bare moleculer-web action. */
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { CONCURRENCY, findProducts, measureCheckouts } from "./checkouts.ts";
import { Interruption, wholeNumber, writeMarkdown } from "./command.ts";
import { busyness, readMachine } from "./machine.ts";
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
	.option("--seconds <n>", "how long each measurement takes", wholeNumber(300), 10)
	.option("--connections <n>", "connections that read at once", wholeNumber(1_000), 16)
	.option("--shapes <list>", `of ${SHAPES.join(", ")}`, parseShapes, [...SHAPES])
	.option("--json", "print the results as one line of JSON; all else goes to standard error", false)
	.option("--write", "write docs/benchmarks.md", false)
	.parse()
	.opts<Load & { shapes: readonly Shape[]; json: boolean; write: boolean }>();

function parseShapes(text: string): Shape[] {
	const names = text.split(",");
	const known = SHAPES.filter(shape => names.includes(shape));
	if (known.length !== names.length)
		throw new InvalidArgumentError(`Name each of ${SHAPES.join(", ")} at most once.`);
	return known;
}

/** For people; with --json standard output belongs to the machine that reads it. */
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);

const interruption = new Interruption(() => say("Ending what was started."));
const unlessInterrupted = <T>(work: Promise<T>) => interruption.orOutcome(work);

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
	const machine = readMachine();
	const warning = busyness(machine);
	if (warning) say(warning);
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

try {
	say("Measuring");
	const results = await measure();
	say(`\n${tell(results)}`);
	if (write) {
		await writeMarkdown(DOCUMENT, document(results));
		say("\nwrote docs/benchmarks.md");
	}
	if (json) console.log(JSON.stringify(results));
} catch (error) {
	interruption.fail(error);
}

/** `npm run bench:events`: latency, throughput and idle cost of the event backbone, beside JetStream by itself. */
import { join } from "node:path";
import { Command } from "commander";
import { Interruption, wholeNumber, writeMarkdown } from "./command.ts";
import { measureIdle } from "./events/idle.ts";
import { measureLatencies } from "./events/latency.ts";
import { document, tell, type Results } from "./events/report.ts";
import { startServers } from "./events/servers.ts";
import { measureThroughput } from "./events/throughput.ts";
import { busyness, readMachine } from "./machine.ts";

const DOCUMENT = join(import.meta.dirname, "..", "docs", "benchmarks-events.md");

const { json, write, ...options } = new Command("npm run bench:events --")
	.description("Measures the event backbone, beside bare JetStream in the same run")
	.option("--seconds <n>", "how long latency and rest are measured", wholeNumber(300), 10)
	.option("--rate <n>", "events per second while latency is measured", wholeNumber(1_000), 50)
	.option("--backlog <n>", "events to drain", wholeNumber(10_000_000), 100_000)
	.option("--json", "print the results as one line of JSON; all else goes to standard error", false)
	.option("--write", "write docs/benchmarks-events.md", false)
	.parse()
	.opts<{ seconds: number; rate: number; backlog: number; json: boolean; write: boolean }>();

/** For people; with --json standard output belongs to the machine that reads it. */
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);

const interruption = new Interruption(() => say("Ending what was started."));

async function measure(): Promise<Results> {
	const machine = readMachine();
	const warning = busyness(machine);
	if (warning) say(warning);
	const date = new Date().toISOString();
	await using servers = await startServers();
	const measured = async () => ({
		latency: await measureLatencies(servers, options, say),
		throughput: await measureThroughput(servers, options.backlog, say),
		idle: await measureIdle(servers, options.seconds, say)
	});
	return {
		date,
		machine,
		versions: servers.versions,
		...options,
		...(await interruption.orOutcome(measured()))
	};
}

try {
	say("Measuring");
	const results = await measure();
	say(`\n${tell(results)}`);
	if (write) {
		await writeMarkdown(DOCUMENT, document(results));
		say("\nwrote docs/benchmarks-events.md");
	}
	if (json) console.log(JSON.stringify(results));
} catch (error) {
	interruption.fail(error);
}

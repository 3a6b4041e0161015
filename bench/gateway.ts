/** `npm run bench:gateway`: what the door itself costs, beside a bare moleculer-web in the same run. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { BreakableServer } from "../bin/breakable-server.ts";
import { Interruption, wholeNumber } from "./command.ts";
import type { Started } from "./gateway/door.process.ts";
import { openSlowClients } from "./gateway/slow-clients.ts";
import { busyness, describeMachine, readMachine } from "./machine.ts";
import { measureReads, type Load, type Reads } from "./reads.ts";
import { alignTable, formatRatio } from "./report.ts";
import { startBare, type Server } from "./servers.ts";

const { json, profile, ...load } = new Command("npm run bench:gateway --")
	.description("Measures GET /products/:id through the door, with an action that costs nothing")
	.option("--seconds <n>", "how long each measurement takes", wholeNumber(300), 8)
	.option("--connections <n>", "connections that read at once", wholeNumber(1_000), 16)
	.option("--profile <folder>", "write CPU profiles of the door there")
	.option("--json", "print the results as one line of JSON; all else goes to standard error", false)
	.parse()
	.opts<Load & { json: boolean; profile?: string }>();

/** For people; with --json standard output belongs to the machine that reads it. */
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);
const interruption = new Interruption(() => say("Ending what was started."));

const PATIENCE_MS = 20_000;
const ids = Array.from({ length: 50 }, () => crypto.randomUUID());

/** As in production, with the limits counting and never in the way. */
const ENVIRONMENT = {
	PATH: process.env["PATH"],
	NODE_ENV: "production",
	LOG_LEVEL: "warn",
	PORT: "0",
	RATE_LIMIT_FACTOR: "1000000"
};

interface Door extends Server {
	readonly signedIn: Record<string, string>;
}

interface Part extends AsyncDisposable {
	readonly started: Started;
	readonly process: ChildProcess;
}

async function startPart(parts: readonly string[], env: Record<string, string>): Promise<Part> {
	const child = fork(join(import.meta.dirname, "gateway", "door.process.ts"), parts, {
		env: { ...ENVIRONMENT, ...env },
		execArgv: profile && parts.includes("door") ? ["--cpu-prof", `--cpu-prof-dir=${profile}`] : []
	});
	const ended = once(child, "exit");
	const said = await Promise.race([once(child, "message"), ended.then(() => [])]);
	if (said[0] === undefined) throw new Error(`The part ${parts.join()} ended before it was ready.`);
	return {
		started: said[0] as Started,
		process: child,
		async [Symbol.asyncDispose]() {
			// Its profile is written at an end of its own.
			if (child.connected) child.disconnect();
			await ended;
		}
	};
}

/** Door and action in one process, or each in its own with NATS between them and the limits in Redis. */
async function startDoor(shape: "one process" | "NATS"): Promise<Door> {
	await using stack = new AsyncDisposableStack();
	const env: Record<string, string> = {};
	if (shape === "NATS") {
		const nats = stack.adopt(await BreakableServer.nats(), server => server.stop());
		const redis = stack.adopt(await BreakableServer.redis(), server => server.stop());
		Object.assign(env, { NATS_URL: nats.url, REDIS_URL: redis.url });
	}
	const behind =
		shape === "NATS"
			? stack.use(await startPart(["behind"], { ...env, NODE_NAME: "behind" }))
			: undefined;
	const door = stack.use(
		await startPart(behind ? ["door"] : ["door", "behind"], { ...env, NODE_NAME: "door" })
	);
	const url = door.started.url!;
	const { signedIn } = (behind ?? door).started;
	for (const end = Date.now() + PATIENCE_MS; ; await sleep(50)) {
		const { ok } = await fetch(`${url}/api/v1/products/lamp`, { headers: signedIn! });
		if (ok) break;
		if (Date.now() > end) throw new Error("The door does not lead anywhere.");
	}
	const owned = stack.move();
	return {
		url,
		pid: door.process.pid!,
		signedIn: signedIn!,
		[Symbol.asyncDispose]: () => owned.disposeAsync()
	};
}

interface Result {
	readonly name: string;
	readonly reads: Reads;
	/** Requests per second, as a multiple of the bare servers' before and after. */
	readonly ratio: number;
	/** The processor time of the bare server for one request, divided by ours. */
	readonly cpuRatio: number | null;
}

async function measureBare(): Promise<Reads> {
	await using server = await startBare("bare-web.ts");
	say("  bare moleculer-web");
	return await interruption.orOutcome(measureReads(server, ids, load));
}

const mean = (a: number, b: number) => (a + b) / 2;

async function measure(): Promise<{ bare: readonly Reads[]; results: readonly Result[] }> {
	const bare = [await measureBare()];
	const results: Result[] = [];
	for (const shape of ["one process", "NATS"] as const)
		for (const who of ["a guest", "a signed-in user"]) {
			const name = `the door, ${shape}, ${who}`;
			await using door = await startDoor(shape);
			say(`  ${name}`);
			const headers = who === "a guest" ? {} : door.signedIn;
			const reads = await interruption.orOutcome(measureReads(door, ids, { ...load, headers }));
			await door[Symbol.asyncDispose]();
			const [before, after] = [bare.at(-1)!, await measureBare()];
			bare.push(after);
			results.push({
				name,
				reads,
				ratio: reads.rate / mean(before.rate, after.rate),
				cpuRatio:
					reads.cpuMicros && before.cpuMicros && after.cpuMicros
						? mean(before.cpuMicros, after.cpuMicros) / reads.cpuMicros
						: null
			});
		}
	return { bare, results };
}

const SLOW_CLIENTS = { idle: 2_000, slow: 200 };

/** The 95th percentile of ordinary clients while others only hold connections, as a multiple of that without them. */
async function measureSlowClients(): Promise<{ alone: Reads; beside: Reads; ratio: number }> {
	await using door = await startDoor("one process");
	const read = () =>
		interruption.orOutcome(measureReads(door, ids, { ...load, headers: door.signedIn }));
	say("  the door beside slow clients");
	const before = await read();
	const slow = await openSlowClients(door.url, SLOW_CLIENTS);
	const beside = await read();
	slow[Symbol.dispose]();
	const alone = await read();
	return { alone, beside, ratio: beside.ms.p95 / mean(before.ms.p95, alone.ms.p95) };
}

const row = (name: string, { rate, ms, cpuMicros }: Reads, ...ratios: string[]): string[] => [
	name,
	rate.toFixed(0),
	ms.p50.toFixed(2),
	ms.p99.toFixed(2),
	cpuMicros?.toFixed(0) ?? "–",
	...ratios
];

try {
	const machine = readMachine();
	const warning = busyness(machine);
	if (warning) say(warning);
	say("Measuring");
	const { bare, results } = await measure();
	const slowClients = await measureSlowClients();
	const table = [
		["server", "req/s", "p50 ms", "p99 ms", "CPU µs", "× bare", "× bare by CPU"],
		...bare.map((reads, i) => row(`bare moleculer-web (${i + 1})`, reads, "", "")),
		...results.map(({ name, reads, ratio, cpuRatio }) =>
			row(name, reads, formatRatio(ratio), cpuRatio === null ? "–" : formatRatio(cpuRatio))
		)
	];
	say(`\n${describeMachine(machine)}\n\n${alignTable(table)}`);
	say(
		`\nBeside ${SLOW_CLIENTS.idle} idle and ${SLOW_CLIENTS.slow} slow connections p95 was ${formatRatio(slowClients.ratio)} times what it was without them.`
	);
	if (json) console.log(JSON.stringify({ machine, ...load, bare, results, slowClients }));
} catch (error) {
	interruption.fail(error);
}

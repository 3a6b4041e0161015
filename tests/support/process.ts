/** Valence as an operator starts it: real processes, in a data folder of their own. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "../../bin/ports.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** What Node has compiled, for all processes: they are many, and loading is most of a start. */
const COMPILED = join(ROOT, "var", "compile-cache");

export interface Running {
	readonly process: ChildProcess;
	readonly dataDir: string;
	/** Public addresses: one for each gateway. */
	readonly urls: readonly string[];
	/** Everything printed so far. */
	output(): string;
	/** Ctrl-C, and waits for the end. Returns the exit code, null where a signal ended it. */
	stop(signal?: NodeJS.Signals): Promise<number | null>;
	/** Removes the data folder. */
	cleanUp(): void;
}

export interface ClusterInfo {
	readonly pid: number;
	readonly urls: string[];
	readonly servers: Record<string, { url: string; pid?: number }>;
	readonly nodes: { nodeId: string; unit: string; pid: number; port?: number; opsPort: number }[];
}

export const newDataDir = (): string => mkdtempSync(join(tmpdir(), "valence-"));

/** Runs one of our commands to its end; `input` is what it reads from standard input. */
export async function runCommand(
	script: string,
	args: readonly string[],
	env: Record<string, string>,
	input?: string
): Promise<{ code: number | null; output: string }> {
	const child = launch(script, args, env, input === undefined ? "ignore" : "pipe");
	child.process.stdin?.end(input);
	const code = await child.ended;
	return { code, output: child.output() };
}

/** `npm start` on free ports; waits until it says that it is ready. */
export async function startOneProcess(
	env: Record<string, string> = {},
	dataDir: string = newDataDir()
): Promise<Running> {
	const child = launch("bin/start.ts", [], { DATA_DIR: dataDir, PORT: "0", OPS_PORT: "0", ...env });
	await child.says(/Ctrl-C stops it/);
	const urls = [/API\s+(http:\S+)\/api\/v1/.exec(child.output())![1]!];
	return {
		...child,
		urls,
		dataDir,
		cleanUp: () => rmSync(dataDir, { recursive: true, force: true })
	};
}

/** `npm run cluster` on free ports, with demo data; waits until every node is ready. */
export async function startCluster(
	replicas: string,
	env: Record<string, string> = {},
	dataDir: string = newDataDir()
): Promise<Running & { info(): ClusterInfo }> {
	const args = [...(replicas ? ["--replicas", replicas] : []), "--demo-data"];
	const port = await freePorts(20);
	const child = launch("bin/cluster.ts", args, {
		DATA_DIR: dataDir,
		PORT: String(port),
		OPS_PORT: String(port + 5),
		...env
	});
	await child.says(/Ctrl-C stops the cluster/);
	const info = () => JSON.parse(readFileSync(join(dataDir, "cluster.json"), "utf8")) as ClusterInfo;
	return {
		...child,
		info,
		urls: info().urls,
		dataDir,
		cleanUp: () => rmSync(dataDir, { recursive: true, force: true })
	};
}

/** Waits until the condition holds; throws with its name where it does not within the time. */
export async function eventually(
	what: string,
	condition: () => Promise<boolean> | boolean,
	ms = 20_000
): Promise<void> {
	for (const until = Date.now() + ms; Date.now() < until; await sleep(50))
		if (await condition()) return;
	throw new Error(`Not within ${ms} ms: ${what}`);
}

/** Starts a script of ours as a process; gives what it prints and its end. */
export function launch(
	script: string,
	args: readonly string[],
	env: Record<string, string>,
	stdin: "ignore" | "pipe" = "ignore"
) {
	const child = spawn(process.execPath, [resolve(ROOT, script), ...args], {
		cwd: ROOT,
		// Nothing of the machine's own configuration, and no test variables.
		env: {
			PATH: process.env["PATH"],
			HOME: process.env["HOME"],
			LOG_LEVEL: "warn",
			NODE_COMPILE_CACHE: COMPILED,
			...env
		},
		stdio: [stdin, "pipe", "pipe"]
	});
	let text = "";
	const heard: (() => void)[] = [];
	for (const stream of [child.stdout!, child.stderr!])
		stream.setEncoding("utf8").on("data", (chunk: string) => {
			text += chunk;
			for (const listener of heard) listener();
		});
	const ended = new Promise<number | null>(done => child.once("close", done));
	return {
		process: child,
		ended,
		output: () => text,
		async says(pattern: RegExp): Promise<void> {
			const seen = new Promise<void>(done => {
				const look = () => pattern.test(text) && done();
				heard.push(look);
				look();
			});
			const outcome = await Promise.race([
				seen.then(() => "said" as const),
				ended.then(code => `ended with ${code}` as const),
				sleep(60_000, "was silent for a minute" as const, { ref: false })
			]);
			if (outcome !== "said") {
				child.kill("SIGKILL");
				throw new Error(`${script} ${outcome} and did not say ${pattern}:\n${text}`);
			}
		},
		async stop(signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
			child.kill(signal);
			return ended;
		}
	};
}

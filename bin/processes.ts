/** Child processes of a cluster on one machine: found, started, kept alive, ended. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, startTime } from "../lib/pid.ts";
import { StartupError } from "../lib/startup-error.ts";

/** Where distributions put servers although a user's PATH may leave it out. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** The path of a server's binary. Throws a StartupError with the command that installs it. */
export function findBinary(
	name: string,
	urlVariable: string,
	folders: readonly string[] = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS]
): string {
	const file = folders.map(folder => join(folder, name)).find(candidate => existsSync(candidate));
	if (file) return file;
	throw new StartupError(
		`${name} is not installed. Install it (Debian, Ubuntu: \`apt-get install ${name}\`; macOS: \`brew install ${name.replace("redis-server", "redis")}\`), or set ${urlVariable} to a server of yours.`
	);
}

export interface ChildOptions {
	readonly name: string;
	readonly file: string;
	readonly args: readonly string[];
	readonly env?: NodeJS.ProcessEnv;
	/** Each line that it prints. */
	readonly onLine: (line: string) => void;
	/** Where it is one of our nodes: it ends itself when we are gone. */
	readonly ipc?: boolean;
	/** What it sends over IPC. */
	readonly onMessage?: (message: unknown) => void;
	/** Called when it ends although nobody asked it to; it is started again a second later. */
	readonly onEnd: (why: string) => void;
	/** Called when it has been started again, under another process id. */
	readonly onRestart: () => void;
}

const RESTART_MS = 1_000;

/** A process that is started again whenever it ends, until it is stopped. */
export class Child {
	readonly name: string;
	readonly #options: ChildOptions;
	#process: ChildProcess | undefined;
	#stopping = false;
	#ended: Promise<void> = Promise.resolve();

	constructor(options: ChildOptions) {
		this.name = options.name;
		this.#options = options;
		this.#start();
	}

	get pid(): number {
		return this.#process?.pid ?? 0;
	}

	/** Sends the signal and waits for the end. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		this.#stopping = true;
		this.#process?.kill(signal);
		await this.#ended;
	}

	kill(): void {
		this.#stopping = true;
		this.#process?.kill("SIGKILL");
	}

	#start(): void {
		const { file, args, env, ipc, onLine, onMessage } = this.#options;
		// A process group of its own: Ctrl-C in the terminal reaches us alone, and we end the rest in order.
		const child = spawn(file, [...args], {
			env: env ?? process.env,
			detached: true,
			stdio: ["ignore", "pipe", "pipe", ...(ipc ? ["ipc" as const] : [])]
		});
		this.#process = child;
		for (const stream of [child.stdout!, child.stderr!]) eachLine(stream, onLine);
		if (onMessage) child.on("message", onMessage);
		this.#ended = new Promise(done => {
			child.once("error", error => onLine(String(error)));
			child.once("close", (code, signal) => {
				done();
				if (!this.#stopping) void this.#restart(signal ?? `exit code ${code}`);
			});
		});
	}

	async #restart(why: string): Promise<void> {
		this.#options.onEnd(why);
		await sleep(RESTART_MS);
		if (this.#stopping) return;
		this.#start();
		this.#options.onRestart();
	}
}

function eachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
	let rest = "";
	stream.setEncoding("utf8");
	stream.on("data", (chunk: string) => {
		const lines = (rest + chunk).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) onLine(line);
	});
	stream.on("end", () => {
		if (rest) onLine(rest);
	});
}

/** Ends a server that an earlier run left behind, if the number is still that of the process that began at `started`. */
export async function endLeftover(pid: number, started: string): Promise<void> {
	if (!isAlive(pid) || startTime(pid) !== started) return;
	process.kill(pid, "SIGTERM");
	for (let waited = 0; waited < 5_000 && isAlive(pid); waited += 50) await sleep(50);
	if (isAlive(pid)) process.kill(pid, "SIGKILL");
}

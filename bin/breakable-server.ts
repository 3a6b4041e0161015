/** NATS and Redis for those who break them: each on a port and with a store of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../lib/startup-error.ts";
import { freePorts } from "./ports.ts";
import { findBinary } from "./processes.ts";

const READY_WITHIN_MS = 10_000;

/** A server that can be killed and started again, at the same address. */
export class BreakableServer {
	readonly url: string;
	readonly #port: number;
	readonly #file: string;
	readonly #args: readonly string[];
	readonly #store: string;
	#process: ChildProcess | undefined;

	private constructor(
		protocol: string,
		port: number,
		file: string,
		argsFor: (store: string) => string[],
		folder = tmpdir()
	) {
		this.#store = mkdtempSync(join(folder, "valence-server-"));
		this.#port = port;
		this.url = `${protocol}://127.0.0.1:${port}`;
		this.#file = file;
		this.#args = argsFor(this.#store);
	}

	get pid(): number {
		return this.#process!.pid!;
	}

	/** Its store is made in `folder`. `configFile` is read at each start. */
	static async nats({
		jetStream = true,
		folder,
		configFile
	}: {
		jetStream?: boolean;
		folder?: string;
		configFile?: string;
	} = {}): Promise<BreakableServer> {
		const port = await freePorts(1);
		const argsFor = (store: string) => {
			const config = configFile ? ["-c", configFile] : [];
			const address = ["-a", "127.0.0.1", "-p", String(port), ...config];
			return jetStream ? [...address, "-js", "-sd", store] : address;
		};
		const file = findBinary("nats-server", "NATS_URL");
		return new BreakableServer("nats", port, file, argsFor, folder).start();
	}

	static async redis(): Promise<BreakableServer> {
		const port = await freePorts(1);
		const server = new BreakableServer(
			"redis",
			port,
			findBinary("redis-server", "REDIS_URL"),
			store => ["--bind", "127.0.0.1", "--port", String(port), "--dir", store, "--save", ""]
		);
		return server.start();
	}

	async start(): Promise<this> {
		this.#process = spawn(this.#file, [...this.#args], { stdio: "ignore" });
		for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end; await sleep(20))
			if (await this.#answers()) return this;
		throw new StartupError(`${this.#file} did not open ${this.url} within 10 s.`);
	}

	/** Ends it as a power cut does; resolves when it is gone. */
	kill(): Promise<void> {
		return this.#end("SIGKILL");
	}

	/** It stops answering, with its connections open. */
	pause(): void {
		this.#process!.kill("SIGSTOP");
	}

	resume(): void {
		this.#process!.kill("SIGCONT");
	}

	/** Loses what it kept. */
	emptyStore(): void {
		rmSync(this.#store, { recursive: true });
		mkdirSync(this.#store);
	}

	/** Ends it for good. */
	async stop(): Promise<void> {
		await this.#end("SIGKILL");
		rmSync(this.#store, { recursive: true, force: true });
	}

	async #end(signal: NodeJS.Signals): Promise<void> {
		const child = this.#process!;
		if (child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise(done => child.once("exit", done));
		child.kill(signal);
		await ended;
	}

	#answers(): Promise<boolean> {
		return new Promise(done => {
			const socket = connect(this.#port, "127.0.0.1");
			socket.once("error", () => done(false));
			socket.once("connect", () => {
				socket.destroy();
				done(true);
			});
		});
	}
}

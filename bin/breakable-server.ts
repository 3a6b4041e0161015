/** NATS and Redis for those who break them: each on a port and with a store of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectNats } from "nats";
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

	/** Three of them as one cluster, each with a store of its own; resolves when they have a leader. */
	static async natsCluster(): Promise<BreakableServer[]> {
		const first = await freePorts(6);
		const file = findBinary("nats-server", "NATS_URL");
		const ports = [0, 1, 2].map(index => first + index);
		const routes = ports.map(port => `nats://127.0.0.1:${port + 3}`);
		const servers = ports.map(
			(port, index) =>
				new BreakableServer("nats", port, file, store => {
					const address = ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", store];
					const names = ["--server_name", `n${index}`, "--cluster_name", `c${first}`];
					return [...address, ...names, "--cluster", routes[index]!, "--routes", routes.join(",")];
				})
		);
		await Promise.all(servers.map(server => server.start()));
		await leaderOf(servers);
		return servers;
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

	/** Sets aside what it keeps, as a backup of its disk; it must not run. */
	keepCopy(): void {
		rmSync(this.#copy, { recursive: true, force: true });
		cpSync(this.#store, this.#copy, { recursive: true });
	}

	/** Puts back what was set aside; it must not run. */
	restoreCopy(): void {
		rmSync(this.#store, { recursive: true });
		cpSync(this.#copy, this.#store, { recursive: true });
	}

	/** Ends it for good. */
	async stop(): Promise<void> {
		await this.#end("SIGKILL");
		for (const folder of [this.#store, this.#copy])
			rmSync(folder, { recursive: true, force: true });
	}

	get #copy(): string {
		return `${this.#store}.copy`;
	}

	/** Asks it to end, and waits for that. */
	shutDown(): Promise<void> {
		return this.#end("SIGTERM");
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

/** Waits until the servers have agreed on who leads: JetStream answers nothing before. */
async function leaderOf(servers: readonly BreakableServer[]): Promise<void> {
	const connection = await connectNats({ servers: servers.map(({ url }) => url) });
	try {
		for (const end = Date.now() + READY_WITHIN_MS; ;) {
			const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 500 });
			const error = await manager.getAccountInfo().then(() => undefined, String);
			if (!error) return;
			if (Date.now() > end)
				throw new StartupError(`The NATS cluster did not elect a leader within 10 s (${error}).`);
			await sleep(50);
		}
	} finally {
		await connection.close();
	}
}

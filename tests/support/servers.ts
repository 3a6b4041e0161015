/** NATS and Redis for tests that break them: each on a port and with a store of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary } from "../../bin/processes.ts";
import { freePorts } from "./process.ts";
import { until } from "./until.ts";

/** A server that can be killed and started again, at the same address. */
export class TestServer {
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
		argsFor: (store: string) => string[]
	) {
		this.#store = mkdtempSync(join(tmpdir(), "valence-server-"));
		this.#port = port;
		this.url = `${protocol}://127.0.0.1:${port}`;
		this.#file = file;
		this.#args = argsFor(this.#store);
	}

	static async nats({ jetStream = true } = {}): Promise<TestServer> {
		const port = await freePorts(1);
		const server = new TestServer("nats", port, findBinary("nats-server", "NATS_URL"), store => {
			const address = ["-a", "127.0.0.1", "-p", String(port)];
			return jetStream ? [...address, "-js", "-sd", store] : address;
		});
		return server.start();
	}

	static async redis(): Promise<TestServer> {
		const port = await freePorts(1);
		const server = new TestServer("redis", port, findBinary("redis-server", "REDIS_URL"), store => [
			"--bind",
			"127.0.0.1",
			"--port",
			String(port),
			"--dir",
			store,
			"--save",
			""
		]);
		return server.start();
	}

	async start(): Promise<this> {
		this.#process = spawn(this.#file, [...this.#args], { stdio: "ignore" });
		await until(() => this.#answers(), `${this.url} answers`);
		return this;
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

/** A replica of the proving ground as its driver sees it: a process that comes back, and its two links. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../processes.ts";
import type { Proxy } from "./proxy.ts";
import type { ReplicaMessage } from "./replica-process.ts";
import type { Role } from "./services.ts";

export interface ReplicaOptions {
	readonly role: Role;
	readonly name: string;
	/** Where a writer answers commands. */
	readonly port: number;
	readonly nats: Proxy;
	readonly postgres: Proxy;
	/** The server's URL; the replica is given its proxy's address instead. */
	readonly postgresUrl: string;
	readonly ackWaitMs: number;
	/** A broken variant of the code, see mutants.ts. */
	readonly mutant: string | undefined;
	/** Folder for what it prints. */
	readonly logs: string | undefined;
	readonly onStart: (pid: number) => void;
	readonly onAbsorbed: (count: number) => void;
	/** It has ended although nobody made it. */
	readonly onEnd: (why: string) => void;
}

/** Longer than any server is away. */
const COMES_BACK_WITHIN_MS = 60_000;

export class Replica {
	readonly role: Role;
	readonly name: string;
	readonly url: string;
	readonly links: { readonly nats: Proxy; readonly postgres: Proxy };
	readonly #child: Child;
	#isReady = false;
	#killed = false;
	/** What tells best why it ended. */
	#lastWords = "";

	constructor(options: ReplicaOptions) {
		const { role, name, port, nats, postgres, logs, mutant } = options;
		this.role = role;
		this.name = name;
		this.url = `http://127.0.0.1:${port}`;
		this.links = { nats, postgres };
		const hook = join(import.meta.dirname, "mutate.ts");
		this.#child = new Child({
			name,
			file: process.execPath,
			args: [...(mutant ? ["--import", hook] : []), join(import.meta.dirname, "node.ts"), role],
			env: this.#env(options),
			ipc: true,
			onMessage: message => this.#hear(message as ReplicaMessage, options),
			onLine: line => {
				if (/^\S*error|^\S.*(?:error|fatal)/i.test(line)) this.#lastWords = line;
				if (logs) appendFileSync(join(logs, `${name}.log`), `${line}\n`);
			},
			onEnd: why => {
				this.#isReady = false;
				if (!this.#killed) options.onEnd(`${why}: ${this.#lastWords}`);
				this.#killed = false;
			},
			onRestart: () => options.onStart(this.pid)
		});
		options.onStart(this.pid);
	}

	get pid(): number {
		return this.#child.pid;
	}

	/** It has started up and reports. */
	get isReady(): boolean {
		return this.#isReady;
	}

	/** Ends it without a word; it is started again a second later. */
	kill(): void {
		this.#killed = true;
		this.#isReady = false;
		process.kill(this.pid, "SIGKILL");
	}

	pause(): void {
		process.kill(this.pid, "SIGSTOP");
	}

	resume(): void {
		process.kill(this.pid, "SIGCONT");
	}

	/** Waits until it is there to be disturbed; throws where it stays away. */
	async untilReady(): Promise<void> {
		for (const end = Date.now() + COMES_BACK_WITHIN_MS; !this.#isReady; await sleep(20))
			if (Date.now() > end)
				throw new Error(
					`${this.name} did not become ready within ${COMES_BACK_WITHIN_MS / 1_000} s. It said: ${this.#lastWords}`
				);
	}

	/** Ends it for good, also while it stands still. */
	stop(): Promise<void> {
		return this.#child.stop("SIGKILL");
	}

	#hear(message: ReplicaMessage, { onAbsorbed }: ReplicaOptions): void {
		if ("ready" in message) this.#isReady = true;
		else onAbsorbed(message.absorbed);
	}

	#env(options: ReplicaOptions): NodeJS.ProcessEnv {
		const { name, port, nats, postgres, postgresUrl, ackWaitMs, mutant, logs } = options;
		const database = new URL(postgresUrl);
		database.port = String(postgres.port);
		return {
			PATH: process.env["PATH"],
			NODE_NAME: name,
			PORT: String(port),
			NATS_URL: `nats://127.0.0.1:${nats.port}`,
			DATABASE_URL: database.href,
			DATABASE_POOL_SIZE: "8",
			EVENT_ACK_WAIT_MS: String(ackWaitMs),
			LOG_LEVEL: logs ? "info" : "error",
			...(mutant ? { MUTANT: mutant } : {})
		};
	}
}

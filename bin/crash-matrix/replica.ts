/** A replica of the crash matrix as its driver sees it: one process, which is not started again by itself. */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { LAST_WORDS } from "../../lib/crash-point.ts";
import type { ReplicaMessage } from "../chaos/replica-process.ts";
import type { Order } from "./node.ts";
import type { Assignment } from "./spare.ts";
import { until } from "./until.ts";

/** How a process ended, and at which place of the code, as far as it said so. */
export interface Death {
	readonly signal: NodeJS.Signals | null;
	readonly code: number | null;
	readonly place: string | undefined;
}

const DIES_WITHIN_MS = 20_000;

export class Replica {
	/** Deliveries of what had been handled before. */
	absorbed = 0;
	readonly #child: ChildProcess;
	readonly #ended: Promise<void>;
	#death: Death | undefined;
	#isReady = false;
	#place: string | undefined;
	#printed = "";

	/** A spare; `env` is what it needs from its very start. */
	constructor(env: NodeJS.ProcessEnv) {
		this.#child = spawn(process.execPath, [join(import.meta.dirname, "spare.ts")], {
			env: { PATH: process.env["PATH"], ...env },
			// A process group of its own: Ctrl-C reaches the driver alone, which ends the rest.
			detached: true,
			stdio: ["ignore", "pipe", "pipe", "ipc"]
		});
		for (const stream of [this.#child.stdout!, this.#child.stderr!])
			stream.setEncoding("utf8").on("data", (text: string) => {
				this.#printed += text;
				const said = this.#printed.lastIndexOf(LAST_WORDS);
				if (said >= 0) [this.#place] = this.#printed.slice(said + LAST_WORDS.length).split("\n", 1);
			});
		this.#child.on("message", message => {
			const told = message as ReplicaMessage;
			if ("ready" in told) this.#isReady = true;
			else this.absorbed += told.absorbed;
		});
		this.#ended = new Promise(done => {
			this.#child.once("close", (code, signal) => {
				this.#death = { code, signal, place: this.#place };
				done();
			});
		});
	}

	get pid(): number {
		return this.#child.pid!;
	}

	/** Makes it a replica of this part, with this environment. */
	become(assignment: Assignment): void {
		this.#child.send(assignment);
	}

	/** Waits until it can work; throws where it ends before. */
	async ready(): Promise<this> {
		await until(() => this.#isReady || this.#death !== undefined, "the replica is ready", 30_000);
		if (!this.#isReady) throw new Error(`The replica ended at its start:\n${this.#printed}`);
		return this;
	}

	/** Waits for its end. */
	async died(): Promise<Death> {
		await until(() => this.#death !== undefined, "the replica dies", DIES_WITHIN_MS).catch(
			error => {
				throw new Error(`${error.message}; it printed:\n${this.#printed}`);
			}
		);
		return this.#death!;
	}

	/** Whether it has come to the place where it is to stand still. */
	get isStanding(): boolean {
		return this.#place !== undefined;
	}

	/** Waits until it stands still at a place. */
	stands(place: string): Promise<void> {
		return until(() => this.#place === place, `the replica stands still at ${place}`);
	}

	tell(order: Order): void {
		this.#child.send(order);
	}

	resume(): void {
		this.#child.kill("SIGCONT");
	}

	/** Ends it, whatever state it is in. */
	async stop(): Promise<void> {
		if (!this.#death) this.#child.kill("SIGKILL");
		await this.#ended;
	}
}

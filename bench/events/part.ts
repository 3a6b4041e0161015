/** A process that takes part in a measurement: asked over IPC, ended with the scope that started it. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What a process can be asked; each answers once. */
export type Methods = Record<string, (...args: never[]) => unknown>;

interface Question {
	readonly id: number;
	readonly method: string;
	readonly args: readonly unknown[];
}
type Answer = { readonly id: number } & ({ readonly value: unknown } | { readonly error: string });

const READY = "ready";
const END = "end";
const END_MS = 8_000;

/** Inside the process: answers until it is told to end, or its parent is gone. `end` runs before it ends. */
export function serve(methods: Methods, end: () => Promise<void>): void {
	const answer = async ({ id, method, args }: Question): Promise<Answer> => {
		try {
			return { id, value: await methods[method]!(...(args as never[])) };
		} catch (error) {
			return { id, error: String(error) };
		}
	};
	process.on("message", (message: Question | typeof END) => {
		if (message === END)
			void end().then(
				() => process.exit(0),
				() => process.exit(1)
			);
		else void answer(message).then(reply => process.send!(reply));
	});
	process.once("disconnect", () => process.exit(1));
	process.send!(READY);
}

export class Part<M extends Methods> implements AsyncDisposable {
	readonly name: string;
	readonly #child: ChildProcess;
	readonly #ended: Promise<unknown>;
	readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
	#questions = 0;

	readonly #ready: Promise<unknown>;

	/** Starts a script of this folder; it may be asked as soon as it is `ready()`. */
	constructor(name: string, script: string, args: readonly string[], env: NodeJS.ProcessEnv) {
		this.name = name;
		this.#child = fork(join(import.meta.dirname, script), args, {
			env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
			// Ctrl-C in the terminal reaches us alone, and we end the rest in order.
			detached: true,
			serialization: "advanced",
			// Standard output is for the results.
			stdio: ["ignore", 2, 2, "ipc"]
		});
		this.#ended = once(this.#child, "exit").then(() => {
			for (const { reject } of this.#waiting.values()) reject(new Error(`${name} has ended.`));
			this.#waiting.clear();
		});
		this.#ready = once(this.#child, "message");
		// Where it never is: ready() tells why.
		this.#ready.catch(() => {});
	}

	/** It has loaded its code. Throws where it ended instead. */
	async ready(): Promise<this> {
		await Promise.race([
			this.#ready,
			this.#ended.then(() => {
				throw new Error(`${this.name} ended before it was ready.`);
			})
		]);
		this.#child.on("message", (answer: Answer) => this.#hear(answer));
		return this;
	}

	get pid(): number {
		return this.#child.pid!;
	}

	ask<K extends keyof M & string>(
		method: K,
		...args: Parameters<M[K]>
	): Promise<Awaited<ReturnType<M[K]>>> {
		const waiting = Promise.withResolvers<unknown>();
		const id = this.#questions++;
		this.#waiting.set(id, waiting);
		const question: Question = { id, method, args };
		this.#child.send(question, error => {
			if (error) waiting.reject(error);
		});
		return waiting.promise as Promise<Awaited<ReturnType<M[K]>>>;
	}

	#hear(answer: Answer): void {
		const waiting = this.#waiting.get(answer.id);
		this.#waiting.delete(answer.id);
		if ("error" in answer) waiting?.reject(new Error(`${this.name}: ${answer.error}`));
		else waiting?.resolve(answer.value);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#child.connected) this.#child.send(END, () => {});
		const inTime = await Promise.race([
			this.#ended.then(() => true),
			sleep(END_MS, false, { ref: false })
		]);
		if (inTime) return;
		this.#child.kill("SIGKILL");
		await this.#ended;
	}
}

/** How many requests are worked on at once, and who waits, in which order, for their turn. */
import { PRIORITIES, type Priority } from "../../lib/contract.ts";
import { failure } from "../../lib/failure.ts";
import { gateway } from "./problem.ts";

export interface GateOptions {
	/** Requests at once. */
	readonly concurrency: number;
	/** Requests that may wait. */
	readonly queue: number;
	/** How long one waits at most, in milliseconds: an answer that comes too late helps nobody. */
	readonly patienceMs: number;
}

interface Waiting {
	/** Without an argument it is their turn. */
	readonly settle: (error?: Error) => void;
}

export class Gate {
	readonly #options: GateOptions;
	readonly #queues: Record<Priority, Set<Waiting>> = {
		low: new Set(),
		normal: new Set(),
		high: new Set()
	};
	#inside = 0;

	constructor(options: GateOptions) {
		this.#options = options;
	}

	get inside(): number {
		return this.#inside;
	}

	get waiting(): number {
		return PRIORITIES.reduce((sum, priority) => sum + this.#queues[priority].size, 0);
	}

	/**
	 * Waits for one's turn; whoever has got it says `leave` in the end. Undefined where there is nothing
	 * to wait for. Rejects with OVERLOADED where the queue is full of what is as important, or the
	 * turn does not come in time, and with the signal's reason once that is aborted.
	 */
	enter(priority: Priority, signal: AbortSignal): Promise<void> | undefined {
		if (this.#inside < this.#options.concurrency) {
			this.#inside++;
			return undefined;
		}
		if (this.waiting >= this.#options.queue && !this.#makeRoom(priority))
			return Promise.reject(failure(gateway, "OVERLOADED"));
		return this.#wait(this.#queues[priority], signal);
	}

	leave(): void {
		const next = PRIORITIES.toReversed()
			.map(priority => this.#queues[priority])
			.find(({ size }) => size > 0);
		// The place is handed on: nobody new slips in between.
		if (next) first(next).settle();
		else this.#inside--;
	}

	#wait(queue: Set<Waiting>, signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const settle = (error?: Error) => {
				clearTimeout(timer);
				signal.removeEventListener("abort", onAbort);
				queue.delete(waiting);
				if (error) reject(error);
				else resolve();
			};
			const waiting = { settle };
			const onAbort = () => settle(signal.reason as Error);
			const timer = setTimeout(
				() => settle(failure(gateway, "OVERLOADED")),
				this.#options.patienceMs
			);
			signal.addEventListener("abort", onAbort);
			queue.add(waiting);
		});
	}

	/** Turns away who came last of the least important, where that is less important than `priority`. */
	#makeRoom(priority: Priority): boolean {
		const least = PRIORITIES.find(each => this.#queues[each].size > 0);
		if (!least || PRIORITIES.indexOf(least) >= PRIORITIES.indexOf(priority)) return false;
		[...this.#queues[least]].at(-1)!.settle(failure(gateway, "OVERLOADED"));
		return true;
	}
}

const first = (queue: Set<Waiting>): Waiting => queue.values().next().value!;

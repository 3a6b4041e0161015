/** Does work again and again: at once when woken, else every so often. Never twice at the same time. */
export class Ticker {
	readonly #work: () => Promise<void>;
	readonly #intervalMs: number;
	#timer: NodeJS.Timeout | undefined;
	#running: Promise<void> | undefined;
	#again = false;
	#stopped = true;

	/** `work` does all there is to do; what it throws goes to `onError` and it is tried again at the next tick. */
	constructor(work: () => Promise<void>, intervalMs: number, onError: (error: unknown) => void) {
		this.#intervalMs = intervalMs;
		this.#work = () => work().catch(onError);
	}

	start(): void {
		this.#stopped = false;
		this.wake();
	}

	wake(): void {
		if (this.#stopped) return;
		if (this.#running) {
			this.#again = true;
			return;
		}
		clearTimeout(this.#timer);
		this.#again = false;
		this.#running = this.#work().finally(() => {
			this.#running = undefined;
			if (this.#stopped) return;
			if (this.#again) this.wake();
			else this.#timer = setTimeout(() => this.wake(), this.#intervalMs);
		});
	}

	/** Starts nothing more and waits for what runs. */
	async stop(): Promise<void> {
		this.#stopped = true;
		clearTimeout(this.#timer);
		await this.#running;
	}
}

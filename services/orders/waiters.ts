/** Requests that wait for something to come to rest. Woken by the bus, and looking for themselves besides. */
const LOOK_EVERY_MS = 250;

export class Waiters {
	readonly #wakes = new Map<string, Set<() => void>>();

	/** The thing was told to have changed. */
	wake(id: string): void {
		for (const wake of this.#wakes.get(id) ?? []) wake();
	}

	/**
	 * Reads the thing until it is at rest, or the time is up, or nobody waits for it any more; answers
	 * what was read last.
	 */
	async wait<T>(
		id: string,
		ms: number,
		read: () => Promise<T>,
		isAtRest: (thing: T) => boolean,
		signal?: AbortSignal
	): Promise<T> {
		const until = Date.now() + ms;
		for (;;) {
			// Listening before reading: a change between the two is not missed.
			const changed = this.#nextWake(id);
			try {
				const thing = await read();
				const left = until - Date.now();
				if (isAtRest(thing) || left <= 0 || signal?.aborted) return thing;
				await changed.within(Math.min(left, LOOK_EVERY_MS));
			} finally {
				changed.forget();
			}
		}
	}

	#nextWake(id: string) {
		const wakes = this.#wakes.get(id) ?? new Set();
		this.#wakes.set(id, wakes);
		let wake = () => {};
		const woken = new Promise<void>(resolve => {
			wake = resolve;
		});
		wakes.add(wake);
		const forget = () => {
			wakes.delete(wake);
			if (wakes.size === 0) this.#wakes.delete(id);
		};
		return {
			forget,
			async within(ms: number): Promise<void> {
				let timer: NodeJS.Timeout | undefined;
				const elapsed = new Promise<void>(resolve => {
					timer = setTimeout(resolve, ms);
				});
				await Promise.race([woken, elapsed]);
				clearTimeout(timer);
			}
		};
	}
}

/** Waits for consumers. */
import { setTimeout as sleep } from "node:timers/promises";

interface Progress {
	readonly handled: number;
	readonly lastAt: number;
}
interface Consumer {
	ask(method: "progress"): Promise<Progress>;
}

const LOOK_MS = 50;

/**
 * Waits until the consumers have handled so many together; answers when the last was. Throws where
 * nothing comes any more.
 */
export async function untilHandled(
	consumers: readonly Consumer[],
	count: number,
	{ onProgress = (_handled: number): Promise<void> | void => {}, patienceMs = 30_000 } = {}
): Promise<number> {
	let before = -1;
	for (let changed = Date.now(); ; await sleep(LOOK_MS)) {
		const progress = await Promise.all(consumers.map(consumer => consumer.ask("progress")));
		const handled = progress.reduce((sum, { handled: own }) => sum + own, 0);
		await onProgress(handled);
		if (handled >= count) return Math.max(...progress.map(({ lastAt }) => lastAt));
		if (handled !== before) changed = Date.now();
		else if (Date.now() - changed > patienceMs)
			throw new Error(`${handled} of ${count} events were handled, and then no more.`);
		before = handled;
	}
}

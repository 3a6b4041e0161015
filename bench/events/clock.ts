/** One clock for all processes of a machine. */

/** Milliseconds since the epoch, with fractions; does not jump within a process. */
export const now = (): number => performance.timeOrigin + performance.now();

/** When something happened to a sample. */
export type Moment = readonly [number: number, at: number];

/** Begins `work` at a steady rate, whether or not the work before has ended, and waits for all of it. */
export async function atRate(
	rate: number,
	count: number,
	work: (index: number) => Promise<void>
): Promise<void> {
	const start = performance.now();
	const running: Promise<void>[] = [];
	for (let index = 0; index < count; index++) {
		const wait = start + (index * 1_000) / rate - performance.now();
		if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait));
		running.push(work(index));
	}
	await Promise.all(running);
}

import { setTimeout as sleep } from "node:timers/promises";

/** Looks until there is something to see (anything but undefined and false), at most so long. */
export async function until<T>(
	look: () => Promise<T> | T,
	what: string,
	ms = 10_000
): Promise<Exclude<T, undefined | false>> {
	const end = Date.now() + ms;
	for (;;) {
		const seen = await look();
		if (seen !== undefined && seen !== false) return seen as Exclude<T, undefined | false>;
		if (Date.now() > end) throw new Error(`Not within ${ms} ms: ${what}`);
		await sleep(10);
	}
}

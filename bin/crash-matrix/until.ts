import { setTimeout as sleep } from "node:timers/promises";

/** Looks until it is so, at most so long. */
export async function until(
	look: () => Promise<boolean> | boolean,
	what: string,
	ms = 15_000
): Promise<void> {
	for (const end = Date.now() + ms; !(await look()); await sleep(15))
		if (Date.now() > end) throw new Error(`Not within ${ms} ms: ${what}`);
}

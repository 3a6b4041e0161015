/** What a run has shown: a row of docs/crash-matrix.md. */
import { isClean, type Verdict } from "../chaos/checker.ts";
import type { Scene } from "./ground.ts";

export interface Row {
	readonly name: string;
	readonly step: string;
	/** What was left behind, as it was seen. */
	readonly left: string;
	/** What happened next, as it was seen. */
	readonly next: string;
	/** Who dropped what came a second time. */
	readonly absorbed: string;
	readonly verdict: Verdict;
	/** Whether the books are in order. */
	readonly ok: boolean;
}

interface Seen extends Pick<Row, "left" | "next" | "absorbed"> {
	/** Jobs and timers, and those whose effect is not there just once. */
	readonly work?: { readonly all: number; readonly wrong: number } | undefined;
}

/** Checks the books of a scene that has come to its end. */
export async function conclude(scene: Scene, name: string, step: string, seen: Seen): Promise<Row> {
	const verdict = await scene.verdict();
	const { left, next, absorbed, work } = seen;
	const worked = !work || (work.all > 0 && work.wrong === 0);
	return { name, step, left, next, absorbed, verdict, ok: isClean(verdict) && worked };
}

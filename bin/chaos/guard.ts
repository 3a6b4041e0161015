/**
 * Outlives a chaos run that was killed, and ends what that has started: servers have nobody who
 * would tell them, and a process that stands still hears nothing. Then it removes the run's folder.
 */
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, startTime } from "../../lib/pid.ts";

/** A process to end; `started` tells it from another one that has its number by then. */
export interface Ward {
	readonly pid: number;
	readonly started: string;
}

const wards: Ward[] = [];
process.on("message", ward => wards.push(ward as Ward));
// Ctrl-C in the terminal is for the run; it ends us by letting go.
process.on("SIGINT", () => {});
process.once("disconnect", () => {
	void (async () => {
		const left = () =>
			wards.filter(({ pid, started }) => isAlive(pid) && startTime(pid) === started);
		while (left().length > 0) {
			for (const { pid } of left()) process.kill(pid, "SIGKILL");
			await sleep(50);
		}
		rmSync(process.argv[2]!, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
	})();
});

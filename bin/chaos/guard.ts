/**
 * Outlives a chaos run that was killed, and ends what that has started: servers have nobody who
 * would tell them, and a process that stands still hears nothing. Then it removes the run's folder.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandOf, isAlive, startTime } from "../../lib/pid.ts";

/** A process to end; `started` tells it from another one that has its number by then. */
export interface Ward {
	readonly pid: number;
	readonly started: string;
}

const folder = process.argv[2]!;
const wards: Ward[] = [];
process.on("message", ward => wards.push(ward as Ward));
// Ctrl-C in the terminal is for the run; it ends us by letting go.
process.on("SIGINT", () => {});
process.once("disconnect", () => {
	void (async () => {
		for (let left = leftOver(); left.length > 0; left = leftOver()) {
			for (const pid of left) process.kill(pid, "SIGKILL");
			await sleep(50);
		}
		rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
	})();
});

const leftOver = (): number[] => [
	...wards
		.filter(({ pid, started }) => isAlive(pid) && startTime(pid) === started)
		.map(({ pid }) => pid),
	...halfStarted()
];

/** A database server that the run was killed before it could tell of. */
function halfStarted(): number[] {
	try {
		const file = join(folder, "postgres", "data", "postmaster.pid");
		const pid = Number(readFileSync(file, "utf8").split("\n", 1)[0]);
		return isAlive(pid) && commandOf(pid).includes(folder) ? [pid] : [];
	} catch {
		return [];
	}
}

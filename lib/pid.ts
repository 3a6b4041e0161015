/** What the system tells about processes by their number. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export const isAlive = (pid: number): boolean => {
	if (pid <= 0) return false;
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
};

/** When the process began, as Linux counts it; empty where that cannot be told. */
export function startTime(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
	} catch {
		return "";
	}
}

/** The process's command line; empty where there is no such process. */
export function commandOf(pid: number): string {
	try {
		// Small images have no `ps`.
		if (process.platform === "linux")
			return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
		return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
	} catch {
		return "";
	}
}

/** What the system tells about processes by their number. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Whether there is such a process that has not ended. */
export const isAlive = (pid: number): boolean => {
	if (pid <= 0) return false;
	try {
		process.kill(pid, 0);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
	}
	// One that has ended keeps its number until its parent asks for it, which in a container may be never.
	return statOf(pid)[0] !== "Z";
};

/** When the process began, in some form that stays the same; empty where that cannot be told. */
export const startTime = (pid: number): string =>
	process.platform === "linux" ? (statOf(pid)[19] ?? "") : ps("lstart", pid);

/** The fields of Linux's /proc/<pid>/stat behind the command's name. */
function statOf(pid: number): string[] {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	} catch {
		return [];
	}
}

/** The process's command line; empty where there is no such process. */
export function commandOf(pid: number): string {
	// Small images have no `ps`.
	if (process.platform !== "linux") return ps("command", pid);
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
	} catch {
		return "";
	}
}

function ps(column: string, pid: number): string {
	try {
		return execFileSync("ps", ["-o", `${column}=`, "-p", String(pid)], { encoding: "utf8" }).trim();
	} catch {
		return "";
	}
}

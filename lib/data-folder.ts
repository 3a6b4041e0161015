/** The folder where one instance keeps what has to outlive it: its lock, its secrets. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createSigningKeys } from "./signing-keys.ts";
import { StartupError } from "./startup-error.ts";

export interface DataFolder {
	readonly path: string;
	/** A secret that is made at the first start and kept, readable by its owner alone. */
	secret(name: string, make: () => Promise<string>): Promise<string>;
	/** Lets another instance have the folder. */
	unlock(): void;
}

/** Takes the folder for this process. Throws a StartupError where another instance has it. */
export function lockDataFolder(name: string): DataFolder {
	const path = resolve(name);
	const lock = join(path, "valence.lock");
	try {
		mkdirSync(path, { recursive: true });
		takeLock(lock, path);
	} catch (error) {
		throw explain(error, path);
	}
	return {
		path,
		async secret(secretName, make) {
			const file = join(path, "secrets", secretName);
			try {
				return readFileSync(file, "utf8");
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw explain(error, path);
			}
			const value = await make();
			mkdirSync(join(path, "secrets"), { recursive: true, mode: 0o700 });
			writeFileSync(file, value, { mode: 0o600, flag: "wx" });
			return value;
		},
		unlock: () => rmSync(lock, { force: true })
	};
}

/** The instance's own signing keys, for shapes where nobody hands any in. */
export const ownSigningKeys = (folder: DataFolder): Promise<string> =>
	folder.secret("auth-keys.json", createSigningKeys);

function takeLock(lock: string, path: string): void {
	const mine = `${process.pid} ${startTime(process.pid)}`;
	for (;;) {
		try {
			writeFileSync(lock, mine, { flag: "wx", mode: 0o600 });
			return;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		}
		const [pid = "0", started = ""] = readFileSync(lock, "utf8").split(" ");
		// The number may belong to another process by now; its start time tells.
		if (isAlive(Number(pid)) && startTime(Number(pid)) === started)
			throw new StartupError(
				`The data folder ${path} is in use by another instance (process ${pid}). Stop that one, or set DATA_DIR to another folder.`
			);
		rmSync(lock, { force: true });
	}
}

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
function startTime(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
	} catch {
		return "";
	}
}

function explain(error: unknown, path: string): unknown {
	const { code } = error as NodeJS.ErrnoException;
	if (code === "ENOSPC")
		return new StartupError(
			`The disk that holds ${path} is full. Free some space, or set DATA_DIR to a folder on another disk.`
		);
	if (["EACCES", "EROFS", "ENOTDIR"].includes(code ?? ""))
		return new StartupError(
			`The data folder ${path} cannot be written to. Set DATA_DIR to one that can.`
		);
	return error;
}

/** The folder where one instance keeps what has to outlive it: its lock, its secrets. */
import {
	mkdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync
} from "node:fs";
import { join, resolve } from "node:path";
import { isAlive, startTime } from "./pid.ts";
import { createSigningKeys } from "./signing-keys.ts";
import { fullDisk, StartupError } from "./startup-error.ts";

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
			try {
				mkdirSync(join(path, "secrets"), { recursive: true, mode: 0o700 });
				// Half a secret must never stand under its name.
				writeFileSync(`${file}.new`, value, { mode: 0o600 });
				renameSync(`${file}.new`, file);
			} catch (error) {
				throw explain(error, path);
			}
			return value;
		},
		unlock: () => rmSync(lock, { force: true })
	};
}

/** The instance's own signing keys, for shapes where nobody hands any in. */
export const ownSigningKeys = (folder: DataFolder): Promise<string> =>
	folder.secret("auth-keys.json", createSigningKeys);

function takeLock(lock: string, path: string): void {
	for (;;) {
		try {
			// A link, since it is made together with what it says: nobody reads half a lock.
			symlinkSync(`${process.pid} ${startTime(process.pid)}`, lock);
			return;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		}
		const holder = readHolder(lock);
		const [pid = "0", started = ""] = holder.split(" ");
		// The number may belong to another process by now; its start time tells.
		if (isAlive(Number(pid)) && startTime(Number(pid)) === started)
			throw new StartupError(
				`The data folder ${path} is in use by another instance (process ${pid}). Stop that one, or set DATA_DIR to another folder.`
			);
		removeStale(lock, holder);
	}
}

/** Removes the lock unless another instance was quicker and it is that one's by now. */
function removeStale(lock: string, holder: string): void {
	const aside = `${lock}.${process.pid}`;
	try {
		renameSync(lock, aside);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
		throw error;
	}
	if (readHolder(aside) === holder) rmSync(aside);
	else renameSync(aside, lock);
}

function readHolder(lock: string): string {
	try {
		return readlinkSync(lock);
	} catch {
		return "";
	}
}

function explain(error: unknown, path: string): unknown {
	const { code } = error as NodeJS.ErrnoException;
	if (code === "ENOSPC") return new StartupError(fullDisk(path));
	if (["EACCES", "EROFS", "ENOTDIR"].includes(code ?? ""))
		return new StartupError(
			`The data folder ${path} cannot be written to. Set DATA_DIR to one that can.`
		);
	return error;
}

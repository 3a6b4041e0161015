/** The folder where one instance keeps what has to outlive it: its lock, its secrets. */
import {
	chownSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	realpathSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync
} from "node:fs";
import { join, resolve } from "node:path";
import type { Config } from "./config.ts";
import { isAlive, startTime } from "./pid.ts";
import { createEncryptionKey } from "./encryption.ts";
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
				writeSecret(file, value);
			} catch (error) {
				throw explain(error, path);
			}
			return value;
		},
		unlock: () => rmSync(lock, { force: true })
	};
}

const SIGNING_KEYS = "auth-keys.json";

/** Where an instance keeps its own signing keys. */
export const signingKeysFile = (dataDir: string): string =>
	join(resolve(dataDir), "secrets", SIGNING_KEYS);

/** The signing keys that were handed in, else the instance's own, with the file that they stand in. */
export async function signingKeys(
	{ AUTH_KEYS, AUTH_KEYS_FILE }: Pick<Config, "AUTH_KEYS" | "AUTH_KEYS_FILE">,
	folder: DataFolder
): Promise<Pick<Config, "AUTH_KEYS" | "AUTH_KEYS_FILE">> {
	if (AUTH_KEYS) return { AUTH_KEYS, ...(AUTH_KEYS_FILE ? { AUTH_KEYS_FILE } : {}) };
	return {
		AUTH_KEYS: await folder.secret(SIGNING_KEYS, createSigningKeys),
		AUTH_KEYS_FILE: signingKeysFile(folder.path)
	};
}

/**
 * Puts another secret in the place of the one in a file, for its owner alone; whoever reads it
 * meanwhile finds the one or the other. Throws a StartupError where the file cannot be written.
 */
export function replaceSecret(file: string, value: string): void {
	try {
		// The file itself, where it is reached by a link.
		const target = realpathSync(file);
		const { uid, gid } = statSync(target);
		writeSecret(target, value, { uid, gid });
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOSPC") throw new StartupError(`The disk that holds ${file} is full.`);
		if (["EACCES", "EPERM", "EROFS"].includes(code ?? ""))
			throw new StartupError(`${file} cannot be written to, and is as it was.`);
		throw error;
	}
}

/** Half a secret must never stand under its name, and a crash must not leave none. */
function writeSecret(
	file: string,
	value: string,
	owner?: { readonly uid: number; readonly gid: number }
): void {
	const aside = `${file}.${process.pid}.new`;
	try {
		writeFileSync(aside, value, { mode: 0o600, flush: true });
		if (owner) chownSync(aside, owner.uid, owner.gid);
		renameSync(aside, file);
	} catch (error) {
		rmSync(aside, { force: true });
		throw error;
	}
}

/** The instance's own key for what it encrypts, likewise. */
export const ownEncryptionKeys = (folder: DataFolder): Promise<string> =>
	folder.secret("encryption-keys", async () => createEncryptionKey());

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

import { spawn, spawnSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	lockDataFolder,
	ownEncryptionKeys,
	replaceSecret,
	signingKeys,
	signingKeysFile
} from "./data-folder.ts";
import { readEncryptionKeys } from "./encryption.ts";
import { startTime } from "./pid.ts";
import { readSigningKeys } from "./signing-keys.ts";
import { StartupError } from "./startup-error.ts";

let path: string;
let lock: string;
beforeEach(() => {
	path = mkdtempSync(join(tmpdir(), "valence-data-"));
	lock = join(path, "valence.lock");
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

const ours = () => `${process.pid} ${startTime(process.pid)}`;

describe("the lock of a data folder", () => {
	it("makes the folder and says who has it", () => {
		const folder = lockDataFolder(join(path, "deep", "er"));
		expect(folder.path).toBe(join(path, "deep", "er"));
		expect(readlinkSync(join(folder.path, "valence.lock"))).toBe(ours());
	});

	it("keeps others out until it is given back", () => {
		const first = lockDataFolder(path);
		expect(() => lockDataFolder(path)).toThrow(StartupError);
		expect(() => lockDataFolder(path)).toThrow(/in use by another instance \(process \d+\)/);
		first.unlock();
		expect(existsSync(lock)).toBe(false);
		lockDataFolder(path).unlock();
	});

	it("keeps out while another process that lives has it", async () => {
		const other = spawn("sleep", ["60"]);
		const ended = new Promise(done => other.once("exit", done));
		const holder = `${other.pid} ${startTime(other.pid!)}`;
		symlinkSync(holder, lock);
		expect(() => lockDataFolder(path)).toThrow(StartupError);
		expect(readlinkSync(lock)).toBe(holder);
		other.kill("SIGKILL");
		await ended;
		lockDataFolder(path);
		expect(readlinkSync(lock)).toBe(ours());
	});

	it("is taken over from a process that has died", () => {
		const { pid } = spawnSync("true");
		symlinkSync(`${pid} 12345`, lock);
		lockDataFolder(path);
		expect(readlinkSync(lock)).toBe(ours());
		expect(readdirSync(path)).toEqual(["valence.lock"]);
	});

	it("is taken over where the number belongs to another process by now", () => {
		symlinkSync(`${process.pid} ${startTime(process.pid)}1`, lock);
		lockDataFolder(path);
		expect(readlinkSync(lock)).toBe(ours());
	});

	it("is taken over where it says nothing that makes sense", () => {
		symlinkSync("nonsense", lock);
		lockDataFolder(path);
		expect(readlinkSync(lock)).toBe(ours());
	});

	it("says what to do where the folder cannot be one", () => {
		writeFileSync(join(path, "file"), "");
		expect(() => lockDataFolder(join(path, "file", "data"))).toThrow(
			expect.objectContaining({
				name: "StartupError",
				message: expect.stringMatching(/cannot be written to\. Set DATA_DIR/)
			})
		);
	});
});

describe("a secret in a data folder", () => {
	it("is made once and kept, for its owner alone", async () => {
		const folder = lockDataFolder(path);
		let made = 0;
		const make = async () => `secret ${++made}`;
		expect(await folder.secret("key", make)).toBe("secret 1");
		expect(await folder.secret("key", make)).toBe("secret 1");
		folder.unlock();
		expect(await lockDataFolder(path).secret("key", make)).toBe("secret 1");
		expect(made).toBe(1);
		const secrets = join(path, "secrets");
		expect(readdirSync(secrets)).toEqual(["key"]);
		expect(readFileSync(join(secrets, "key"), "utf8")).toBe("secret 1");
		expect(statSync(join(secrets, "key")).mode & 0o777).toBe(0o600);
		expect(statSync(secrets).mode & 0o777).toBe(0o700);
	});

	it("is not there when making it failed", async () => {
		const folder = lockDataFolder(path);
		const fails = () => Promise.reject(new Error("no randomness"));
		await expect(folder.secret("key", fails)).rejects.toThrow("no randomness");
		expect(await folder.secret("key", async () => "second try")).toBe("second try");
	});

	it("is not made anew where the old one cannot be read", async () => {
		const folder = lockDataFolder(path);
		// A link to itself cannot be read by anybody, the superuser included.
		await folder.secret("key", async () => "first");
		rmSync(join(path, "secrets", "key"));
		symlinkSync("key", join(path, "secrets", "key"));
		await expect(folder.secret("key", async () => "second")).rejects.toMatchObject({
			code: "ELOOP"
		});
	});

	it("may be the instance's own key for what it encrypts", async () => {
		const folder = lockDataFolder(path);
		const keys = await ownEncryptionKeys(folder);
		expect(() => readEncryptionKeys(keys)).not.toThrow();
		expect(await ownEncryptionKeys(folder)).toBe(keys);
	});

	it("may be the instance's own signing keys", async () => {
		const folder = lockDataFolder(path);
		const keys = await signingKeys({}, folder);
		expect(readSigningKeys(keys.AUTH_KEYS).kid).toBeTruthy();
		expect(readFileSync(keys.AUTH_KEYS_FILE!, "utf8")).toBe(keys.AUTH_KEYS);
		expect(keys.AUTH_KEYS_FILE).toBe(signingKeysFile(path));
		expect(await signingKeys({}, folder)).toEqual(keys);
	});

	it("are not made where signing keys are handed in", async () => {
		const folder = lockDataFolder(path);
		const given = { AUTH_KEYS: "given", AUTH_KEYS_FILE: "/there" };
		expect(await signingKeys(given, folder)).toEqual(given);
		expect(await signingKeys({ AUTH_KEYS: "given" }, folder)).toEqual({ AUTH_KEYS: "given" });
		expect(existsSync(signingKeysFile(path))).toBe(false);
	});
});

describe("a secret that takes another's place", () => {
	it("is its owner's alone, and is written to where a link leads", () => {
		const file = join(path, "file");
		writeFileSync(file, "old", { mode: 0o644 });
		symlinkSync("file", join(path, "link"));
		replaceSecret(join(path, "link"), "new");
		expect(readFileSync(file, "utf8")).toBe("new");
		expect(readlinkSync(join(path, "link"))).toBe("file");
		expect(statSync(file).mode & 0o777).toBe(0o600);
		expect(readdirSync(path).sort()).toEqual(["file", "link"]);
	});

	it("leaves the old one where it cannot be written", () => {
		const file = join(path, "folder");
		mkdirSync(file);
		expect(() => replaceSecret(file, "new")).toThrow(/EISDIR|ENOTEMPTY/);
		expect(readdirSync(path)).toEqual(["folder"]);
	});
});

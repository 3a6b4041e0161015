import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../tests/support/until.ts";
import { replaceSecret } from "./data-folder.ts";
import { rotated } from "./key-rotation.ts";
import { KeyRing } from "./key-ring.ts";
import { createKey, createSigningKeys, readKeySet } from "./signing-keys.ts";

describe("the keys of a running node", () => {
	let folder: string, file: string, text: string;
	let ring: KeyRing | undefined;
	let errors: string[];
	beforeEach(async () => {
		folder = mkdtempSync(join(tmpdir(), "valence-keys-"));
		file = join(folder, "keys");
		text = await createSigningKeys();
		writeFileSync(file, text);
		errors = [];
	});
	afterEach(async () => {
		await ring?.close();
		ring = undefined;
		rmSync(folder, { recursive: true });
	});
	const open = (AUTH_KEYS_FILE?: string) => {
		ring = new KeyRing(
			{ AUTH_KEYS: text, ...(AUTH_KEYS_FILE ? { AUTH_KEYS_FILE } : {}) },
			{ onError: ({ message }) => errors.push(message), everyMs: 5 }
		);
	};
	/** A rotation that takes effect at once. */
	const rotate = async () => {
		const next = rotated(readKeySet(text), await createKey(), new Date(), 0);
		text = JSON.stringify(next);
		replaceSecret(file, text);
		return next.keys[0]!.kid;
	};

	it("are those of the file, whenever it changes", async () => {
		open(file);
		const before = ring!.now;
		for (const each of [await rotate(), await rotate()]) expect(each).not.toBe(before.kid);
		const kid = readKeySet(text).keys[0]!.kid;
		await until(() => ring!.now.kid === kid, "the new keys");
		expect(ring!.now.publicKeys.map(key => key.kid)).toContain(before.kid);
		expect(errors).toEqual([]);
	});

	it("follow the clock without a change of the file", async () => {
		const set = readKeySet(text);
		const soon = rotated(set, await createKey(), new Date(), 1);
		text = JSON.stringify(soon);
		open();
		expect(ring!.now.kid).toBe(set.keys[0]!.kid);
		await until(() => ring!.now.kid === soon.keys[0]!.kid, "the turn of the next key");
	});

	it("stay what they are while the file is not fit, which is said once", async () => {
		open(file);
		const { kid } = ring!.now;
		writeFileSync(file, "no JSON");
		await until(() => errors.length === 1, "the error");
		rmSync(file);
		await until(() => errors.length === 2, "the other error");
		expect(errors).toEqual([
			expect.stringMatching(/^AUTH_KEYS is not a JWK set/),
			expect.stringMatching(/^ENOENT/)
		]);
		expect(ring!.now.kid).toBe(kid);
		writeFileSync(file, text);
		const next = await rotate();
		await until(() => ring!.now.kid === next, "the new keys");
		writeFileSync(file, "");
		await until(() => errors.length === 3, "an error of its own after all was well");
	});

	it("are refused where they are not fit at the start", () => {
		text = "{}";
		expect(() => open(file)).toThrow(/^AUTH_KEYS is not a JWK set/);
	});
});

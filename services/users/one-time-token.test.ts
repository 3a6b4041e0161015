import { randomUUID } from "node:crypto";
import { AFTERLIFE_SECONDS, rotated } from "../../lib/key-rotation.ts";
import { createKey, keysAt, type KeySet } from "../../lib/signing-keys.ts";
import { LINK_MINUTES, tokenOf, tokenOfHash, type Purpose } from "./one-time-token.ts";
import { hashOf } from "./session.ts";

describe("the token of a mailed link", () => {
	const now = Date.parse("2026-01-01T00:00:00Z");
	const after = (seconds: number) => new Date(now + seconds * 1_000);
	const id = randomUUID();
	const purposes = Object.keys(LINK_MINUTES) as Purpose[];
	let old: KeySet, both: KeySet;
	beforeAll(async () => {
		old = { keys: [await createKey()] };
		both = rotated(old, await createKey(), after(0), 0);
	});

	it.each(purposes)("to %s can be made again until it ends, though keys are rotated", purpose => {
		const token = tokenOf(id, purpose, keysAt(old, after(0)));
		const late = keysAt(both, after(LINK_MINUTES[purpose] * 60));
		expect(tokenOf(id, purpose, late)).not.toBe(token);
		expect(tokenOfHash(id, purpose, hashOf(token), late)).toBe(token);
		const later = keysAt(both, after(AFTERLIFE_SECONDS));
		expect(tokenOfHash(id, purpose, hashOf(token), later)).toBeUndefined();
	});

	it("is another for each purpose and id", () => {
		const keys = keysAt(old, after(0));
		const tokens = purposes.flatMap(purpose => [
			tokenOf(id, purpose, keys),
			tokenOf(randomUUID(), purpose, keys)
		]);
		expect(new Set(tokens).size).toBe(tokens.length);
	});
});

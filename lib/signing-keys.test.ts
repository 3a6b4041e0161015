import { createSigningKeys, readSigningKeys } from "./signing-keys.ts";

interface Jwk {
	kid: string;
	d: string;
	x: string;
}
const keysOf = (json: string) => (JSON.parse(json) as { keys: Jwk[] }).keys;

describe("signing keys", () => {
	it("are new each time", async () => {
		const [one, other] = [keysOf(await createSigningKeys()), keysOf(await createSigningKeys())];
		expect(one[0]!.d).not.toBe(other[0]!.d);
		expect(one[0]!.kid).not.toBe(other[0]!.kid);
	});

	it("publish every key and nothing private", async () => {
		const keys = [...keysOf(await createSigningKeys()), ...keysOf(await createSigningKeys())];
		const { kid, publicKeys } = readSigningKeys(JSON.stringify({ keys }));
		expect(kid).toBe(keys[0]!.kid);
		expect(publicKeys.map(key => key.kid)).toEqual(keys.map(key => key.kid));
		for (const key of publicKeys)
			expect(Object.keys(key).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
		for (const { d } of keys) expect(JSON.stringify(publicKeys)).not.toContain(d);
	});

	it("are those of the moment: withdrawn ones are not there, and another may sign", async () => {
		const [old] = keysOf(await createSigningKeys());
		const [next] = keysOf(await createSigningKeys());
		const json = JSON.stringify({
			keys: [
				{ ...old, until: "2026-01-02T00:00:00Z" },
				{ ...next, signsFrom: "2026-01-01T00:00:00Z" }
			]
		});
		const on = (day: string) => {
			const keys = readSigningKeys(json, new Date(day));
			return { ...keys, kids: keys.publicKeys.map(({ kid }) => kid), of: keys.secrets("a") };
		};
		const [before, after, late] = [on("2025-12-31"), on("2026-01-01"), on("2026-01-02")];
		expect([before.kid, after.kid, late.kid]).toEqual([old!.kid, next!.kid, next!.kid]);
		expect([before.kids, after.kids, late.kids]).toEqual([
			[old!.kid, next!.kid],
			[next!.kid, old!.kid],
			[next!.kid]
		]);
		expect(after.of).toEqual(before.of.toReversed());
		expect(late.of).toEqual([after.of[0]]);
		expect(after.privateKey.export({ format: "jwk" })).toMatchObject({ d: next!.d });
	});

	it("give the same secrets on every node, another for each key and purpose", async () => {
		const json = JSON.stringify({
			keys: [...keysOf(await createSigningKeys()), ...keysOf(await createSigningKeys())]
		});
		const here = readSigningKeys(json).secrets("a");
		expect(readSigningKeys(json).secrets("a")).toEqual(here);
		const all = [...here, ...readSigningKeys(json).secrets("b")].map(secret =>
			secret.toString("hex")
		);
		expect(new Set(all).size).toBe(4);
	});

	it("are asked for where they are missing", () => {
		expect(() => readSigningKeys(undefined)).toThrow(
			/AUTH_KEYS is not set.*npm run keys -- create/
		);
	});

	it("are refused where they are not fit, without a word of their value", async () => {
		const [good] = keysOf(await createSigningKeys());
		const [other] = keysOf(await createSigningKeys());
		const { d: _, ...publicOnly } = good!;
		const bad: unknown[] = [
			{ keys: [] },
			{ keys: [publicOnly] },
			{ keys: [{ ...good, kid: undefined }] },
			{ keys: [{ ...good, crv: "X25519" }] },
			{ keys: [{ ...good, d: "short" }] },
			{ keys: [good, good] },
			{ keys: [{ ...good, signsFrom: "tomorrow" }] },
			{ keys: [{ ...good, until: 1_800_000_000 }] },
			{ keys: [{ ...good, until: "2100-01-01T00:00:00Z" }] },
			good,
			null
		];
		for (const value of [...bad.map(each => JSON.stringify(each)), "no JSON", good!.d]) {
			let message = "";
			try {
				readSigningKeys(value);
			} catch (error) {
				message = (error as Error).message;
			}
			expect(message).toMatch(/^AUTH_KEYS/);
			expect(message).not.toContain(good!.d);
		}
		expect(() => readSigningKeys(JSON.stringify({ keys: [{ ...good, x: other!.x }] }))).toThrow(
			/^AUTH_KEYS/
		);
	});
});

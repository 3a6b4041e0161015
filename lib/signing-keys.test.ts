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

import type { JSONWebKeySet } from "jose";
import { signAccessToken } from "../../lib/access-token.ts";
import { createSigningKeys, readSigningKeys, type SigningKeys } from "../../lib/signing-keys.ts";
import { somebody } from "../../tests/support/node.ts";
import { Authenticator } from "./authentication.ts";

describe("the authenticator", () => {
	const ada = somebody();
	let old: SigningKeys, fresh: SigningKeys;
	let published: () => Promise<JSONWebKeySet>;
	let asked: number;
	let now: number;
	let revoked: Set<string>;
	let authenticator: Authenticator;
	const tokenOf = async (keys: SigningKeys) =>
		`Bearer ${await signAccessToken(ada, keys, new Date())}`;
	const setOf =
		(...keys: SigningKeys[]) =>
		async () => ({ keys: keys.flatMap(({ publicKeys }) => publicKeys) });
	const refused = (header: string) =>
		expect(authenticator.identify(header)).rejects.toMatchObject({
			type: "UNAUTHENTICATED",
			code: 401
		});

	beforeAll(async () => {
		old = readSigningKeys(await createSigningKeys());
		fresh = readSigningKeys(await createSigningKeys());
	});
	beforeEach(() => {
		published = setOf(old);
		asked = 0;
		now = 1_000_000;
		revoked = new Set();
		authenticator = new Authenticator({
			readKeys() {
				asked++;
				return published();
			},
			isRevoked: sessionId => revoked.has(sessionId),
			now: () => now
		});
	});

	it("knows the bearer, and nobody where nothing is sent", async () => {
		expect(await authenticator.identify(await tokenOf(old))).toEqual(ada);
		expect(await authenticator.identify(undefined)).toBeUndefined();
	});

	it.each([
		"",
		"Bearer",
		"Bearer a.b",
		"Bearer a.b.c d",
		"Basic YTpi",
		"Bearer e30.e30.e30",
		"Bearer !!.e30.x"
	])("refuses what is no token: %s", header => refused(header));

	it("asks for the keys once, also when many come at the same time", async () => {
		const token = await tokenOf(old);
		await Promise.all(Array.from({ length: 10 }, () => authenticator.identify(token)));
		await authenticator.identify(token);
		expect(asked).toBe(1);
	});

	it("asks again for an unknown key, but at most every five seconds", async () => {
		await authenticator.identify(await tokenOf(old));
		published = setOf(fresh, old);
		const token = await tokenOf(fresh);
		now += 4_999;
		await refused(token);
		expect(asked).toBe(1);
		now += 1;
		expect(await authenticator.identify(token)).toEqual(ada);
		expect(asked).toBe(2);
		expect(await authenticator.identify(await tokenOf(old))).toEqual(ada);
	});

	it("forgets a withdrawn key after five minutes", async () => {
		await authenticator.identify(await tokenOf(old));
		published = setOf(fresh);
		expect(await authenticator.identify(await tokenOf(old))).toEqual(ada);
		now += 300_000;
		await refused(await tokenOf(old));
	});

	it("lives on with the keys that it has while they cannot be read, and fails without any", async () => {
		published = () => Promise.reject(new Error("away"));
		await expect(authenticator.identify(await tokenOf(old))).rejects.toThrow("away");
		published = setOf(old);
		expect(await authenticator.identify(await tokenOf(old))).toEqual(ada);
		published = () => Promise.reject(new Error("away"));
		now += 300_000;
		expect(await authenticator.identify(await tokenOf(old))).toEqual(ada);
	});

	it("checks a token once, as long as it is good for all the same reasons", async () => {
		const token = await tokenOf(old);
		const first = await authenticator.identify(token);
		expect(await authenticator.identify(token)).toBe(first);
		expect(await authenticator.identify(await tokenOf(old))).not.toBe(first);
		revoked.add(ada.sessionId);
		await refused(token);
		revoked.clear();
		published = setOf(fresh);
		now += 300_000;
		await refused(token);
		await refused(token);
	});

	it("refuses a token that it knows as soon as it ends", async () => {
		const signedAt = new Date(Date.now() - 890_000);
		const token = `Bearer ${await signAccessToken(ada, old, signedAt)}`;
		now = Date.now();
		expect(await authenticator.identify(token)).toEqual(ada);
		now += 20_000;
		jest.useFakeTimers({ now, doNotFake: ["nextTick", "setImmediate", "setTimeout"] });
		try {
			await refused(token);
		} finally {
			jest.useRealTimers();
		}
	});

	it("refuses a revoked session", async () => {
		const token = await tokenOf(old);
		revoked.add(ada.sessionId);
		await refused(token);
	});
});

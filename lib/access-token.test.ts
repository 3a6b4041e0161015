import { createHmac, createPublicKey, randomUUID, sign } from "node:crypto";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import {
	ACCESS_TOKEN_SECONDS,
	AUDIENCE,
	CLOCK_TOLERANCE_SECONDS,
	ISSUER,
	signAccessToken,
	verifyAccessToken
} from "./access-token.ts";
import type { Identity } from "./identity.ts";
import { createSigningKeys, readSigningKeys, type SigningKeys } from "./signing-keys.ts";

const ada: Identity = { id: randomUUID(), sessionId: randomUUID(), roles: ["customer"] };
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("an access token", () => {
	let keys: SigningKeys;
	let trusted: { keys: SigningKeys["publicKeys"] };
	beforeAll(async () => {
		keys = readSigningKeys(await createSigningKeys());
		trusted = { keys: keys.publicKeys };
	});

	const now = () => Math.floor(Date.now() / 1_000);
	const goodHeader = () => ({ alg: "EdDSA", typ: "at+jwt", kid: keys.kid });
	const goodClaims = () => ({
		iss: ISSUER,
		aud: AUDIENCE,
		sub: ada.id,
		sid: ada.sessionId,
		roles: ["customer"],
		iat: now(),
		nbf: now(),
		exp: now() + ACCESS_TOKEN_SECONDS,
		jti: randomUUID()
	});
	/** A token that is good but for what is given, signed with the right key. */
	const forge = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) =>
		new SignJWT({ ...goodClaims(), ...claims })
			.setProtectedHeader({ ...goodHeader(), ...header })
			.sign(keys.privateKey);
	const refused = (token: string, set = trusted) =>
		expect(verifyAccessToken(token, set)).rejects.toMatchObject({
			type: "UNAUTHENTICATED",
			code: 401
		});

	it("tells who its bearer is", async () => {
		const token = await signAccessToken(ada, keys, new Date());
		expect(await verifyAccessToken(token, trusted)).toEqual(ada);
	});

	it("names a bearer whom nobody can give another role on the way", async () => {
		const bearer = await verifyAccessToken(await forge({}), trusted);
		expect(() => (bearer.roles as string[]).push("admin")).toThrow(TypeError);
		expect(() => Object.assign(bearer, { id: randomUUID() })).toThrow(TypeError);
	});

	it("is accepted as the attacks below forge it, but for the attack", async () => {
		expect(await verifyAccessToken(await forge({}), trusted)).toEqual(ada);
	});

	it("verifies with a key that no longer signs", async () => {
		const token = await signAccessToken(ada, keys, new Date());
		const next = readSigningKeys(await createSigningKeys());
		const set = { keys: [...next.publicKeys, ...keys.publicKeys] };
		expect(await verifyAccessToken(token, set)).toEqual(ada);
	});

	it("is refused unsigned", () => {
		const claims = base64(goodClaims());
		return Promise.all(
			["none", "None", "EdDSA"].map(alg =>
				refused(`${base64({ ...goodHeader(), alg })}.${claims}.`)
			)
		);
	});

	it("is refused when signed by HMAC with the public key as the secret", async () => {
		const publicKey = createPublicKey({ key: { ...trusted.keys[0]! }, format: "jwk" });
		const secrets = [
			await exportSPKI(publicKey),
			trusted.keys[0]!.x,
			Buffer.from(trusted.keys[0]!.x, "base64url"),
			JSON.stringify(trusted.keys[0])
		];
		for (const secret of secrets) {
			const content = `${base64({ ...goodHeader(), alg: "HS256" })}.${base64(goodClaims())}`;
			await refused(
				`${content}.${createHmac("sha256", secret).update(content).digest("base64url")}`
			);
		}
	});

	it("is refused with another algorithm, though its key be in the set", async () => {
		const { privateKey, publicKey } = await generateKeyPair("ES256");
		const jwk = { ...(await exportJWK(publicKey)), kid: "es", alg: "ES256", use: "sig" };
		const token = await new SignJWT(goodClaims())
			.setProtectedHeader({ ...goodHeader(), alg: "ES256", kid: "es" })
			.sign(privateKey);
		await refused(token, { keys: [...trusted.keys, jwk as (typeof trusted.keys)[number]] });
	});

	it("is refused without a kid, with a foreign one, and with one that is a path or a query", async () => {
		for (const kid of [undefined, randomUUID(), "../../dev/null", "' OR 1=1 --", "", 0])
			await refused(await forge({}, { kid }));
	});

	it("is refused when it brings its own key", async () => {
		const { privateKey, publicKey } = await generateKeyPair("EdDSA");
		const jwk = { ...(await exportJWK(publicKey)), kid: keys.kid };
		for (const extra of [
			{ jwk },
			{ jku: "https://attacker.test/jwks" },
			{ x5u: "https://attacker.test/x5u" },
			{ jwk, kid: "mine" }
		]) {
			const token = await new SignJWT(goodClaims())
				.setProtectedHeader({ ...goodHeader(), ...extra })
				.sign(privateKey);
			await refused(token);
		}
	});

	it("is refused with a critical header that is not known", async () => {
		const content = `${base64({ ...goodHeader(), crit: ["odd"], odd: 1 })}.${base64(goodClaims())}`;
		await refused(
			`${content}.${sign(null, Buffer.from(content), keys.privateKey).toString("base64url")}`
		);
	});

	it.each([
		["another issuer", { iss: "somebody" }],
		["another audience", { aud: "another-api" }],
		["no subject", { sub: undefined }],
		["a subject that is not an id", { sub: "1" }],
		["no session", { sid: undefined }],
		["a role nobody has", { roles: ["root"] }],
		["roles that are not a list", { roles: "admin" }],
		["no expiry", { exp: undefined }],
		["no jti", { jti: undefined }]
	])("is refused with %s", async (_, claims) => {
		await refused(await forge(claims));
	});

	it("is refused after it has ended, before it begins, and when it would live too long", async () => {
		const late = CLOCK_TOLERANCE_SECONDS + 2;
		await refused(await forge({ exp: now() - late }));
		await refused(await forge({ nbf: now() + 60 }));
		await refused(await forge({ iat: now() + 60 }));
		await refused(await forge({ iat: now() - ACCESS_TOKEN_SECONDS - late, exp: now() + 86_400 }));
		await refused(
			await signAccessToken(ada, keys, new Date(Date.now() - (ACCESS_TOKEN_SECONDS + late) * 1_000))
		);
	});

	it("is refused as another kind of token", async () => {
		await refused(await forge({}, { typ: "JWT" }));
		await refused(await forge({}, { typ: undefined }));
		await refused(await forge({}, { typ: "dpop+jwt" }));
	});

	it("is refused when a bit of it was changed, or when it is none at all", async () => {
		const [header, , signature] = (await forge({})).split(".");
		await refused(`${header}.${base64({ ...goodClaims(), roles: ["admin"] })}.${signature}`);
		for (const nonsense of [
			"",
			".",
			"..",
			"...",
			"a.b.c",
			"ü.ü.ü",
			`${header}..${signature}`,
			"x".repeat(10_000)
		])
			await refused(nonsense);
	});
});

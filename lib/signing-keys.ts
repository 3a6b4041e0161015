/** The private keys of AUTH_KEYS: a JWK set of which the first key signs and all verify. */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import { Type, type Static } from "typebox";
import { createAjv } from "./validator.ts";

/** Ed25519. The one algorithm that tokens are signed with; changing it means changing all keys. */
export const ALGORITHM = "EdDSA";

const Bytes32 = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" });
const KeySet = Type.Object({
	keys: Type.Array(
		Type.Object({
			kty: Type.Literal("OKP"),
			crv: Type.Literal("Ed25519"),
			x: Bytes32,
			d: Bytes32,
			kid: Type.String({ minLength: 1, maxLength: 100 })
		}),
		{ minItems: 1 }
	)
});
const isKeySet = createAjv().compile<Static<typeof KeySet>>(KeySet);

/** A public Ed25519 key as it is published (RFC 8037). */
export interface PublicKey {
	readonly kty: string;
	readonly crv: string;
	readonly x: string;
	readonly kid: string;
	readonly alg: string;
	readonly use: "sig";
}

/** Signing keys, ready for use. */
export interface SigningKeys {
	/** Of the key that signs. */
	readonly kid: string;
	readonly privateKey: KeyObject;
	/** All public keys, fit to be published. */
	readonly publicKeys: PublicKey[];
	/** Symmetric secrets for `purpose`, one derived from each key in their order; every node has the same. */
	secrets(purpose: string): Buffer[];
}

/** A new JWK set with one private key, as JSON for AUTH_KEYS. */
export async function createSigningKeys(): Promise<string> {
	const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true, crv: "Ed25519" });
	const jwk = await exportJWK(privateKey);
	const kid = await calculateJwkThumbprint(jwk);
	return JSON.stringify({ keys: [{ ...jwk, kid, alg: ALGORITHM, use: "sig" }] });
}

/** Reads AUTH_KEYS. Throws an Error for a person, which shows nothing of the value, where it is missing or not fit. */
export function readSigningKeys(json: string | undefined): SigningKeys {
	if (json === undefined)
		throw new Error(
			"AUTH_KEYS is not set: access tokens cannot be signed. `npm run keys -- create` makes one."
		);
	const { keys } = parse(json);
	if (new Set(keys.map(({ kid }) => kid)).size < keys.length)
		throw new Error("AUTH_KEYS has two keys with the same `kid`.");
	return {
		kid: keys[0]!.kid,
		privateKey: keys.map(toPrivateKey)[0]!,
		publicKeys: keys.map(({ kty, crv, x, kid }) => ({
			kty,
			crv,
			x,
			kid,
			alg: ALGORITHM,
			use: "sig"
		})),
		secrets: purpose =>
			keys.map(({ d }) =>
				Buffer.from(hkdfSync("sha256", Buffer.from(d, "base64url"), "", purpose, 32))
			)
	};
}

function parse(json: string): Static<typeof KeySet> {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch {
		value = undefined;
	}
	if (!isKeySet(value))
		throw new Error(
			"AUTH_KEYS is not a JWK set of private Ed25519 keys, each with a `kid`. `npm run keys -- create` makes one."
		);
	return value;
}

function toPrivateKey(jwk: Static<typeof KeySet>["keys"][number]): KeyObject {
	const key = createPrivateKey({ key: jwk, format: "jwk" });
	// Node takes `d` alone; tokens signed with it would then not verify with the `x` that we publish.
	if (createPublicKey(key).export({ format: "jwk" }).x !== jwk.x)
		throw new Error(`AUTH_KEYS: the two halves of the key ${jwk.kid} do not belong together.`);
	return key;
}

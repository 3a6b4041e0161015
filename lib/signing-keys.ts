/**
 * The private keys of AUTH_KEYS: a JWK set whose keys take turns. Each key may say from when it signs
 * (`signsFrom`) and when it is withdrawn (`until`); without them it has signed ever since and is never
 * withdrawn. Until then it is published and verifies, whether it signs or not.
 */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import { Type, type Static } from "typebox";
import { createAjv } from "./validator.ts";

/** Ed25519. The one algorithm that tokens are signed with; changing it means changing all keys. */
export const ALGORITHM = "EdDSA";

const Bytes32 = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" });
const Time = Type.Optional(Type.String({ format: "date-time" }));
const PrivateKey = Type.Object({
	kty: Type.Literal("OKP"),
	crv: Type.Literal("Ed25519"),
	x: Bytes32,
	d: Bytes32,
	kid: Type.String({ minLength: 1, maxLength: 100 }),
	signsFrom: Time,
	until: Time
});
/** A private Ed25519 key (RFC 8037) with its time. */
export type PrivateKey = Static<typeof PrivateKey>;
const KeySet = Type.Object({ keys: Type.Array(PrivateKey, { minItems: 1 }) });
export type KeySet = Static<typeof KeySet>;
const isKeySet = createAjv().compile<KeySet>(KeySet);

/** A public Ed25519 key as it is published (RFC 8037). */
export interface PublicKey {
	readonly kty: string;
	readonly crv: string;
	readonly x: string;
	readonly kid: string;
	readonly alg: string;
	readonly use: "sig";
}

/** The keys of one moment, ready for use. */
export interface SigningKeys {
	/** Of the key that signs. */
	readonly kid: string;
	readonly privateKey: KeyObject;
	/** The public keys of all that are not withdrawn, fit to be published. */
	readonly publicKeys: PublicKey[];
	/** Symmetric secrets for `purpose`, one derived from each of them, the signing key's first; every node has the same. */
	secrets(purpose: string): Buffer[];
}

/** A new private key. */
export async function createKey(): Promise<PrivateKey> {
	const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true, crv: "Ed25519" });
	const jwk = await exportJWK(privateKey);
	const kid = await calculateJwkThumbprint(jwk);
	return { ...jwk, kid, alg: ALGORITHM, use: "sig" } as unknown as PrivateKey;
}

/** A new JWK set with one private key, as JSON for AUTH_KEYS. */
export const createSigningKeys = async (): Promise<string> =>
	JSON.stringify({ keys: [await createKey()] });

/** Reads AUTH_KEYS. Throws an Error for a person, which shows nothing of the value, where it is missing or not fit. */
export function readKeySet(json: string | undefined): KeySet {
	if (json === undefined)
		throw new Error(
			"AUTH_KEYS is not set: access tokens cannot be signed. `npm run keys -- create` makes one."
		);
	const set = parse(json);
	const { keys } = set;
	if (new Set(keys.map(({ kid }) => kid)).size < keys.length)
		throw new Error("AUTH_KEYS has two keys with the same `kid`.");
	if (keys.every(({ until }) => until !== undefined))
		throw new Error("AUTH_KEYS has no key without `until`: one day nothing would sign.");
	keys.forEach(toPrivateKey);
	return set;
}

/** The keys of AUTH_KEYS that are in force now. Throws what `readKeySet` throws. */
export const readSigningKeys = (json: string | undefined, now = new Date()): SigningKeys =>
	keysAt(readKeySet(json), now);

const time = (text: string | undefined, otherwise: number): number =>
	text === undefined ? otherwise : Date.parse(text);

/** When it begins to sign, and when it is withdrawn, in milliseconds since 1970. */
export const signsFrom = (key: PrivateKey): number => time(key.signsFrom, -Infinity);
export const withdrawnAt = (key: PrivateKey): number => time(key.until, Infinity);

/**
 * The keys that are not withdrawn, with the one that signs in front: of those that have begun the one
 * that began last, of equals the first of the set; where none has begun, the one that will be first.
 */
export function inForce({ keys }: KeySet, now: Date): [PrivateKey, ...PrivateKey[]] {
	const at = now.getTime();
	const left = keys.filter(key => withdrawnAt(key) > at);
	const begun = left.filter(key => signsFrom(key) <= at);
	const signs =
		begun.length > 0
			? begun.reduce((best, key) => (signsFrom(key) > signsFrom(best) ? key : best))
			: left.reduce((best, key) => (signsFrom(key) < signsFrom(best) ? key : best));
	return [signs, ...left.filter(key => key !== signs)];
}

/** The keys as they are at a moment, of a set that `readKeySet` has found fit. */
export function keysAt(set: KeySet, now: Date): SigningKeys {
	const keys = inForce(set, now);
	return {
		kid: keys[0].kid,
		privateKey: toPrivateKey(keys[0]),
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

function parse(json: string): KeySet {
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

const imported = new WeakMap<PrivateKey, KeyObject>();

function toPrivateKey(jwk: PrivateKey): KeyObject {
	const known = imported.get(jwk);
	if (known) return known;
	const key = createPrivateKey({ key: jwk, format: "jwk" });
	// Node takes `d` alone; tokens signed with it would then not verify with the `x` that we publish.
	if (createPublicKey(key).export({ format: "jwk" }).x !== jwk.x)
		throw new Error(`AUTH_KEYS: the two halves of the key ${jwk.kid} do not belong together.`);
	imported.set(jwk, key);
	return key;
}

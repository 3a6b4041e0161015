/**
 * Secrets at rest: AES-256-GCM under the keys of ENCRYPTION_KEYS, of which the first encrypts and all
 * decrypt. What is sealed is bound to its context, so that one row's secret is nothing in another's.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** What opens and closes. */
export interface Encryption {
	/** The format's version, the key's id, a nonce, a tag, and the ciphertext. */
	readonly seal: (plain: Buffer, context: string) => Buffer;
	/** Throws where it was changed, belongs to another context, or its key is not there (any more). */
	readonly open: (sealed: Buffer, context: string) => Buffer;
}

const KEY_BYTES = 32;
const VERSION = 1;
const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES;
const LEAST_BYTES = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;

const HOW_TO_GET_ONE = "`npm run keys -- create-encryption-key` makes one.";

/** A new key for ENCRYPTION_KEYS: 32 random bytes, base64url. */
export const createEncryptionKey = (): string => randomBytes(KEY_BYTES).toString("base64url");

/** Reads ENCRYPTION_KEYS. Throws an Error for a person, which shows nothing of the value, where it is missing or not fit. */
export function readEncryptionKeys(text: string | undefined): Encryption {
	if (text === undefined)
		throw new Error(
			`ENCRYPTION_KEYS is not set: secrets cannot be kept encrypted. ${HOW_TO_GET_ONE}`
		);
	const keys = text.split(",").map(parseKey);
	const byId = new Map(keys.map(key => [idOf(key).toString("hex"), key]));
	if (byId.size < keys.length) throw new Error("ENCRYPTION_KEYS has the same key twice.");
	const first = keys[0]!;
	return {
		seal(plain, context) {
			const head = Buffer.concat([Buffer.of(VERSION), idOf(first)]);
			const nonce = randomBytes(NONCE_BYTES);
			const cipher = createCipheriv("aes-256-gcm", first, nonce).setAAD(boundTo(head, context));
			const secret = Buffer.concat([cipher.update(plain), cipher.final()]);
			return Buffer.concat([head, nonce, cipher.getAuthTag(), secret]);
		},
		open(sealed, context) {
			if (sealed.length < LEAST_BYTES || sealed[0] !== VERSION)
				throw new Error("What should be decrypted has no known format.");
			const [head, nonce, tag, secret] = cut(sealed, HEAD_BYTES, NONCE_BYTES, TAG_BYTES);
			const key = byId.get(head!.subarray(1).toString("hex"));
			if (!key) throw new Error("ENCRYPTION_KEYS lacks the key that this was encrypted with.");
			const decipher = createDecipheriv("aes-256-gcm", key, nonce!, { authTagLength: TAG_BYTES })
				.setAAD(boundTo(head!, context))
				.setAuthTag(tag!);
			return Buffer.concat([decipher.update(secret!), decipher.final()]);
		}
	};
}

/** Names a key and tells nothing of it. */
const idOf = (key: Buffer): Buffer =>
	Buffer.from(hkdfSync("sha256", key, "", "valence encryption key id v1", ID_BYTES));

const boundTo = (head: Buffer, context: string): Buffer =>
	Buffer.concat([head, Buffer.from(context)]);

/** Parts of these lengths, and what is left. */
function cut(whole: Buffer, ...lengths: number[]): Buffer[] {
	let at = 0;
	const parts = lengths.map(length => whole.subarray(at, (at += length)));
	return [...parts, whole.subarray(at)];
}

function parseKey(text: string): Buffer {
	const key = Buffer.from(text, "base64url");
	if (key.length !== KEY_BYTES || key.toString("base64url") !== text)
		throw new Error(
			`ENCRYPTION_KEYS is not 32 bytes as base64url, or several of them with commas between. ${HOW_TO_GET_ONE}`
		);
	if (isMadeUp(key))
		throw new Error(
			`ENCRYPTION_KEYS has a key that somebody made up: it is text, or repeats itself. ${HOW_TO_GET_ONE}`
		);
	return key;
}

/** Zeros, a counter, a passphrase: what chance makes once in billions of years. */
const isMadeUp = (key: Buffer): boolean =>
	new Set(key).size < KEY_BYTES / 2 ||
	key.every(byte => byte >= 0x20 && byte < 0x7f) ||
	new Set(key.map((byte, index) => byte - key[(index + 1) % key.length]!)).size < 8;

import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { createEncryptionKey, readEncryptionKeys } from "./encryption.ts";

const bytes = fc.uint8Array({ maxLength: 200 }).map(array => Buffer.from(array));
const context = fc.string({ maxLength: 80 });
const encode = (key: Uint8Array) => Buffer.from(key).toString("base64url");

/** Of Node, where the tag is not that of what was opened, and ours. */
const REFUSED = /unable to authenticate|no known format|lacks the key/;

describe("what is encrypted", () => {
	const { seal, open } = readEncryptionKeys(createEncryptionKey());

	it("is there again in its own context", () => {
		fc.assert(
			fc.property(bytes, context, (plain, where) => {
				expect(open(seal(plain, where), where)).toEqual(plain);
			})
		);
	});

	it("is refused when any bit of it was changed", () => {
		fc.assert(
			fc.property(bytes, context, fc.nat(), fc.nat(7), (plain, where, at, bit) => {
				const sealed = seal(plain, where);
				sealed[at % sealed.length]! ^= 1 << bit;
				expect(() => open(sealed, where)).toThrow(REFUSED);
			})
		);
	});

	it("is refused when its end is missing or it has another one", () => {
		fc.assert(
			fc.property(bytes, context, fc.nat(), bytes, (plain, where, length, more) => {
				const sealed = seal(plain, where);
				expect(() => open(sealed.subarray(0, length % sealed.length), where)).toThrow(REFUSED);
				fc.pre(more.length > 0);
				expect(() => open(Buffer.concat([sealed, more]), where)).toThrow(REFUSED);
			})
		);
	});

	it("is refused in another context", () => {
		fc.assert(
			fc.property(bytes, context, context, (plain, where, elsewhere) => {
				fc.pre(where !== elsewhere);
				expect(() => open(seal(plain, where), elsewhere)).toThrow(REFUSED);
			})
		);
	});

	it("looks another each time, and shows nothing of itself", () => {
		const plain = randomBytes(20);
		const [first, second] = [seal(plain, "c"), seal(plain, "c")];
		expect(first.equals(second)).toBe(false);
		expect(first.includes(plain)).toBe(false);
	});
});

describe("several keys", () => {
	const [old, young, stranger] = [1, 2, 3].map(createEncryptionKey) as [string, string, string];
	const plain = Buffer.from("secret");

	it("all decrypt, and the first encrypts", () => {
		const both = readEncryptionKeys(`${young},${old}`);
		expect(both.open(readEncryptionKeys(old).seal(plain, "c"), "c")).toEqual(plain);
		expect(readEncryptionKeys(young).open(both.seal(plain, "c"), "c")).toEqual(plain);
	});

	it("do not decrypt what another one encrypted", () => {
		expect(() =>
			readEncryptionKeys(`${young},${old}`).open(readEncryptionKeys(stranger).seal(plain, "c"), "c")
		).toThrow(/lacks the key/);
	});

	it("must be different ones", () => {
		expect(() => readEncryptionKeys(`${old},${old}`)).toThrow(/same key twice/);
	});
});

describe("ENCRYPTION_KEYS", () => {
	const counter = Uint8Array.from({ length: 32 }, (_, index) => index);
	it.each([
		["missing", undefined, /is not set.*create-encryption-key/],
		["short", encode(randomBytes(16)), /not 32 bytes/],
		["long", encode(randomBytes(33)), /not 32 bytes/],
		["hexadecimal", randomBytes(32).toString("hex"), /not 32 bytes/],
		["empty at one place", `${createEncryptionKey()},`, /not 32 bytes/],
		["padded", `${createEncryptionKey()}=`, /not 32 bytes/],
		["zeros", encode(new Uint8Array(32)), /made up/],
		["a counter", encode(counter), /made up/],
		["a counter backwards", encode(counter.toReversed()), /made up/],
		["a passphrase", encode(Buffer.from("correct horse battery staple 42!")), /made up/],
		["half a key, twice", encode(Buffer.alloc(32, randomBytes(8))), /made up/]
	])("is refused where it is %s, and not shown", (_, value, message) => {
		expect(() => readEncryptionKeys(value)).toThrow(message);
		const parts = (value ?? "").split(",").filter(part => part.length > 3);
		for (const part of parts)
			expect(() => readEncryptionKeys(value)).not.toThrow(new RegExp(part.replaceAll("=", "")));
	});

	it("is taken as it is made", () => {
		for (let n = 0; n < 1_000; n++)
			expect(() => readEncryptionKeys(createEncryptionKey())).not.toThrow();
	});
});

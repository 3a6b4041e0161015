/** Recovery codes: written down, and typed in when the authenticator is lost. */
import { createHash, randomBytes } from "node:crypto";

export const RECOVERY_CODES = 10;
/** Crockford's base32: no letter that looks like a digit. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LOOK_ALIKES: Readonly<Record<string, string>> = { O: "0", I: "1", L: "1" };
const LENGTH = 16;

/** A new code of 80 bits, as in `7K2M-Q0XW-9DTR-4H8B`. */
export const newRecoveryCode = (): string =>
	[...randomBytes(LENGTH)]
		.map(byte => ALPHABET[byte % ALPHABET.length])
		.join("")
		.replaceAll(/.{4}(?=.)/g, "$&-");

/** What is kept of a code. With 80 bits of chance in it, a plain hash cannot be searched. */
export const hashOfRecoveryCode = (code: string): Buffer =>
	createHash("sha256").update(canonical(code)).digest();

/** As it was meant, however it was typed. */
const canonical = (code: string): string =>
	code
		.toUpperCase()
		.replaceAll("-", "")
		.replaceAll(/[OIL]/g, letter => LOOK_ALIKES[letter]!);

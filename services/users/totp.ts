/** Codes of an authenticator (TOTP, RFC 6238), as every app makes them: SHA-1, six digits, thirty seconds. */
import { Secret, TOTP } from "otpauth";

const ISSUER = "Valence";
const SECRET_BYTES = 20;
const STEP_SECONDS = 30;
/** How many steps a clock may be off, to each side. */
const WINDOW = 1;

/** A secret to share with an authenticator: 160 bits. */
export const newTotpSecret = (): Buffer => Buffer.from(new Secret({ size: SECRET_BYTES }).bytes);

const totpOf = (secret: Buffer, label = ""): TOTP =>
	new TOTP({
		issuer: ISSUER,
		label,
		algorithm: "SHA1",
		digits: 6,
		period: STEP_SECONDS,
		// A view of its own: a small Buffer lies in a pool with others.
		secret: new Secret({ buffer: Uint8Array.from(secret).buffer })
	});

/** The number of the step that a time lies in. */
export const stepAt = (now: Date): number => TOTP.counter({ timestamp: now.getTime() });

/** The code of a step. */
export const codeOfStep = (secret: Buffer, step: number): string =>
	totpOf(secret).generate({ timestamp: step * STEP_SECONDS * 1_000 });

/** The step whose code this is, of now and its neighbours; undefined where it is none of theirs. */
export function stepOf(secret: Buffer, code: string, now: Date): number | undefined {
	const delta = totpOf(secret).validate({ token: code, timestamp: now.getTime(), window: WINDOW });
	return delta === null ? undefined : stepAt(now) + delta;
}

/** What an authenticator is told, as base32 and as a URI. */
export function enrolmentOf(secret: Buffer, account: string): { secret: string; uri: string } {
	const totp = totpOf(secret, account);
	return { secret: totp.secret.base32, uri: totp.toString() };
}

/** So many wrong codes in a row are a person's mistakes. */
const PATIENCE = 5;
const LONGEST_PAUSE_SECONDS = 3_600;

/**
 * For how many seconds after the last of so many wrong codes in a row none is looked at: a million codes
 * are soon tried by whoever knows the password and has many addresses.
 */
export const pauseAfter = (failures: number): number =>
	failures < PATIENCE
		? 0
		: Math.min(STEP_SECONDS * 2 ** (failures - PATIENCE), LONGEST_PAUSE_SECONDS);

/** The second factor of those who sign in by password. */
import type { Tx } from "../../lib/database.ts";
import type { Encryption } from "../../lib/encryption.ts";
import { hashOfRecoveryCode } from "./recovery-code.ts";
import { pauseAfter, stepOf } from "./totp.ts";
import {
	countFailure,
	findTwoFactor,
	lockTotp,
	useRecoveryCode,
	useStep
} from "./two-factor.store.ts";
import { recordFact } from "./users.store.ts";

/** What a secret of an authenticator is bound to when it is encrypted. */
export const totpContext = (userId: string): string => `totp ${userId}`;

/** What came of asking for it. */
export type SecondFactor = "none" | "totp" | "recovery-code" | "missing" | "wrong" | "paused";

/**
 * Uses up the code that somebody signs in with: `none` where the user has no second factor, whatever
 * was sent, `missing` where one is needed and nothing was sent, `paused` where an authenticator's code
 * is not looked at, after too many wrong ones.
 */
export async function useSecondFactor(
	tx: Tx,
	userId: string,
	code: string | undefined,
	encryption: Encryption,
	now: Date
): Promise<SecondFactor> {
	// Locked, so that no number of guesses at once is more than one after the other.
	const totp = await lockTotp(tx, userId);
	if (!totp) return "none";
	if (code === undefined) return "missing";
	if (!/^\d{6}$/.test(code))
		return (await useRecoveryCode(tx, userId, hashOfRecoveryCode(code)))
			? "recovery-code"
			: "wrong";
	if (totp.secondsSince !== null && totp.secondsSince < pauseAfter(totp.failures)) return "paused";
	const step = stepOf(encryption.open(totp.secret, totpContext(userId)), code, now);
	if (step !== undefined && (await useStep(tx, userId, step))) return "totp";
	await countFailure(tx, userId);
	return "wrong";
}

/** Tells that somebody has signed in by a recovery code, and how many are left. */
export async function tellRecoveryCodeUsed(tx: Tx, userId: string): Promise<void> {
	const { recoveryCodesLeft: left } = await findTwoFactor(tx, userId);
	await recordFact(tx, userId, "user.recovery-code-used.v1", { userId, left });
}

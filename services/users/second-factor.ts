/** The second factor of those who sign in by password. */
import type { Tx } from "../../lib/database.ts";
import type { Encryption } from "../../lib/encryption.ts";
import { hashOfRecoveryCode } from "./recovery-code.ts";
import { stepOf } from "./totp.ts";
import { findTotp, useRecoveryCode, useStep } from "./two-factor.store.ts";

/** What a secret of an authenticator is bound to when it is encrypted. */
export const totpContext = (userId: string): string => `totp ${userId}`;

/** What came of asking for it. */
export type SecondFactor = "none" | "totp" | "recovery-code" | "missing" | "wrong";

/**
 * Uses up the code that somebody signs in with: `none` where the user has no second factor, whatever
 * was sent, and `missing` where one is needed and nothing was sent.
 */
export async function useSecondFactor(
	tx: Tx,
	userId: string,
	code: string | undefined,
	encryption: Encryption,
	now: Date
): Promise<SecondFactor> {
	const sealed = await findTotp(tx, userId);
	if (!sealed) return "none";
	if (code === undefined) return "missing";
	if (!/^\d{6}$/.test(code))
		return (await useRecoveryCode(tx, userId, hashOfRecoveryCode(code)))
			? "recovery-code"
			: "wrong";
	const step = stepOf(encryption.open(sealed, totpContext(userId)), code, now);
	return step !== undefined && (await useStep(tx, userId, sealed, step)) ? "totp" : "wrong";
}

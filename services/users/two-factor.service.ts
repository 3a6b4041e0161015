import { twoFactor } from "../../contracts/two-factor.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { proof } from "./proof.mixin.ts";
import { reauthenticate } from "./reauthentication.ts";
import { hashOfRecoveryCode, newRecoveryCode, RECOVERY_CODES } from "./recovery-code.ts";
import { totpContext } from "./second-factor.ts";
import { logSecurity } from "./security-log.ts";
import { enrolmentOf, newTotpSecret, stepOf } from "./totp.ts";
import {
	beginEnrolment,
	confirmEnrolment,
	findPending,
	findTwoFactor,
	lockTotp,
	removeTwoFactor,
	replaceRecoveryCodes
} from "./two-factor.store.ts";
import { findUser, findUserForUpdate, recordFact } from "./users.store.ts";

/** New recovery codes in place of the earlier ones. */
async function issueRecoveryCodes(tx: Tx, userId: string): Promise<string[]> {
	const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
	await replaceRecoveryCodes(tx, userId, codes.map(hashOfRecoveryCode));
	return codes;
}

export default implement(twoFactor)({
	mixins: [events("users"), proof()],
	actions: {
		async get({ meta }) {
			return findTwoFactor(this.db, requireUser(meta).id);
		},

		async enrol({ params: { password }, meta }) {
			await reauthenticate(this, password, meta);
			const user = await findUser(this.db, requireUser(meta).id);
			if (!user) throw failure(twoFactor, "UNAUTHENTICATED");
			const secret = newTotpSecret();
			const sealed = this.encryption.seal(secret, totpContext(user.id));
			await this.transaction(tx => beginEnrolment(tx, user.id, sealed));
			return enrolmentOf(secret, user.email);
		},

		async confirm({ params: { code }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			const pending = await findPending(this.db, userId);
			if (!pending) throw failure(twoFactor, "NO_ENROLMENT");
			const secret = this.encryption.open(pending, totpContext(userId));
			const step = stepOf(secret, code, new Date());
			if (step === undefined) throw failure(twoFactor, "WRONG_CODE");
			return this.transaction(async tx => {
				await findUserForUpdate(tx, userId);
				if (!(await confirmEnrolment(tx, userId, pending, step)))
					throw failure(twoFactor, "NO_ENROLMENT");
				const recoveryCodes = await issueRecoveryCodes(tx, userId);
				await recordFact(tx, userId, "user.two-factor-enabled.v1", { userId });
				const { client } = meta;
				await logSecurity(tx, { type: "two-factor-enabled", userId, client, sessionId });
				return { recoveryCodes };
			});
		},

		async renewRecoveryCodes({ params: { password }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await reauthenticate(this, password, meta);
			return this.transaction(async tx => {
				await findUserForUpdate(tx, userId);
				if (!(await lockTotp(tx, userId))) throw failure(twoFactor, "TWO_FACTOR_OFF");
				const recoveryCodes = await issueRecoveryCodes(tx, userId);
				const { client } = meta;
				await logSecurity(tx, { type: "recovery-codes-renewed", userId, client, sessionId });
				return { recoveryCodes };
			});
		},

		async disable({ params: { password }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await reauthenticate(this, password, meta);
			await this.transaction(async tx => {
				await findUserForUpdate(tx, userId);
				if (!(await removeTwoFactor(tx, userId))) throw failure(twoFactor, "TWO_FACTOR_OFF");
				await recordFact(tx, userId, "user.two-factor-disabled.v1", { userId });
				const { client } = meta;
				await logSecurity(tx, { type: "two-factor-disabled", userId, client, sessionId });
			});
			return null;
		}
	}
});

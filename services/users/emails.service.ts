import { emails } from "../../contracts/emails.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { tokenOfHash } from "./one-time-token.ts";
import { findLiveToken, useToken } from "./one-time-tokens.store.ts";
import { proof } from "./proof.mixin.ts";
import { logSecurity } from "./security-log.ts";
import { findUserForUpdate, markVerified } from "./users.store.ts";
import { requestVerification } from "./verification.ts";

export default implement(emails)({
	mixins: [events("users"), proof()],
	actions: {
		async verify({ params: { token }, meta: { client } }) {
			await this.transaction(async tx => {
				const userId = await useToken(tx, token, "verify-email");
				if (!userId) throw failure(emails, "INVALID_TOKEN");
				await markVerified(tx, userId);
				await logSecurity(tx, { type: "email-verified", userId, client });
			});
			return null;
		},

		async requestVerification({ meta }) {
			const { id } = requireUser(meta);
			await this.transaction(async tx => {
				const user = await findUserForUpdate(tx, id);
				if (!user || user.emailVerified) throw failure(emails, "EMAIL_ALREADY_VERIFIED");
				await requestVerification(tx, user, this.keys);
			});
			return { status: "accepted" };
		},

		async token({ params: { tokenId } }) {
			const live = await findLiveToken(this.db, tokenId);
			return (live && tokenOfHash(tokenId, live.purpose, live.hash, this.keys)) ?? null;
		}
	}
});

import { passwords } from "../../contracts/passwords.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { events } from "../../mixins/events.mixin.ts";
import { jobs, type JobKind } from "../../mixins/jobs.mixin.ts";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { evict } from "./eviction.ts";
import { dropTokens, isGood, issueToken, useToken } from "./one-time-tokens.store.ts";
import { proof, signingKeysOf } from "./proof.mixin.ts";
import { confirmPassword } from "./reauthentication.ts";
import { logSecurity } from "./security-log.ts";
import { revokeSessions } from "./sessions.store.ts";
import { isCommonPassword } from "./user.ts";
import {
	findAccount,
	findUserForUpdate,
	markVerified,
	recordFact,
	replacePassword
} from "./users.store.ts";

/** A wish for a reset, as it waits: by whom nobody has looked up yet. */
interface Wish {
	readonly email: string;
	readonly client: { readonly address: string; readonly device: string } | undefined;
}

/** Issues the link and tells of it, where there is somebody with this address who may sign in. */
async function grant(tx: Tx, { email, client }: Wish, keys: SigningKeys): Promise<void> {
	const account = await findAccount(tx, email);
	const user = account && (await findUserForUpdate(tx, account.user.id));
	if (user?.status !== "active") return;
	const { id: userId, username, name } = user;
	// A username may look like an address; the mail goes to the account's own.
	const tokenId = await issueToken(tx, user, "reset-password", keys);
	const told = { userId, tokenId, email: user.email, username, name };
	await recordFact(tx, userId, "user.password-reset-requested.v1", told);
	await logSecurity(tx, { type: "password-reset-requested", userId, client });
}

function refuseCommon(password: string): void {
	if (isCommonPassword(password)) throw failure(passwords, "PASSWORD_TOO_COMMON");
}

export default implement(passwords)({
	mixins: [
		events("users"),
		proof(),
		jobs("users", ({ broker }) => ({
			// Looked up later, so that the answer tells nothing by its time.
			"password-reset": {
				maxAttempts: 10,
				async perform() {},
				complete: (tx, wish) => grant(tx, wish, signingKeysOf(broker)),
				async giveUp() {}
			} satisfies JobKind<Wish, void>
		}))
	],
	actions: {
		async forgot({ params: { email }, meta: { client } }) {
			const wish: Wish = { email, client };
			await this.transaction(tx => this.enqueue(tx, "password-reset", uuidv7(), wish));
			return { status: "accepted" };
		},

		async reset({ params: { token, password }, meta: { client } }) {
			refuseCommon(password);
			// Nobody makes us hash without a link.
			if (!(await isGood(this.db, token, "reset-password")))
				throw failure(passwords, "INVALID_TOKEN");
			const hash = await this.passwords.hash(password);
			await this.transaction(async tx => {
				const userId = await useToken(tx, token, "reset-password");
				if (!userId) throw failure(passwords, "INVALID_TOKEN");
				await replacePassword(tx, userId, hash);
				// Whoever has the link has the address. Who had the account until now may be somebody else.
				if (await markVerified(tx, userId)) await evict(tx, userId, client);
				await recordFact(tx, userId, "user.password-changed.v1", { userId, by: "reset" });
				await revokeSessions(tx, { userId }, "password-reset");
				await logSecurity(tx, { type: "password-reset", userId, client });
			});
			return null;
		},

		async change({ params: { currentPassword, newPassword }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			refuseCommon(newPassword);
			const current = await confirmPassword(this, currentPassword, meta);
			const hash = await this.passwords.hash(newPassword);
			await this.transaction(async tx => {
				if (!(await replacePassword(tx, userId, hash, current)))
					throw failure(passwords, "WRONG_PASSWORD");
				await recordFact(tx, userId, "user.password-changed.v1", { userId, by: "change" });
				await dropTokens(tx, userId, "reset-password");
				await revokeSessions(tx, { userId, except: sessionId }, "password-changed");
				await logSecurity(tx, {
					type: "password-changed",
					userId,
					client: meta.client,
					sessionId
				});
			});
			return null;
		}
	}
});

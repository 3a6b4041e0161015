/** What becomes of an account whose address turns out to be somebody's who did not open it. */
import type { Tx } from "../../lib/database.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import { listIdentities, removeIdentity } from "./identities.store.ts";
import { listPasskeys, removePasskey } from "./passkeys.store.ts";
import { logSecurity } from "./security-log.ts";
import { removeTwoFactor } from "./two-factor.store.ts";
import { recordFact } from "./users.store.ts";

/**
 * Takes away every way in but the password, and tells of each. For the first proof of an address: until
 * then anybody may have registered with it, and kept a passkey or a second factor for later.
 */
export async function evict(tx: Tx, userId: string, client: ClientInfo | undefined): Promise<void> {
	for (const { id: passkeyId } of await listPasskeys(tx, userId)) {
		const note = await removePasskey(tx, userId, passkeyId);
		await recordFact(tx, userId, "user.passkey-removed.v1", { userId, passkeyId });
		await logSecurity(tx, { type: "passkey-removed", userId, client, note });
	}
	for (const { issuer } of await listIdentities(tx, userId)) {
		await removeIdentity(tx, userId, issuer);
		await recordFact(tx, userId, "user.identity-unlinked.v1", { userId, provider: "google" });
		await logSecurity(tx, { type: "identity-unlinked", userId, client, note: issuer });
	}
	if (await removeTwoFactor(tx, userId)) {
		await recordFact(tx, userId, "user.two-factor-disabled.v1", { userId });
		await logSecurity(tx, { type: "two-factor-disabled", userId, client });
	}
}

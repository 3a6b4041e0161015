import type { Service } from "moleculer";
import { google } from "../../contracts/google.ts";
import type { Config } from "../../lib/config.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type Meta } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement, mixin } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import {
	answer,
	begin,
	failed,
	fragment,
	grantTo,
	pendingOf,
	type Abroad
} from "./google-sign-in.ts";
import { isProvenBy, issuerOf } from "./google.ts";
import { removeIdentity } from "./identities.store.ts";
import { OpenIdProvider, type ProviderAnswer } from "./openid-provider.ts";
import { takeCode } from "./pending-sign-ins.store.ts";
import { proof } from "./proof.mixin.ts";
import { reauthenticate, requireYoungSession } from "./reauthentication.ts";
import { logSecurity } from "./security-log.ts";
import { hashOf } from "./session.ts";
import { openSignedIn, tokensOf, UNKNOWN_CLIENT } from "./sign-in.ts";
import { findUserForUpdate, recordFact } from "./users.store.ts";
import { hasWayIn } from "./ways-in.ts";

const abroad = () =>
	mixin<Abroad>({
		created(this: Service) {
			const { config } = runtimeOf(this.broker);
			const provider = new OpenIdProvider(config, this.logger);
			Object.assign(this, { provider, config } satisfies Abroad);
		}
	});

/** Removes the caller's identity at the provider, unless nothing to sign in by would be left. */
async function drop(tx: Tx, meta: Meta, config: Config): Promise<void> {
	const { id: userId, sessionId } = requireUser(meta);
	// Of two ways that are taken away at once, one stays.
	await findUserForUpdate(tx, userId);
	if (!(await removeIdentity(tx, userId, issuerOf(config.OIDC_ISSUER))))
		throw failure(google, "NOT_FOUND");
	if (!(await hasWayIn(tx, userId, config))) throw failure(google, "LAST_WAY_IN");
	await recordFact(tx, userId, "user.identity-unlinked.v1", { userId, provider: "google" });
	const { client } = meta;
	await logSecurity(tx, { type: "identity-unlinked", userId, client, sessionId, note: "google" });
}

export default implement(google)({
	mixins: [events("users"), proof(), abroad()],
	actions: {
		async begin({ params, meta }) {
			const { user } = meta;
			this.provider.requireConfigured();
			if (user) await requireYoungSession(this.db, meta);
			return begin(this, params, user ? { userId: user.id, sessionId: user.sessionId } : null);
		},

		async beginLink({ params: { password, ...params }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			this.provider.requireConfigured();
			await reauthenticate(this, password, meta);
			const { location: url, browser } = await begin(this, params, { userId, sessionId });
			return { url, browser };
		},

		async finish({ params: { browser, ...answered }, meta: { client = UNKNOWN_CLIENT } }) {
			const pending = await pendingOf(this, answered.state, browser);
			const binding = { ...pending, state: answered.state };
			const proving = this.provider.personOf(answered as ProviderAnswer, binding);
			if (pending.returnTo === null) return answer(this, pending, await proving, client);
			const outcome = proving.then(person => fragment(this, pending, person, client));
			return { location: `${pending.returnTo}#${await outcome.catch(failed)}` };
		},

		async redeem({ params: { code, codeVerifier }, meta: { client = UNKNOWN_CLIENT } }) {
			const found = await takeCode(this.db, hashOf(code));
			if (!found || !isProvenBy(found.codeChallenge, codeVerifier))
				throw failure(google, "INVALID_SIGN_IN_CODE");
			const granted = await this.transaction(tx =>
				grantTo(tx, found.userId, client, (_, user) => openSignedIn(tx, user, "google", client))
			);
			if (!granted) throw failure(google, "ACCOUNT_DISABLED");
			return tokensOf(granted.user, granted.grant, this.keys);
		},

		async unlink({ meta }) {
			await this.transaction(tx => drop(tx, meta, this.config));
			return null;
		}
	}
});

import type { Service } from "moleculer";
import { google } from "../../contracts/google.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
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
import { findUserForUpdate } from "./users.store.ts";
import { hasWayIn } from "./ways-in.ts";

const abroad = () =>
	mixin<Abroad>({
		created(this: Service) {
			const { config } = runtimeOf(this.broker);
			const provider = new OpenIdProvider(config, this.logger);
			Object.assign(this, { provider, config } satisfies Abroad);
		}
	});

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
			const { id: userId, sessionId } = requireUser(meta);
			const issuer = issuerOf(this.config.OIDC_ISSUER);
			await this.transaction(async tx => {
				// Of two ways that are taken away at once, one stays.
				await findUserForUpdate(tx, userId);
				if (!(await removeIdentity(tx, userId, issuer))) throw failure(google, "NOT_FOUND");
				if (!(await hasWayIn(tx, userId, this.config))) throw failure(google, "LAST_WAY_IN");
				await logSecurity(tx, {
					type: "identity-unlinked",
					userId,
					client: meta.client,
					sessionId,
					note: "google"
				});
			});
			return null;
		}
	}
});

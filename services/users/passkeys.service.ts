import type { ServiceBroker } from "moleculer";
import { passkeys, type Passkey } from "../../contracts/passkeys.ts";
import type { Config } from "../../lib/config.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type Meta } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { examine, openByPasskey } from "./passkey-sign-in.ts";
import {
	challengeOf,
	creationOptions,
	requestOptions,
	verifyCreation,
	type NewPasskey
} from "./passkey.ts";
import {
	addPasskey,
	issueChallenge,
	listCredentials,
	listPasskeys,
	removePasskey,
	renamePasskey,
	useChallenge
} from "./passkeys.store.ts";
import { proof } from "./proof.mixin.ts";
import { reauthenticate } from "./reauthentication.ts";
import { relyingPartyOf, type RelyingParty } from "./relying-party.ts";
import { logSecurity } from "./security-log.ts";
import { tokensOf, UNKNOWN_CLIENT } from "./sign-in.ts";
import { findUser, findUserForUpdate, recordFact } from "./users.store.ts";
import { hasWayIn } from "./ways-in.ts";

const MAX_PASSKEYS = 20;
const UNNAMED = "Passkey";

/** Whom passkeys are for, at this node; in one process the gateway's port may be known to it alone. */
const findParty = (broker: ServiceBroker): RelyingParty | undefined => {
	const { config } = runtimeOf(broker);
	return relyingPartyOf(config, Number(broker.metadata["gatewayPort"] ?? config.PORT));
};

/** The same. Throws PASSKEYS_UNAVAILABLE. */
function requireParty(broker: ServiceBroker): RelyingParty {
	const party = findParty(broker);
	if (!party) throw failure(passkeys, "PASSKEYS_UNAVAILABLE");
	return party;
}

/** Stores a passkey that was made as it was asked for, tells of it and writes it down. */
async function keep(tx: Tx, meta: Meta, name: string, made: NewPasskey): Promise<Passkey> {
	const { id: userId, sessionId } = requireUser(meta);
	await findUserForUpdate(tx, userId);
	const passkey = await addPasskey(tx, userId, name, made);
	if (!passkey) throw failure(passkeys, "INVALID_PASSKEY");
	await recordFact(tx, userId, "user.passkey-added.v1", { userId, passkeyId: passkey.id });
	// The user's row is locked by now: two at once do not make more of them together.
	if ((await listCredentials(tx, userId)).length > MAX_PASSKEYS)
		throw failure(passkeys, "TOO_MANY_PASSKEYS");
	const { client } = meta;
	await logSecurity(tx, { type: "passkey-added", userId, client, sessionId, note: name });
	return passkey;
}

/** Removes one of the caller's passkeys, unless nothing to sign in by would be left. */
async function drop(tx: Tx, meta: Meta, passkeyId: string, config: Config): Promise<void> {
	const { id: userId, sessionId } = requireUser(meta);
	await findUserForUpdate(tx, userId);
	const note = await removePasskey(tx, userId, passkeyId);
	if (note === undefined) throw failure(passkeys, "NOT_FOUND");
	await recordFact(tx, userId, "user.passkey-removed.v1", { userId, passkeyId });
	if (!(await hasWayIn(tx, userId, config))) throw failure(passkeys, "LAST_SIGN_IN_METHOD");
	await logSecurity(tx, { type: "passkey-removed", userId, client: meta.client, sessionId, note });
}

export default implement(passkeys)({
	mixins: [events("users"), proof()],
	async started() {
		// A node that is told nonsense does not start.
		findParty(this.broker);
	},
	actions: {
		async beginAdding({ params: { password }, meta }) {
			const party = requireParty(this.broker);
			const { id: userId, sessionId } = requireUser(meta);
			await reauthenticate(this, password, meta);
			return this.transaction(async tx => {
				const user = await findUser(tx, userId);
				if (!user) throw failure(passkeys, "UNAUTHENTICATED");
				const known = await listCredentials(tx, userId);
				if (known.length >= MAX_PASSKEYS) throw failure(passkeys, "TOO_MANY_PASSKEYS");
				const challenge = await issueChallenge(tx, { userId, sessionId });
				return creationOptions(challenge, user, known, party);
			});
		},

		async add({ params: { name = UNNAMED, response }, meta }) {
			const party = requireParty(this.broker);
			const { id: userId, sessionId } = requireUser(meta);
			const challenge = challengeOf(response);
			const isGood = challenge && (await useChallenge(this.db, challenge, { userId, sessionId }));
			const made = isGood ? await verifyCreation(response, challenge, party) : undefined;
			if (!made) throw failure(passkeys, "INVALID_PASSKEY");
			return this.transaction(tx => keep(tx, meta, name, made));
		},

		async list({ meta }) {
			return { items: await listPasskeys(this.db, requireUser(meta).id), nextCursor: null };
		},

		async rename({ params: { id, name }, meta }) {
			const { id: userId } = requireUser(meta);
			return this.transaction(async tx => {
				const passkey = await renamePasskey(tx, userId, id, name);
				if (!passkey) throw failure(passkeys, "NOT_FOUND");
				return passkey;
			});
		},

		async remove({ params: { id, password }, meta }) {
			await reauthenticate(this, password, meta);
			await this.transaction(tx => drop(tx, meta, id, runtimeOf(this.broker).config));
			return null;
		},

		async beginLogin() {
			const party = requireParty(this.broker);
			return requestOptions(await this.transaction(tx => issueChallenge(tx)), party);
		},

		async login({ params: { response }, meta: { client = UNKNOWN_CLIENT } }) {
			const shown = await examine(this.db, response, requireParty(this.broker));
			const signedIn = await this.transaction(tx => openByPasskey(tx, shown, client));
			if (!signedIn) throw failure(passkeys, "PASSKEY_REFUSED");
			return tokensOf(signedIn.user, signedIn.opened, this.keys);
		}
	}
});

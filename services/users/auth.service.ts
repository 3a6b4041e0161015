import { auth } from "../../contracts/auth.ts";
import type { Actions } from "../../contracts/index.ts";
import type { User } from "../../contracts/users.ts";
import { isTimestamp, keyBehind, pageOf } from "../../lib/cursor.ts";
import type { Database, Tx } from "../../lib/database.ts";
import type { Encryption } from "../../lib/encryption.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type ClientInfo } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { isUuid } from "../../lib/uuid.ts";
import { events, type DatabaseMethods } from "../../mixins/events.mixin.ts";
import { proof, type Proof } from "./proof.mixin.ts";
import { sessionPurge } from "./purge.mixin.ts";
import { tellRecoveryCodeUsed, useSecondFactor, type SecondFactor } from "./second-factor.ts";
import { logSecurity } from "./security-log.ts";
import { hashOf, judge, successorOf } from "./session.ts";
import {
	findPresented,
	findRevocations,
	listSessions,
	revokeSessions,
	rotate
} from "./sessions.store.ts";
import { openSignedIn, tokensOf, UNKNOWN_CLIENT, type Opened } from "./sign-in.ts";
import { isCommonPassword } from "./user.ts";
import {
	createUser,
	findAccount,
	findProvenForUpdate,
	findUser,
	renewHash,
	type Account
} from "./users.store.ts";
import { requestVerification } from "./verification.ts";

/** A session of somebody, renewed. */
interface Renewed extends Opened {
	readonly userId: string;
}

/** Uses a refresh token; undefined where it is not good (any more). */
async function renew(
	db: Database,
	refreshToken: string,
	[secret]: readonly Buffer[],
	client: ClientInfo
): Promise<Renewed | undefined> {
	const successor = successorOf(refreshToken, secret!);
	const session = await rotate(db, hashOf(refreshToken), hashOf(successor), client);
	return session && { ...session, refreshToken: successor };
}

/** The same successor once more for a token used a moment ago; the end of the session for one used long ago. */
async function repeat(
	db: Database,
	refreshToken: string,
	secrets: readonly Buffer[],
	client: ClientInfo
): Promise<Renewed | undefined> {
	const found = await findPresented(db, hashOf(refreshToken));
	if (!found) return undefined;
	const { sessionId, userId, successorHash } = found;
	const verdict = judge(found);
	if (verdict === "stolen")
		await db.transaction(async tx => {
			if ((await revokeSessions(tx, { userId, sessionId }, "token-reuse")) > 0)
				await logSecurity(tx, { type: "token-reused", userId, client, sessionId });
		});
	if (verdict !== "repeated") return undefined;
	// The node that rotated it may have had another key in front: keys change node by node.
	const successor = secrets
		.map(secret => successorOf(refreshToken, secret))
		.find(token => hashOf(token).equals(successorHash!));
	return successor === undefined ? undefined : { sessionId, userId, refreshToken: successor };
}

type SecondFactorRefusal =
	"SECOND_FACTOR_REQUIRED" | "INVALID_SECOND_FACTOR" | "SECOND_FACTOR_PAUSED";

/** Null for what signs in. */
const REFUSALS: Record<SecondFactor, SecondFactorRefusal | null> = {
	none: null,
	totp: null,
	"recovery-code": null,
	missing: "SECOND_FACTOR_REQUIRED",
	wrong: "INVALID_SECOND_FACTOR",
	paused: "SECOND_FACTOR_PAUSED"
};

/** The account is not the one any more that the password was proven for. */
const STALE = Symbol("stale");
const MAX_ATTEMPTS = 3;

/** Somebody who has signed in. */
interface SignedIn {
	readonly user: User;
	readonly opened: Opened;
}

/** What is shown beside the right password, and the hash of today's kind that it gets where it has none. */
interface Shown {
	readonly code: string | undefined;
	readonly renewed: string | undefined;
}

/**
 * Signs in somebody whose password is right, or answers why not: what is thrown would undo that it is
 * written down. STALE where it was proven against a hash that is not the account's any more, or who may
 * sign in has changed.
 */
async function openByPassword(
	tx: Tx,
	{ user: { id: userId }, passwordHash }: Account,
	{ code, renewed }: Shown,
	client: ClientInfo,
	encryption: Encryption
): Promise<SignedIn | SecondFactorRefusal | typeof STALE> {
	// Read again: while the password was hashed it may have been changed, and rights taken away.
	const user = await findProvenForUpdate(tx, userId, passwordHash!);
	if (!user) return STALE;
	const factor = await useSecondFactor(tx, userId, code, encryption, new Date());
	const refusal = REFUSALS[factor];
	if (refusal) {
		// Whoever knows the password and no code is written down too: perhaps it is not the user.
		const type = factor === "missing" ? "two-factor-requested" : "two-factor-failed";
		await logSecurity(tx, { type, userId, client });
		return refusal;
	}
	if (renewed !== undefined) await renewHash(tx, userId, renewed, passwordHash!);
	const opened = await openSignedIn(tx, user, "password", client);
	const { sessionId } = opened;
	if (factor === "recovery-code") {
		await tellRecoveryCodeUsed(tx, userId);
		await logSecurity(tx, { type: "recovery-code-used", userId, client, sessionId });
	}
	return { user, opened };
}

/** What a log-in needs of the service. */
type Self = Proof & DatabaseMethods;

/** Throws INVALID_CREDENTIALS, or what the second factor is refused by. */
async function tryLogin(
	self: Self,
	{ login, password, code }: Actions["auth.login"]["params"],
	client: ClientInfo
): Promise<SignedIn | typeof STALE> {
	const account = await findAccount(self.db, login);
	const proven = await self.passwords.verify(account?.passwordHash, password);
	if (!account || !proven || account.user.status !== "active") {
		// For nobody as well: it would be seen by the time that it takes.
		const userId = account?.user.id ?? null;
		await self.transaction(tx => logSecurity(tx, { type: "sign-in-failed", userId, client }));
		throw failure(auth, "INVALID_CREDENTIALS");
	}
	const renewed = await self.passwords.renewed(account.passwordHash!, password);
	const outcome = await self.transaction(tx =>
		openByPassword(tx, account, { code, renewed }, client, self.encryption)
	);
	if (typeof outcome === "string") throw failure(auth, outcome);
	return outcome;
}

/** Where a page of sessions has ended. */
type LastSession = readonly [lastUsedAt: string, id: string];
const isLastSession = (key: unknown): key is LastSession =>
	Array.isArray(key) && key.length === 2 && isTimestamp(key[0]) && isUuid(key[1]);

export default implement(auth)({
	mixins: [events("users"), proof(), sessionPurge()],
	actions: {
		async register({ params: { email, username, name = null, password }, meta: { client } }) {
			if (isCommonPassword(password)) throw failure(auth, "PASSWORD_TOO_COMMON");
			// Before the transaction: a connection must not be held while this is waited for.
			const passwordHash = await this.passwords.hash(password);
			const roles = ["customer" as const];
			const account = { email, username, name, passwordHash, roles, emailVerified: false };
			return this.transaction(async tx => {
				const user = await createUser(tx, account);
				await requestVerification(tx, user, this.keys);
				await logSecurity(tx, { type: "registered", userId: user.id, client });
				return user;
			});
		},

		async registerAdmin({ params: { email, username, name = null, password }, meta }) {
			if (isCommonPassword(password)) throw failure(auth, "PASSWORD_TOO_COMMON");
			const passwordHash = await this.passwords.hash(password);
			const roles = ["admin" as const];
			// Whoever can do this vouches for the address.
			const account = { email, username, name, passwordHash, roles, emailVerified: true };
			return this.transaction(async tx => {
				const user = await createUser(tx, account);
				const by = { by: requireUser(meta).id, client: meta.client, note: "admin" };
				await logSecurity(tx, { type: "registered", userId: user.id, ...by });
				return user;
			});
		},

		async login({ params, meta: { client = UNKNOWN_CLIENT } }) {
			// Again where the account has changed meanwhile: perhaps another log-in has renewed the hash.
			for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
				const outcome = await tryLogin(this, params, client);
				if (outcome !== STALE) return tokensOf(outcome.user, outcome.opened, this.keys);
			}
			throw failure(auth, "BUSY");
		},

		async refresh({ params: { refreshToken }, meta: { client = UNKNOWN_CLIENT } }) {
			const renewed =
				(await renew(this.db, refreshToken, this.successorSecrets, client)) ??
				(await repeat(this.db, refreshToken, this.successorSecrets, client));
			const user = renewed && (await findUser(this.db, renewed.userId));
			if (!user) throw failure(auth, "INVALID_REFRESH_TOKEN");
			return tokensOf(user, renewed, this.keys);
		},

		async logout({ meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await this.transaction(async tx => {
				await revokeSessions(tx, { userId, sessionId }, "logout");
				await logSecurity(tx, { type: "signed-out", userId, client: meta.client, sessionId });
			});
			return null;
		},

		async logoutAll({ meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await this.transaction(async tx => {
				await revokeSessions(tx, { userId }, "logout-all");
				const note = "everywhere";
				await logSecurity(tx, { type: "signed-out", userId, client: meta.client, sessionId, note });
			});
			return null;
		},

		async sessions({ params: { cursor, limit = 20 }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			const listing = { list: "auth.sessions", filters: [userId] };
			const after = keyBehind(auth, listing, cursor, isLastSession);
			const found = await listSessions(this.db, userId, after, limit + 1);
			const page = pageOf(listing, found, limit, ({ lastUsedAt, id }) => [lastUsedAt, id]);
			const items = page.items.map(session => ({ ...session, current: session.id === sessionId }));
			return { ...page, items };
		},

		async endSession({ params: { id }, meta }) {
			const { id: userId } = requireUser(meta);
			await this.transaction(async tx => {
				if ((await revokeSessions(tx, { userId, sessionId: id }, "ended")) === 0)
					throw failure(auth, "NOT_FOUND");
				await logSecurity(tx, {
					type: "session-ended",
					userId,
					client: meta.client,
					sessionId: id
				});
			});
			return null;
		},

		async keys() {
			return { keys: this.keys.publicKeys };
		},

		async revocations({ params: { withinSeconds } }) {
			return findRevocations(this.db, withinSeconds);
		}
	}
});

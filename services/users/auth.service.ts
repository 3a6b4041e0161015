import type { Service } from "moleculer";
import { auth, type Tokens } from "../../contracts/auth.ts";
import type { User } from "../../contracts/users.ts";
import { ACCESS_TOKEN_SECONDS, signAccessToken } from "../../lib/access-token.ts";
import type { Database } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser, type ClientInfo } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement, mixin } from "../../lib/service.ts";
import { readSigningKeys, type SigningKeys } from "../../lib/signing-keys.ts";
import { events } from "../../mixins/events.mixin.ts";
import { Passwords } from "./password.ts";
import { hashOf, judge, newRefreshToken, successorOf, SUCCESSOR_SECRET } from "./session.ts";
import {
	findPresented,
	findRevocations,
	openSession,
	revokeSessions,
	rotate
} from "./sessions.store.ts";
import { isCommonPassword } from "./user.ts";
import { createUser, findAccount, findUser } from "./users.store.ts";

const UNKNOWN_CLIENT: ClientInfo = { address: "unknown", device: "unknown" };

interface Proof {
	readonly keys: SigningKeys;
	readonly successorSecrets: readonly Buffer[];
	readonly passwords: Passwords;
}

/** What signs and proves. A node without keys does not start. */
const proof = () =>
	mixin<Proof>({
		async started(this: Service) {
			const keys = readSigningKeys(runtimeOf(this.broker).config.AUTH_KEYS);
			const successorSecrets = keys.secrets(SUCCESSOR_SECRET);
			Object.assign(this, { keys, successorSecrets, passwords: new Passwords() } satisfies Proof);
		}
	});

/** A session with the refresh token that is good from now on. */
interface Renewed {
	readonly sessionId: string;
	readonly userId: string;
	readonly refreshToken: string;
}

/** Uses a refresh token; undefined where it is not good (any more). */
async function renew(
	db: Database,
	refreshToken: string,
	[secret]: readonly Buffer[]
): Promise<Renewed | undefined> {
	const successor = successorOf(refreshToken, secret!);
	const session = await rotate(db, hashOf(refreshToken), hashOf(successor));
	return session && { ...session, refreshToken: successor };
}

/** The same successor once more for a token used a moment ago; the end of the session for one used long ago. */
async function repeat(
	db: Database,
	refreshToken: string,
	secrets: readonly Buffer[]
): Promise<Renewed | undefined> {
	const found = await findPresented(db, hashOf(refreshToken));
	if (!found) return undefined;
	const { sessionId, userId, successorHash } = found;
	const verdict = judge(found);
	if (verdict === "stolen")
		await db.transaction(tx => revokeSessions(tx, { userId, sessionId }, "token-reuse"));
	if (verdict !== "repeated") return undefined;
	// The node that rotated it may have had another key in front: keys change node by node.
	const successor = secrets
		.map(secret => successorOf(refreshToken, secret))
		.find(token => hashOf(token).equals(successorHash!));
	return successor === undefined ? undefined : { sessionId, userId, refreshToken: successor };
}

async function tokensOf(
	user: User,
	{ sessionId, refreshToken }: Omit<Renewed, "userId">,
	keys: SigningKeys
): Promise<Tokens> {
	const identity = { id: user.id, roles: user.roles, sessionId };
	const accessToken = await signAccessToken(identity, keys, new Date());
	return { accessToken, refreshToken, tokenType: "Bearer", expiresIn: ACCESS_TOKEN_SECONDS, user };
}

export default implement(auth)({
	mixins: [events("users"), proof()],
	actions: {
		async register({ params: { email, username, name = null, password } }) {
			if (isCommonPassword(password)) throw failure(auth, "PASSWORD_TOO_COMMON");
			// Before the transaction: a connection must not be held while this is waited for.
			const passwordHash = await this.passwords.hash(password);
			return this.transaction(tx =>
				createUser(tx, {
					email,
					username,
					name,
					passwordHash,
					roles: ["customer"],
					emailVerified: false
				})
			);
		},

		async login({ params: { login, password }, meta: { client = UNKNOWN_CLIENT } }) {
			const account = await findAccount(this.db, login);
			const proven = await this.passwords.verify(account?.passwordHash, password);
			if (!account || !proven || account.user.status !== "active")
				throw failure(auth, "INVALID_CREDENTIALS");
			const { user } = account;
			const refreshToken = newRefreshToken();
			const sessionId = await this.transaction(tx =>
				openSession(tx, user.id, client, hashOf(refreshToken))
			);
			return tokensOf(user, { sessionId, refreshToken }, this.keys);
		},

		async refresh({ params: { refreshToken } }) {
			const renewed =
				(await renew(this.db, refreshToken, this.successorSecrets)) ??
				(await repeat(this.db, refreshToken, this.successorSecrets));
			const user = renewed && (await findUser(this.db, renewed.userId));
			if (!user) throw failure(auth, "INVALID_REFRESH_TOKEN");
			return tokensOf(user, renewed, this.keys);
		},

		async logout({ meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await this.transaction(tx => revokeSessions(tx, { userId, sessionId }, "logout"));
			return null;
		},

		async logoutAll({ meta }) {
			const { id: userId } = requireUser(meta);
			await this.transaction(tx => revokeSessions(tx, { userId }, "logout-all"));
			return null;
		},

		async keys() {
			return { keys: this.keys.publicKeys };
		},

		async revocations() {
			return findRevocations(this.db);
		}
	}
});

/** Signing in by a passkey: what an answer shows, and what follows from it. */
import type { AssertedCredential } from "../../contracts/passkeys.ts";
import type { User } from "../../contracts/users.ts";
import type { Database, Tx } from "../../lib/database.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import { challengeOf, userHandleOf, verifyAssertion, type Assertion } from "./passkey.ts";
import { countUse, findByCredential, useChallenge, type KeptPasskey } from "./passkeys.store.ts";
import type { RelyingParty } from "./relying-party.ts";
import { logSecurity } from "./security-log.ts";
import { openSignedIn, type Opened } from "./sign-in.ts";
import { findUserForUpdate } from "./users.store.ts";

/** What an answer to a challenge has shown. */
export interface Shown {
	/** Whom it names; undefined where nobody has that passkey. */
	readonly passkey: KeptPasskey | undefined;
	/** What it proves; undefined where it proves nothing. */
	readonly assertion: Assertion | undefined;
}

/** Looks at an answer, whose challenge is used up by that. */
export async function examine(
	db: Database,
	response: AssertedCredential,
	party: RelyingParty
): Promise<Shown> {
	const passkey = await findByCredential(db, response.id);
	const challenge = challengeOf(response);
	const isGood = challenge !== undefined && (await useChallenge(db, challenge));
	const isOwner = passkey && response.response.userHandle === userHandleOf(passkey.userId);
	if (!isGood || !isOwner) return { passkey, assertion: undefined };
	return { passkey, assertion: await verifyAssertion(response, challenge, passkey, party) };
}

/** Signs in whoever has shown a passkey; undefined, and written down, where that must not be. */
export async function openByPasskey(
	tx: Tx,
	{ passkey, assertion }: Shown,
	client: ClientInfo
): Promise<{ user: User; opened: Opened } | undefined> {
	const refuse = async (note: string): Promise<undefined> => {
		const userId = passkey?.userId ?? null;
		await logSecurity(tx, { type: "sign-in-failed", userId, client, note });
		return undefined;
	};
	if (!passkey || !assertion) return refuse("passkey");
	const user = await findUserForUpdate(tx, passkey.userId);
	if (user?.status !== "active") return refuse("passkey");
	// One of two devices with the same key signs in, and who knows which.
	if (!(await countUse(tx, passkey.id, assertion)))
		return refuse("passkey, whose counter has not gone on");
	return { user, opened: await openSignedIn(tx, user, "passkey", client) };
}

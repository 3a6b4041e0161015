/** What the group itself knows of a user, and how that is erased. */
import type { Erased, ListKeys, PersonalData } from "../../contracts/personal-data.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { forgetKeys } from "../../lib/idempotency.ts";
import { pageOfLists, type DataList } from "../../lib/personal-data.ts";
import { listIdentities } from "./identities.store.ts";
import { listPasskeys } from "./passkeys.store.ts";
import { eraseDetails } from "./security-details.ts";
import { readEntriesOf, toSecurityEvent } from "./security-log.ts";
import { listAllSessions } from "./sessions.store.ts";
import { findTwoFactor } from "./two-factor.store.ts";
import { deleteUser, findPreferences } from "./users.store.ts";

/** Single objects, which come with the first page. Secrets and their hashes are in none. */
const objects = async (db: Queries, userId: string): Promise<Record<string, unknown>> => ({
	preferences: (await findPreferences(db, userId)) ?? null,
	twoFactor: await findTwoFactor(db, userId),
	passkeys: await listPasskeys(db, userId),
	identities: await listIdentities(db, userId)
});

const lists = (db: Queries, userId: string): Record<string, DataList> => ({
	sessions: {
		read: async (after, limit) =>
			(await listAllSessions(db, userId, after, limit)).map(item => ({ key: item.id, item }))
	},
	securityEvents: {
		isKey: key => /^[1-9]\d{0,14}$/.test(key),
		read: async (after, limit) => {
			const entries = await readEntriesOf(db, userId, after ? Number(after) : undefined, limit);
			return entries.map(entry => ({
				key: String(entry.position),
				item: toSecurityEvent(entry)
			}));
		}
	}
});

/** The group's part of an export, beside the profile. Throws VALIDATION_ERROR. */
export async function exportOf(
	db: Queries,
	userId: string,
	after?: ListKeys
): Promise<PersonalData> {
	const { data, next } = await pageOfLists(lists(db, userId), after);
	return { data: after ? data : { ...(await objects(db, userId)), ...data }, next };
}

/** A reset that was asked for under this address is written down under it for some days. */
export const forgetWishes = (tx: Tx, userId: string): Promise<unknown> =>
	tx.query(
		`DELETE FROM job USING users u WHERE job.kind = 'password-reset' AND u.id = $1
		   AND lower(btrim(normalize(job.payload->>'email', NFKC))) IN (u.email_normalized, u.username_normalized)`,
		[userId]
	);

/** Erases who it was and from where in what has to stay. */
export async function eraseTraces(tx: Tx, userId: string): Promise<number> {
	await forgetKeys(tx, userId);
	return eraseDetails(tx, userId);
}

/** Erases the user, and with it all that refers to it; address and username are free again. */
export async function eraseUser(tx: Tx, userId: string): Promise<Erased> {
	const events = await eraseTraces(tx, userId);
	const sessions = await deleteUser(tx, userId);
	return {
		erased: { accounts: 1, sessions },
		kept: [
			{
				what: `${events} entries in the record of security events, without address, device and names`,
				why: "each is chained to the next, so that nobody can change the record unnoticed"
			}
		]
	};
}

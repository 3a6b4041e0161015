/** What admins change of a user. Takes effect at once: what was signed in with the old rights ends. */
import { users, type User } from "../../contracts/users.ts";
import type { Tx } from "../../lib/database.ts";
import { failure, requireVersion } from "../../lib/failure.ts";
import type { ClientInfo } from "../../lib/identity.ts";
import { findDeletionOf } from "./deletions.store.ts";
import { dropTokens } from "./one-time-tokens.store.ts";
import { logSecurity } from "./security-log.ts";
import { revokeSessions } from "./sessions.store.ts";
import { findUserForUpdate, hasOtherAdmin, recordFact, updateUser } from "./users.store.ts";

/** Who manages, and from where. */
export interface Manager {
	readonly by: string;
	readonly client?: ClientInfo | undefined;
}

export const isActiveAdmin = ({ roles, status }: Pick<User, "roles" | "status">): boolean =>
	status === "active" && roles.includes("admin");

const sameRoles = (a: User, b: User): boolean =>
	a.roles.toSorted().join() === b.roles.toSorted().join();

/**
 * Changes roles and status of a user, tells of it and ends the user's sessions. Throws NOT_FOUND,
 * VERSION_MISMATCH, USER_BEING_DELETED, or LAST_ADMIN where nobody would be left who could undo it.
 */
export async function manageUser(
	tx: Tx,
	id: string,
	change: Partial<Pick<User, "roles" | "status">>,
	{ by, client }: Manager,
	ifMatch?: readonly number[]
): Promise<User> {
	// Before the user's own row, so that all who do this lock in one order.
	const othersRemain = await hasOtherAdmin(tx, id);
	const before = await findUserForUpdate(tx, id);
	if (!before) throw failure(users, "NOT_FOUND");
	requireVersion(ifMatch, before.version);
	if (await findDeletionOf(tx, id)) throw failure(users, "USER_BEING_DELETED");
	const wished = { ...before, ...change };
	if (isActiveAdmin(before) && !isActiveAdmin(wished) && !othersRemain)
		throw failure(users, "LAST_ADMIN");
	const [otherRoles, otherStatus] = [!sameRoles(before, wished), before.status !== wished.status];
	if (!otherRoles && !otherStatus) return before;
	const { roles, status } = wished;
	const after = await updateUser(tx, id, { roles, status });
	if (otherRoles) await recordFact(tx, id, "user.roles-changed.v1", { userId: id, roles });
	if (otherStatus && status === "disabled")
		await recordFact(tx, id, "user.disabled.v1", { userId: id });
	else if (otherStatus) await recordFact(tx, id, "user.enabled.v1", { userId: id });
	if (status === "disabled") await dropTokens(tx, id);
	await revokeSessions(tx, { userId: id }, status === "disabled" ? "disabled" : "roles-changed");
	if (otherRoles)
		await logSecurity(tx, {
			type: "roles-changed",
			userId: id,
			by,
			client,
			note: roles.join(", ")
		});
	if (otherStatus)
		await logSecurity(tx, {
			type: status === "disabled" ? "disabled" : "enabled",
			userId: id,
			by,
			client
		});
	return after;
}

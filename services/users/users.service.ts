import { User, users } from "../../contracts/users.ts";
import { keyBehind, pageOf } from "../../lib/cursor.ts";
import type { Tx } from "../../lib/database.ts";
import { commonFailure, failure, requireVersion } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { isUuid } from "../../lib/uuid.ts";
import { events } from "../../mixins/events.mixin.ts";
import { repository } from "../../mixins/repository.mixin.ts";
import { importUsers } from "./import.ts";
import { manageUser } from "./management.ts";
import { preferencesOf } from "./preferences.ts";
import {
	findAccount,
	findPreferences,
	findPreferencesForUpdate,
	findUserForUpdate,
	listUsers,
	recordFact,
	updatePreferences,
	updateUser,
	userModel,
	type UserChange
} from "./users.store.ts";

// A token may outlive its account by some minutes.
const gone = () => commonFailure("UNAUTHENTICATED");

/** Whether everything that is wished is so already: then nothing is told, and nobody's version is stale. */
const isNoChange = <T extends object>(before: T, wished: Partial<T>): boolean =>
	Object.entries(wished).every(
		([name, value]) => value === undefined || before[name as keyof T] === value
	);

/** Changes one's own profile, and tells of it where others know that part. */
async function changeProfile(
	tx: Tx,
	userId: string,
	change: UserChange,
	ifMatch: readonly number[] | undefined
): Promise<User> {
	const before = await findUserForUpdate(tx, userId);
	if (!before) throw gone();
	requireVersion(ifMatch, before.version);
	if (isNoChange(before, change)) return before;
	const after = await updateUser(tx, userId, change);
	const { username, name } = after;
	if (username !== before.username || name !== before.name)
		await recordFact(tx, userId, "user.updated.v1", { userId, username, name });
	return after;
}

export default implement(users)({
	mixins: [
		events("users"),
		repository({
			group: "users",
			model: userModel,
			fields: Object.keys(User.properties) as (keyof User)[],
			filters: {},
			sorts: [],
			maxLimit: 100
		})
	],
	actions: {
		async me({ meta }) {
			const user = await this.findById(requireUser(meta).id);
			if (!user) throw gone();
			return user;
		},

		async update({ params: { ifMatch, ...change }, meta }) {
			const { id } = requireUser(meta);
			return this.transaction(tx => changeProfile(tx, id, change, ifMatch));
		},

		async preferences({ meta }) {
			const preferences = await findPreferences(this.db, requireUser(meta).id);
			if (!preferences) throw gone();
			return preferences;
		},

		async updatePreferences({ params: { ifMatch, ...wish }, meta }) {
			const { id: userId } = requireUser(meta);
			return this.transaction(async tx => {
				const before = await findPreferencesForUpdate(tx, userId);
				if (!before) throw gone();
				requireVersion(ifMatch, before.version);
				const wished = preferencesOf(before, wish);
				if (isNoChange(before, wished)) return before;
				const after = await updatePreferences(tx, userId, wished);
				const { version: _, ...told } = after;
				await recordFact(tx, userId, "user.preferences-changed.v1", { userId, ...told });
				return after;
			});
		},

		async list({ params: { q, role, status, cursor, limit = 20 } }) {
			const listing = { list: "users.list", filters: [q, role, status] };
			const before = keyBehind(users, listing, cursor, isUuid);
			const found = await listUsers(this.db, { q, role, status, before, limit: limit + 1 });
			return pageOf(listing, found, limit, ({ id }) => id);
		},

		async get({ params: { id } }) {
			const user = await this.findById(id);
			if (!user) throw failure(users, "NOT_FOUND");
			return user;
		},

		async find({ params: { login } }) {
			const account = await findAccount(this.db, login);
			const detail = "There is no user with this address or username.";
			if (!account) throw failure(users, "NOT_FOUND", { detail });
			return account.user;
		},

		async import({ params: { users: newcomers, dryRun }, meta }) {
			const by = { by: requireUser(meta).id, client: meta.client };
			const how = { dryRun, by, now: new Date() };
			return { outcomes: await this.transaction(tx => importUsers(tx, newcomers, how)) };
		},

		async manage({ params: { id, ifMatch, ...change }, meta }) {
			const by = { by: requireUser(meta).id, client: meta.client };
			return this.transaction(tx => manageUser(tx, id, change, by, ifMatch));
		}
	}
});

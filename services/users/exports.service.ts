import { exports } from "../../contracts/exports.ts";
import type { ListKeys, PersonalData } from "../../contracts/personal-data.ts";
import { decodeCursor, encodeCursor } from "../../lib/cursor.ts";
import { commonFailure, failure, isFailure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { HOLDERS, type Holder } from "../../lib/personal-data.ts";
import { implement, type Caller } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { logSecurity } from "./security-log.ts";
import { findUser } from "./users.store.ts";

/** Where each holder's lists go on. A holder that is not named has handed out everything. */
type Places = Partial<Record<Holder, ListKeys | undefined>>;

const listingOf = (userId: string) => ({ list: "exports.mine", filters: [userId] });

/** Throws INVALID_CURSOR for what no document has given; keys are checked by those whose they are. */
function placesOf(userId: string, cursor: string | undefined): Places {
	if (cursor === undefined) return Object.fromEntries(HOLDERS.map(holder => [holder, undefined]));
	const places = decodeCursor(listingOf(userId), cursor);
	const isPlaces =
		typeof places === "object" &&
		places !== null &&
		Object.keys(places).every(name => (HOLDERS as readonly string[]).includes(name));
	if (!isPlaces) throw failure(exports, "INVALID_CURSOR");
	return places;
}

/** How long a part may take. */
const PATIENCE_MS = 5_000;

/** Asks all of them at once. Throws INVALID_CURSOR, and EXPORT_INCOMPLETE where one does not answer. */
async function gather(
	caller: Caller,
	userId: string,
	places: Places
): Promise<(readonly [Holder, PersonalData])[]> {
	const ask = async (holder: Holder) => {
		const after = places[holder];
		const params = { userId, ...(after ? { after } : {}) };
		return [
			holder,
			await caller.call(`${holder}-data.export`, params, { timeout: PATIENCE_MS })
		] as const;
	};
	return Promise.all((Object.keys(places) as Holder[]).map(ask)).catch((error: unknown) => {
		const isForged = isFailure(error, "VALIDATION_ERROR");
		throw failure(exports, isForged ? "INVALID_CURSOR" : "EXPORT_INCOMPLETE");
	});
}

export default implement(exports)({
	mixins: [events("users")],
	actions: {
		async mine(ctx) {
			const { id: userId, sessionId } = requireUser(ctx.meta);
			const user = await findUser(this.db, userId);
			if (!user) throw commonFailure("UNAUTHENTICATED");
			const parts = await gather(ctx, userId, placesOf(userId, ctx.params.cursor));
			const { client } = ctx.meta;
			await this.db.transaction(tx =>
				logSecurity(tx, { type: "data-exported", userId, client, sessionId })
			);
			const more = parts.filter(([, { next }]) => next !== null);
			const rest = Object.fromEntries(more.map(([holder, { next }]) => [holder, next]));
			return {
				exportedAt: new Date().toISOString(),
				user,
				parts: Object.fromEntries(parts.map(([holder, { data }]) => [holder, data])),
				nextCursor: more.length > 0 ? encodeCursor(listingOf(userId), rest) : null
			};
		}
	}
});

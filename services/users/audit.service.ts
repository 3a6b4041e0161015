import { audit } from "../../contracts/audit.ts";
import { decodeCursor, encodeCursor, type Listing } from "../../lib/cursor.ts";
import { failure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import {
	readEntriesOf,
	readHead,
	toAuditEntry,
	toSecurityEvent,
	verifyChain
} from "./security-log.ts";

/** Throws INVALID_CURSOR for what no page of this list gave. */
function positionOf(listing: Listing, cursor: string): number {
	const position = decodeCursor(listing, cursor);
	if (!Number.isSafeInteger(position)) throw failure(audit, "INVALID_CURSOR");
	return position as number;
}

export default implement(audit)({
	mixins: [events("users")],
	actions: {
		async mine({ params: { cursor, limit = 20 }, meta }) {
			const { id } = requireUser(meta);
			const listing = { list: "audit.mine", filters: [id] };
			const before = cursor === undefined ? undefined : positionOf(listing, cursor);
			const found = await readEntriesOf(this.db, id, before, limit + 1);
			const page = found.slice(0, limit);
			return {
				items: page.map(toSecurityEvent),
				nextCursor: found.length > limit ? encodeCursor(listing, page.at(-1)!.position) : null
			};
		},

		async verify({ params: { head } }) {
			return verifyChain(this.db, head);
		},

		async head() {
			return readHead(this.db);
		},

		async list({ params: { userId, cursor, limit = 20 } }) {
			const listing = { list: "audit.list", filters: [userId] };
			const before = cursor === undefined ? undefined : positionOf(listing, cursor);
			const found = await readEntriesOf(this.db, userId, before, limit + 1);
			const page = found.slice(0, limit);
			return {
				items: page.map(toAuditEntry),
				nextCursor: found.length > limit ? encodeCursor(listing, page.at(-1)!.position) : null
			};
		}
	}
});

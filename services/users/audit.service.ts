import { audit } from "../../contracts/audit.ts";
import { keyBehind, pageOf } from "../../lib/cursor.ts";
import type { Queries } from "../../lib/database.ts";
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

const isPosition = (key: unknown): key is number => Number.isSafeInteger(key);

/** A page of a user's entries, the newest first. Throws INVALID_CURSOR. */
async function pageOfEntries(
	db: Queries,
	list: string,
	userId: string | undefined,
	{ cursor, limit = 20 }: { readonly cursor?: string; readonly limit?: number }
) {
	const listing = { list, filters: [userId] };
	const before = keyBehind(audit, listing, cursor, isPosition);
	const found = await readEntriesOf(db, userId, before, limit + 1);
	return pageOf(listing, found, limit, ({ position }) => position);
}

export default implement(audit)({
	mixins: [events("users")],
	actions: {
		async mine({ params, meta }) {
			const page = await pageOfEntries(this.db, "audit.mine", requireUser(meta).id, params);
			return { ...page, items: page.items.map(toSecurityEvent) };
		},

		async verify({ params: { head } }) {
			return verifyChain(this.db, head);
		},

		async head() {
			return readHead(this.db);
		},

		async list({ params }) {
			const page = await pageOfEntries(this.db, "audit.list", params.userId, params);
			return { ...page, items: page.items.map(toAuditEntry) };
		}
	}
});

import { notificationsData } from "../../contracts/personal-data.ts";
import type { Database } from "../../lib/database.ts";
import { pageOfLists, tellErased, type DataList } from "../../lib/personal-data.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { eraseUser, insertErasure, listMessages } from "./erasures.store.ts";
import { findRecipient, requireRecipient } from "./recipients.store.ts";

const listsOf = (db: Database, userId: string): Record<string, DataList> => ({
	messages: {
		read: async (after, limit) =>
			(await listMessages(db, userId, after, limit)).map(({ createdAt, sentAt, ...message }) => ({
				key: message.id,
				item: {
					...message,
					createdAt: createdAt.toISOString(),
					sentAt: sentAt?.toISOString() ?? null
				}
			}))
	}
});

export default implement(notificationsData)({
	mixins: [events("notifications", { ordered: false })],
	actions: {
		async export({ params: { userId, after } }) {
			const { data, next } = await pageOfLists(listsOf(this.db, userId), after);
			if (after) return { data, next };
			return {
				data: { ...data, recipient: (await findRecipient(this.db, userId)) ?? null },
				next
			};
		}
	},
	events: {
		// Of the address and of what is still to be sent, the receipt is the last; then they go too.
		async "user.deletion-requested.v1"({ data }, tx) {
			await insertErasure(tx, data.deletionId, await requireRecipient(tx, data.userId));
			const messages = await eraseUser(tx, data.userId);
			const erased = { messages, "mail addresses": 1 };
			tellErased(tx, "notifications-data.erased.v1", data, { erased, kept: [] });
		}
	}
});

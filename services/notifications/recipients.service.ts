import { recipients } from "../../contracts/recipients.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import {
	deleteRecipient,
	deleteRecipients,
	renameRecipient,
	upsertRecipient
} from "./recipients.store.ts";

/** Keeps our own copy of who is who: nobody is asked when a mail is due. */
export default implement(recipients)({
	mixins: [events("notifications", { projection: deleteRecipients })],
	actions: {},
	events: {
		async "user.created.v1"({ data }, tx) {
			await upsertRecipient(tx, data);
		},
		async "user.updated.v1"({ data }, tx) {
			await renameRecipient(tx, data);
		},
		async "user.deleted.v1"({ data: { userId } }, tx) {
			await deleteRecipient(tx, userId);
		}
	}
});

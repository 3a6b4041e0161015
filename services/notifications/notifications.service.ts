import { Errors } from "moleculer";
import { notifications } from "../../contracts/notifications.ts";
import type { Tx } from "../../lib/database.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { jobs, type JobHost, type JobKind, type JobMethods } from "../../mixins/jobs.mixin.ts";
import { createMailer, type Delivery } from "./mailer.ts";
import { compose, type Notice } from "./message.ts";
import { findMessage, insertMessage, settleMessage, type Outcome } from "./notifications.store.ts";
import { findRecipient, type Recipient } from "./recipients.store.ts";

const MAIL_ATTEMPTS = 10;

/** Writes a message to somebody about `refId`, once, and asks for it to be sent. */
async function notify(
	enqueue: JobMethods["enqueue"],
	tx: Tx,
	{ to, refId }: { readonly to: Recipient; readonly refId: string },
	notice: Notice
): Promise<void> {
	const id = await insertMessage(tx, {
		...compose(notice, to),
		kind: notice.kind,
		refId,
		channel: "email",
		userId: to.userId,
		recipient: to.email
	});
	if (id) await enqueue(tx, "mail", id, id);
}

async function recipientOf(tx: Tx, userId: string): Promise<Recipient> {
	const recipient = await findRecipient(tx, userId);
	// Their registration is still under way on another topic.
	if (!recipient)
		throw new Errors.MoleculerRetryableError(`Nobody knows the user ${userId} here yet.`);
	return recipient;
}

/** Writes down what became of a message, and tells of it. */
async function settle(tx: Tx, id: string, outcome: Outcome): Promise<void> {
	const { userId, kind, channel } = await settleMessage(tx, id, outcome);
	const told = { messageId: id, userId, kind, channel };
	// Its only fact: a message is settled once.
	const aggregate = { id, version: 1 };
	if (outcome.status === "sent") tx.record("notification.sent.v1", aggregate, told);
	else tx.record("notification.failed.v1", aggregate, { ...told, reason: outcome.error });
}

function effects({ broker, logger, db }: JobHost) {
	const mailer = createMailer(runtimeOf(broker).config, logger);
	return {
		mail: {
			maxAttempts: MAIL_ATTEMPTS,
			perform: async id => mailer.send((await findMessage(db, id))!),
			complete: (tx, id, delivery) =>
				settle(
					tx,
					id,
					delivery.status === "accepted"
						? { status: "sent" }
						: { status: "failed", error: delivery.reason }
				),
			giveUp: (tx, id, error) => settle(tx, id, { status: "failed", error: String(error) }),
			close: () => mailer.close()
		} satisfies JobKind<string, Delivery>
	};
}

export default implement(notifications)({
	mixins: [
		events("notifications", { ordered: false, batch: true }),
		jobs("notifications", effects)
	],
	actions: {},
	events: {
		// From what the event tells: our copy of it may be made later, by another consumer.
		async "user.created.v1"({ data: to }, tx) {
			await notify(this.enqueue, tx, { to, refId: to.userId }, { kind: "welcome" });
		},
		async "order.confirmed.v1"({ data: { orderId: refId, userId, ...order } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "order-confirmed", ...order });
		},
		async "order.cancelled.v1"({ data: { orderId: refId, userId, ...order } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "order-cancelled", ...order });
		},
		async "order.refund-failed.v1"({ data: { orderId: refId, userId, ...order } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "order-refund-failed", ...order });
		}
	}
});

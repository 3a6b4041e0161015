import type { ServiceBroker } from "moleculer";
import { notifications } from "../../contracts/notifications.ts";
import type { Tx } from "../../lib/database.ts";
import { accountUrl } from "../../lib/config.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { callerOf, implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { jobs, type JobHost, type JobKind, type JobMethods } from "../../mixins/jobs.mixin.ts";
import { deleteMessages, findErasure, forgetAddress } from "./erasures.store.ts";
import { createMailer, type Delivery, type Mailer } from "./mailer.ts";
import { compose, LINKS, withLink, type Notice } from "./message.ts";
import {
	findMessage,
	insertMessage,
	settleMessage,
	type Message,
	type Outcome
} from "./notifications.store.ts";
import { requireRecipient, type Recipient } from "./recipients.store.ts";

const MAIL_ATTEMPTS = 10;

/** Writes a message to somebody about `refId`, once, and asks for it to be sent; not to who is forgotten. */
async function notify(
	enqueue: JobMethods["enqueue"],
	tx: Tx,
	{
		to,
		refId,
		tokenId = null
	}: {
		readonly to: Recipient | undefined;
		readonly refId: string;
		readonly tokenId?: string | null;
	},
	notice: Notice
): Promise<void> {
	// What an event tells of somebody may come late as well.
	if (!to || (await findErasure(tx, to.userId))?.to === null) return;
	const id = await insertMessage(tx, {
		...compose(notice, to),
		kind: notice.kind,
		refId,
		channel: "email",
		userId: to.userId,
		recipient: to.email,
		tokenId
	});
	if (id) await enqueue(tx, "mail", id, id);
}

/** Whom a message is for; undefined for who is forgotten. */
async function recipientOf(tx: Tx, userId: string): Promise<Recipient | undefined> {
	const erasure = await findErasure(tx, userId);
	return erasure ? (erasure.to ?? undefined) : requireRecipient(tx, userId);
}

/** Writes down what became of a message, and tells of it. */
async function settle(tx: Tx, id: string, outcome: Outcome): Promise<void> {
	const { userId, kind, channel } = await settleMessage(tx, id, outcome);
	const told = { messageId: id, userId, kind, channel };
	const isForgotten = (await findErasure(tx, userId)) !== undefined;
	// Its only fact: a message is settled once.
	const aggregate = { id, version: 1 };
	if (outcome.status === "sent") tx.record("notification.sent.v1", aggregate, told);
	else {
		// A mail server may name the address.
		const reason = isForgotten ? "the account is deleted" : outcome.error;
		tx.record("notification.failed.v1", aggregate, { ...told, reason });
	}
	// All that are settled: one may have been so at the very moment when the others were erased.
	if (isForgotten) await deleteMessages(tx, userId);
}

const EXPIRED: Delivery = {
	status: "rejected",
	reason: "its link did not work any more when it could be sent"
};

/** Sends a message; what its link proves is asked for now, so that nothing but the mail ever holds it. */
async function send(mailer: Mailer, message: Message, broker: ServiceBroker): Promise<Delivery> {
	const { tokenId, kind } = message;
	if (tokenId === null) return mailer.send(message);
	const token = await callerOf(broker).call("emails.token", { tokenId });
	if (token === null) return EXPIRED;
	const { config } = runtimeOf(broker);
	// Behind the #, where no server and no log sees it.
	return mailer.send(withLink(message, `${accountUrl(config)}/${LINKS[kind]}#token=${token}`));
}

function effects({ broker, logger, db }: JobHost) {
	const mailer = createMailer(runtimeOf(broker).config, logger);
	return {
		mail: {
			maxAttempts: MAIL_ATTEMPTS,
			perform: async id => send(mailer, (await findMessage(db, id))!, broker),
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
			// Whoever was somebody's customer for years is not welcomed.
			if (to.imported) return;
			await notify(this.enqueue, tx, { to, refId: to.userId }, { kind: "welcome" });
		},
		async "user.email-verification-requested.v1"({ data: { tokenId, ...to } }, tx) {
			await notify(this.enqueue, tx, { to, refId: tokenId, tokenId }, { kind: "verify-email" });
		},
		async "user.password-reset-requested.v1"({ data: { tokenId, ...to } }, tx) {
			await notify(this.enqueue, tx, { to, refId: tokenId, tokenId }, { kind: "reset-password" });
		},
		async "user.password-changed.v1"({ id: refId, data: { userId, by } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "password-changed", by });
		},
		async "user.passkey-added.v1"({ id: refId, data: { userId } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "passkey-added" });
		},
		async "user.passkey-removed.v1"({ id: refId, data: { userId } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "passkey-removed" });
		},
		async "user.two-factor-enabled.v1"({ id: refId, data: { userId } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "two-factor-enabled" });
		},
		async "user.two-factor-disabled.v1"({ id: refId, data: { userId } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "two-factor-disabled" });
		},
		async "user.identity-linked.v1"({ id: refId, data: { userId, provider } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "identity-linked", provider });
		},
		async "user.identity-unlinked.v1"({ id: refId, data: { userId, provider } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "identity-unlinked", provider });
		},
		async "user.recovery-code-used.v1"({ id: refId, data: { userId, left } }, tx) {
			const to = await recipientOf(tx, userId);
			await notify(this.enqueue, tx, { to, refId }, { kind: "recovery-code-used", left });
		},
		async "user.deleted.v1"({ data: { userId, deletionId, receipt } }, tx) {
			const to = (await findErasure(tx, userId))?.to ?? undefined;
			const notice = { kind: "account-deleted", deletionId, receipt } as const;
			await notify(this.enqueue, tx, { to, refId: deletionId }, notice);
			await forgetAddress(tx, userId);
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

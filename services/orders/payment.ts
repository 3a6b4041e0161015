/** The life of a payment. Pure. */

export type PaymentStatus =
	| "requested"
	/** Cancelled while the provider's answer is still out. */
	| "cancelling"
	| "captured"
	| "declined"
	| "voided"
	| "refunding"
	| "refunded"
	| "refund_failed";

export type PaymentSignal =
	"requested" | "captured" | "declined" | "cancelled" | "refunded" | "refund-failed";

/** What happened: the next state, the fact to tell, the effect to ask the provider for. */
export interface PaymentStep {
	readonly status: PaymentStatus;
	readonly fact?:
		| "payment.processed.v1"
		| "payment.failed.v1"
		| "payment.voided.v1"
		| "payment.refunded.v1"
		| "payment.refund-failed.v1";
	readonly effect?: "charge" | "refund";
}

/**
 * The step that the signal makes; undefined where it changes nothing. `absent` is the payment
 * nobody has asked for yet: a cancellation that arrives first leaves `voided` behind, and the
 * request that comes after it is not carried out.
 */
export function advancePayment(
	status: PaymentStatus | "absent",
	signal: PaymentSignal
): PaymentStep | undefined {
	switch (status) {
		case "absent":
			if (signal === "requested") return { status: "requested", effect: "charge" };
			if (signal === "cancelled") return { status: "voided", fact: "payment.voided.v1" };
			return undefined;
		case "requested":
			if (signal === "captured") return { status: "captured", fact: "payment.processed.v1" };
			if (signal === "declined") return { status: "declined", fact: "payment.failed.v1" };
			if (signal === "cancelled") return { status: "cancelling" };
			return undefined;
		case "cancelling":
			if (signal === "captured") return { status: "refunding", effect: "refund" };
			if (signal === "declined") return { status: "voided", fact: "payment.voided.v1" };
			return undefined;
		case "captured":
			return signal === "cancelled" ? { status: "refunding", effect: "refund" } : undefined;
		case "declined":
			return signal === "cancelled" ? { status: "voided", fact: "payment.voided.v1" } : undefined;
		case "refunding":
			if (signal === "refunded") return { status: "refunded", fact: "payment.refunded.v1" };
			if (signal === "refund-failed")
				return { status: "refund_failed", fact: "payment.refund-failed.v1" };
			return undefined;
		case "voided":
		case "refunded":
		case "refund_failed":
			return undefined;
	}
}

import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Money } from "./common.ts";

/** The tokens of the built-in `sandbox` provider, each with a behaviour of its own. */
export const PaymentMethod = Type.Enum(
	["tok_ok", "tok_declined", "tok_timeout", "tok_error", "tok_slow"],
	{
		description:
			"`tok_ok` pays, `tok_declined` is refused, `tok_timeout` charges but answers late, `tok_error` fails once and then works, `tok_slow` takes three seconds"
	}
);
export type PaymentMethod = Static<typeof PaymentMethod>;

export const payments = contract({
	name: "payments",
	failures: {},
	actions: {},
	events: {
		// The request is an aggregate of its own (its id is the order's), so that the payment's
		// versions are counted by payments alone.
		"payment.requested.v1": {
			summary: "An order waits to be paid",
			data: Type.Object({ orderId: Id, amount: Money, method: PaymentMethod })
		},
		"payment.processed.v1": {
			summary: "The money was taken",
			data: Type.Object({ orderId: Id, paymentId: Id, amount: Money })
		},
		"payment.failed.v1": {
			summary: "The provider definitely declined",
			data: Type.Object({ orderId: Id, paymentId: Id, code: Type.String() })
		},
		"payment.voided.v1": {
			summary: "No money was taken and none will be",
			data: Type.Object({ orderId: Id, paymentId: Id })
		},
		"payment.refunded.v1": {
			summary: "All that was taken is given back",
			data: Type.Object({ orderId: Id, paymentId: Id, amount: Money })
		},
		"payment.refund-failed.v1": {
			summary: "The money could not be given back; a human has to",
			data: Type.Object({ orderId: Id, paymentId: Id, code: Type.String() })
		}
	}
});

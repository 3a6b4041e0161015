import fc from "fast-check";
import assert from "node:assert/strict";
import {
	advancePayment,
	type PaymentSignal,
	type PaymentStatus,
	type PaymentStep
} from "./payment.ts";

type State = PaymentStatus | "absent";
const SIGNALS: readonly PaymentSignal[] = [
	"requested",
	"captured",
	"declined",
	"cancelled",
	"refunded",
	"refund-failed"
];

/** Every edge there is. What does not stand here is a no-op. */
const EDGES: Record<State, Partial<Record<PaymentSignal, PaymentStep>>> = {
	absent: {
		requested: { status: "requested", effect: "charge" },
		cancelled: { status: "voided", fact: "payment.voided.v1" }
	},
	requested: {
		captured: { status: "captured", fact: "payment.processed.v1" },
		declined: { status: "declined", fact: "payment.failed.v1" },
		cancelled: { status: "cancelling" }
	},
	cancelling: {
		captured: { status: "refunding", effect: "refund" },
		declined: { status: "voided", fact: "payment.voided.v1" }
	},
	captured: { cancelled: { status: "refunding", effect: "refund" } },
	declined: { cancelled: { status: "voided", fact: "payment.voided.v1" } },
	refunding: {
		refunded: { status: "refunded", fact: "payment.refunded.v1" },
		"refund-failed": { status: "refund_failed", fact: "payment.refund-failed.v1" }
	},
	voided: {},
	refunded: {},
	refund_failed: {}
};

describe("the life of a payment", () => {
	const cases = (Object.keys(EDGES) as State[]).flatMap(status =>
		SIGNALS.map(signal => ({ status, signal, step: EDGES[status][signal] }))
	);
	it.each(cases)("$status + $signal → $step", ({ status, signal, step }) => {
		expect(advancePayment(status, signal)).toEqual(step);
	});

	it("charges at most once, refunds only what was charged, and tells one end", () => {
		fc.assert(
			fc.property(fc.array(fc.constantFrom(...SIGNALS), { maxLength: 30 }), signals => {
				let status: State = "absent";
				let captured = false;
				const steps: PaymentStep[] = [];
				for (const signal of signals) {
					const step = advancePayment(status, signal);
					if (!step) continue;
					captured ||= signal === "captured";
					if (step.effect === "refund") assert.ok(captured);
					status = step.status;
					steps.push(step);
				}
				const count = (match: (step: PaymentStep) => boolean) => steps.filter(match).length;
				assert.ok(count(({ effect }) => effect === "charge") <= 1);
				assert.ok(count(({ effect }) => effect === "refund") <= 1);
				assert.ok(count(({ fact }) => /voided|refunded|refund-failed/.test(fact ?? "")) <= 1);
			}),
			{ numRuns: 5_000 }
		);
	});
});

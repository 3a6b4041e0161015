import type { Order } from "../../contracts/orders.ts";
import type { Outcome } from "./journey.ts";
import { isOdd, percentiles, summarize, tellStory, tellSummary } from "./report.ts";

const outcome = (
	status: Order["status"],
	over: Partial<Outcome> & { reason?: Order["reason"] } = {}
): Outcome => {
	const { reason, ...rest } = over;
	const order = {
		number: "V-1",
		status,
		createdAt: "2030-01-01T00:00:00.000Z",
		updatedAt: "2030-01-01T00:00:00.250Z",
		...(reason ? { reason } : {})
	} as Order;
	return { index: 0, method: "tok_ok", order, seenMs: 300, ...rest };
};
const declined = outcome("cancelled", { method: "tok_declined", reason: "PAYMENT_FAILED" });
const during = { seconds: 1, repeatedRequests: 2 };

it("counts how the orders ended", () => {
	const summary = summarize([outcome("confirmed"), outcome("confirmed"), declined], during);
	expect(summary).toEqual({
		ok: true,
		orders: 3,
		confirmed: 2,
		cancelled: { PAYMENT_FAILED: 1 },
		open: 0,
		failed: 0,
		repeatedRequests: 2,
		seconds: 1,
		seenConfirmedMs: { p50: 300, p95: 300 },
		confirmedMs: { p50: 250, p95: 250 }
	});
	expect(tellSummary(summary)).toMatch(/cancelled +1 {2}\(1 PAYMENT_FAILED\)/);
});

it.each<[string, Outcome]>([
	["an order that is still open", outcome("paid")],
	["an order whose refund failed", outcome("refund_failed", { reason: "CUSTOMER" })],
	["an order that was never placed", { index: 0, method: "tok_ok", problem: "refused" }],
	["an order that was lost sight of", outcome("confirmed", { problem: "no answer" })]
])("is not content with %s", (_, bad) => {
	expect(summarize([outcome("confirmed"), bad], during).ok).toBe(false);
	expect(isOdd(bad)).toBe(true);
});

it("finds odd what its payment method does not explain", () => {
	expect(isOdd(outcome("confirmed"))).toBe(false);
	expect(isOdd(declined)).toBe(false);
	expect(isOdd(outcome("cancelled", { reason: "OUT_OF_STOCK" }))).toBe(true);
	expect(isOdd(outcome("confirmed", { method: "tok_declined" }))).toBe(true);
});

it("takes percentiles by the nearest rank", () => {
	expect(percentiles([])).toEqual({ p50: null, p95: null });
	expect(percentiles([7])).toEqual({ p50: 7, p95: 7 });
	expect(percentiles(Array.from({ length: 100 }, (_, at) => 100 - at))).toEqual({
		p50: 50,
		p95: 95
	});
});

it("tells a story with times since the checkout", () => {
	const story = {
		items: [
			{ at: "2030-01-01T00:00:00.000Z", step: "order.created", status: "placed", by: "customer" },
			{
				at: "2030-01-01T00:00:00.080Z",
				step: "payment-failed",
				status: "placed",
				by: "payments",
				detail: "card_declined"
			}
		],
		remaining: [{ step: "order.cancelled" }]
	} satisfies Outcome["story"];
	expect(tellStory(outcome("cancelling", { story, reason: "PAYMENT_FAILED" }))).toBe(
		`V-1 cancelling (PAYMENT_FAILED), with tok_ok
      +0 ms  order.created          customer
     +80 ms  payment-failed         payments: card_declined
             … order.cancelled`
	);
	expect(tellStory({ index: 4, method: "tok_ok", problem: "No product is in stock." })).toBe(
		"order 5 was not placed\n  ! No product is in stock."
	);
});

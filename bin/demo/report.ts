/** What the demo tells of its orders. Pure. */
import { isClosed, type Outcome } from "./journey.ts";

/** Half and 95 % of the orders took no longer; null where there were none. */
export interface Percentiles {
	readonly p50: number | null;
	readonly p95: number | null;
}

export interface Summary {
	readonly ok: boolean;
	readonly orders: number;
	readonly confirmed: number;
	/** By reason. */
	readonly cancelled: Readonly<Record<string, number>>;
	/** Placed, but neither confirmed nor cancelled. */
	readonly open: number;
	/** Something went wrong for good, before the order was placed or after it. */
	readonly failed: number;
	readonly repeatedRequests: number;
	readonly seconds: number;
	/** From sending the checkout to seeing the confirmation, as the customer did. */
	readonly seenConfirmedMs: Percentiles;
	/** From the order's creation to its confirmation, by its own times. */
	readonly confirmedMs: Percentiles;
}

/** Whether an order did not end as its payment method makes expect. */
export const isOdd = ({ method, order, problem }: Outcome): boolean =>
	problem !== undefined ||
	!order ||
	(method === "tok_declined"
		? order.status !== "cancelled" || order.reason !== "PAYMENT_FAILED"
		: order.status !== "confirmed");

export function summarize(
	outcomes: readonly Outcome[],
	{ seconds, repeatedRequests }: Pick<Summary, "seconds" | "repeatedRequests">
): Summary {
	const confirmed = outcomes.filter(({ order }) => order?.status === "confirmed");
	const cancelled: Record<string, number> = {};
	for (const { order } of outcomes)
		if (order?.status === "cancelled") {
			const reason = order.reason ?? "unknown";
			cancelled[reason] = (cancelled[reason] ?? 0) + 1;
		}
	const open = outcomes.filter(({ order }) => order && !isClosed(order)).length;
	const failed = outcomes.filter(({ problem }) => problem !== undefined).length;
	return {
		ok: open === 0 && failed === 0,
		orders: outcomes.length,
		confirmed: confirmed.length,
		cancelled,
		open,
		failed,
		repeatedRequests,
		seconds,
		seenConfirmedMs: percentiles(confirmed.flatMap(({ seenMs }) => seenMs ?? [])),
		confirmedMs: percentiles(
			confirmed.map(({ order }) => Date.parse(order!.updatedAt) - Date.parse(order!.createdAt))
		)
	};
}

/** By the nearest rank. */
export function percentiles(values: readonly number[]): Percentiles {
	const sorted = values.toSorted((a, b) => a - b);
	const at = (share: number) => {
		const value = sorted[Math.ceil(sorted.length * share) - 1];
		return value === undefined ? null : Math.round(value);
	};
	return { p50: at(0.5), p95: at(0.95) };
}

/** An order's story: a headline, and a line for each step with the time since the checkout. */
export function tellStory({ index, method, order, story, problem }: Outcome): string {
	const head = order
		? `${order.number} ${order.status}${order.reason ? ` (${order.reason})` : ""}, with ${method}`
		: `order ${index + 1} was not placed`;
	const began = Date.parse(story?.items[0]?.at ?? "");
	const steps = (story?.items ?? []).map(({ at, step, by, detail }) => {
		const ms = `+${Date.parse(at) - began} ms`;
		return `  ${ms.padStart(9)}  ${step.padEnd(22)} ${by}${detail ? `: ${detail}` : ""}`;
	});
	const remaining = (story?.remaining ?? []).map(({ step }) => `             … ${step}`);
	return [head, ...steps, ...remaining, ...(problem ? [`  ! ${problem}`] : [])].join("\n");
}

export function tellSummary(summary: Summary): string {
	const { orders, confirmed, cancelled, open, failed, repeatedRequests, seconds } = summary;
	const reasons = Object.entries(cancelled).map(([reason, count]) => `${count} ${reason}`);
	const cancelledCount = Object.values(cancelled).reduce((sum, count) => sum + count, 0);
	const ms = ({ p50, p95 }: Percentiles) => (p50 === null ? "–" : `p50 ${p50} ms, p95 ${p95} ms`);
	return [
		`${orders} orders in ${seconds.toFixed(1)} s`,
		`  confirmed          ${confirmed}`,
		`  cancelled          ${cancelledCount}${reasons.length > 0 ? `  (${reasons.join(", ")})` : ""}`,
		`  still open         ${open}`,
		`  failed             ${failed}`,
		`  repeated requests  ${repeatedRequests}`,
		`  checkout to confirmed, as seen by the customer  ${ms(summary.seenConfirmedMs)}`,
		`                         by the order's own times  ${ms(summary.confirmedMs)}`
	].join("\n");
}

/** The stock of one product: what moves it, who may take away how much, and what is told of it. */
import type { Events } from "../../contracts/index.ts";
import { inventory, type AdjustmentReason } from "../../contracts/inventory.ts";
import { failure } from "../../lib/failure.ts";

/** `version` counts the movements, `told` the facts about it; `low` is that the last of them told so. */
export interface Stock {
	readonly productId: string;
	readonly onHand: number;
	readonly reserved: number;
	readonly sold: number;
	readonly version: number;
	readonly told: number;
	/** It was told to be low, and there was never more than the threshold since. */
	readonly low: boolean;
}

interface Deltas {
	readonly productId: string;
	readonly onHand: number;
	readonly reserved: number;
	readonly sold: number;
}

/** What an order moves. */
export interface OrderMovement extends Deltas {
	readonly kind: "reserve" | "commit" | "release" | "expire";
	readonly reason: string;
}

/** What somebody moves. */
export interface Adjustment extends Deltas {
	readonly kind: "adjust";
	readonly reason: AdjustmentReason;
	readonly note?: string;
	readonly by: string;
}

/** What moves in the stock of one product, as the ledger keeps it. */
export type Movement = OrderMovement | Adjustment;

type StockFact = Extract<keyof Events, `stock.${string}`>;
type Told = { [K in StockFact]: { readonly type: K; readonly data: Events[K] } }[StockFact];

export const availableOf = ({ onHand, reserved }: Pick<Stock, "onHand" | "reserved">): number =>
	onHand - reserved;

/**
 * What a movement makes of the stock, and what is told of that. It is low once something that is taken
 * leaves no more than `threshold` to be bought; what comes in tells nothing, however little it is.
 */
export function moved(
	before: Stock,
	movement: Movement,
	threshold: number
): { readonly stock: Stock; readonly facts: readonly Told[] } {
	const { productId } = before;
	const onHand = before.onHand + movement.onHand;
	const reserved = before.reserved + movement.reserved;
	const available = availableOf({ onHand, reserved });
	const low = available <= threshold && (before.low || available < availableOf(before));
	const facts: Told[] = [];
	if (movement.kind === "adjust") {
		const { onHand: delta, reason, by } = movement;
		const data = { productId, delta, reason, onHand, available, by };
		facts.push({ type: "stock.adjusted.v1", data });
	}
	if (low && !before.low)
		facts.push({ type: "stock.low.v1", data: { productId, available, threshold } });
	const sold = before.sold + movement.sold;
	const version = before.version + 1;
	return {
		stock: { productId, onHand, reserved, sold, version, told: before.told + facts.length, low },
		facts
	};
}

/** The sign of what a reason may move; 0 where it is either. */
const SIGNS: Record<AdjustmentReason, -1 | 0 | 1> = {
	received: 1,
	found: 1,
	returned: 1,
	damaged: -1,
	lost: -1,
	correction: 0
};

/** As many as the database takes. */
const MOST_ON_HAND = 1_000_000_000;

/**
 * Adds units or takes them away. Throws VALIDATION_ERROR for 0 and for what contradicts its reason,
 * INSUFFICIENT_STOCK where that would take what orders hold, TOO_MUCH_STOCK.
 */
export function adjust(
	stock: Stock,
	{ delta, reason, note }: { delta: number; reason: AdjustmentReason; note?: string },
	by: string
): Adjustment {
	const problem = problemOf(delta, reason);
	if (problem)
		throw failure(inventory, "VALIDATION_ERROR", { errors: [{ field: "delta", ...problem }] });
	const free = availableOf(stock);
	if (delta < -free)
		throw failure(inventory, "INSUFFICIENT_STOCK", {
			detail: `Only ${free} of ${stock.onHand} units are free: orders hold ${stock.reserved}.`
		});
	if (stock.onHand + delta > MOST_ON_HAND) throw failure(inventory, "TOO_MUCH_STOCK");
	return {
		kind: "adjust",
		productId: stock.productId,
		onHand: delta,
		reserved: 0,
		sold: 0,
		reason,
		...(note === undefined ? {} : { note }),
		by
	};
}

function problemOf(delta: number, reason: AdjustmentReason) {
	if (delta === 0) return { code: "not", message: "must not be 0" };
	const sign = SIGNS[reason];
	if (sign === 0 || Math.sign(delta) === sign) return undefined;
	const message = `must be ${sign > 0 ? "above" : "below"} 0 for what is ${reason}`;
	return { code: "sign", message };
}

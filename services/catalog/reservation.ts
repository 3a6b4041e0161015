/** The hold of one order on stock: what may become of it, what that moves and what it tells. */
import type { Events } from "../../contracts/index.ts";
import { availableOf, type OrderMovement, type Stock } from "./stock.ts";

export interface Line {
	readonly productId: string;
	readonly quantity: number;
}

/** `version` counts the facts told about the reservation; 0 where there is none yet. */
export type Reservation = { readonly orderId: string; readonly version: number } & (
	| { readonly status: "none" }
	| { readonly status: "active"; readonly lines: readonly Line[]; readonly until: string }
	| { readonly status: "committed" | "released" | "expired" | "rejected" }
	/** Released before it was asked for: it shall never hold anything. */
	| { readonly status: "tombstone" }
);
export type ActiveReservation = Extract<Reservation, { status: "active" }>;

type InventoryFact = Extract<keyof Events, `inventory.${string}`>;
type Told = { [K in InventoryFact]: { readonly type: K; readonly data: Events[K] } }[InventoryFact];

export interface Change {
	readonly outcome: "change";
	readonly reservation: Reservation;
	readonly movements: readonly OrderMovement[];
	readonly fact: Told;
}
export type Decision =
	| Change
	/** It was done already, or needs no doing. */
	| { readonly outcome: "nothing" }
	/** It cannot be done any more; a person has to look. */
	| { readonly outcome: "conflict"; readonly why: string };

const NO_STOCK = { onHand: 0, reserved: 0 };
const NOTHING: Decision = { outcome: "nothing" };

/** The signs of what one unit moves. */
const EFFECTS = {
	reserve: { onHand: 0, reserved: 1, sold: 0, reason: "order placed" },
	commit: { onHand: -1, reserved: -1, sold: 1, reason: "order paid" },
	release: { onHand: 0, reserved: -1, sold: 0, reason: "order cancelled" },
	expire: { onHand: 0, reserved: -1, sold: 0, reason: "lease ran out" }
} as const;

const move = (kind: OrderMovement["kind"], lines: readonly Line[]): OrderMovement[] => {
	const { onHand, reserved, sold, reason } = EFFECTS[kind];
	return lines.map(({ productId, quantity }) => ({
		productId,
		kind,
		onHand: onHand * quantity,
		reserved: reserved * quantity,
		sold: sold * quantity,
		reason
	}));
};

/** One line for each product, in the order of their ids. */
export function sumByProduct(items: readonly Line[]): Line[] {
	const sums = new Map<string, number>();
	for (const { productId, quantity } of items)
		sums.set(productId, (sums.get(productId) ?? 0) + quantity);
	return [...sums]
		.map(([productId, quantity]) => ({ productId, quantity }))
		.sort((a, b) => (a.productId < b.productId ? -1 : 1));
}

const next = ({ orderId, version }: Reservation) => ({ orderId, version: version + 1 });

/** Holds all that was ordered until `until`, or none of it. `stocks` knows only the products that ever came in. */
export function reserve(
	reservation: Reservation,
	items: readonly Line[],
	stocks: ReadonlyMap<string, Pick<Stock, "onHand" | "reserved">>,
	until: string
): Decision {
	if (reservation.status !== "none") return NOTHING;
	const { orderId } = reservation;
	const lines = sumByProduct(items);
	const shortages = lines
		.map(({ productId, quantity }) => ({
			productId,
			requested: quantity,
			available: availableOf(stocks.get(productId) ?? NO_STOCK)
		}))
		.filter(line => line.requested > line.available);
	if (shortages.length > 0)
		return {
			outcome: "change",
			reservation: { ...next(reservation), status: "rejected" },
			movements: [],
			fact: { type: "inventory.rejected.v1", data: { orderId, shortages } }
		};
	return {
		outcome: "change",
		reservation: { ...next(reservation), status: "active", lines, until },
		movements: move("reserve", lines),
		fact: { type: "inventory.reserved.v1", data: { orderId, lines, until } }
	};
}

/** Sells what is held. */
export function commit(reservation: Reservation): Decision {
	switch (reservation.status) {
		case "active":
			return {
				outcome: "change",
				reservation: { ...next(reservation), status: "committed" },
				movements: move("commit", reservation.lines),
				fact: { type: "inventory.committed.v1", data: { orderId: reservation.orderId } }
			};
		case "committed":
			return NOTHING;
		case "none":
		case "rejected":
		case "released":
		case "expired":
		case "tombstone":
			return {
				outcome: "conflict",
				why: `The order ${reservation.orderId} is paid, but its reservation is '${reservation.status}'.`
			};
	}
}

/**
 * Gives back what is held, and says so once, also where nothing is held (any more): whoever cancels
 * waits for that answer.
 */
export function release(reservation: Reservation): Decision {
	const { orderId } = reservation;
	const fact: Told = { type: "inventory.released.v1", data: { orderId } };
	switch (reservation.status) {
		case "active":
			return {
				outcome: "change",
				reservation: { ...next(reservation), status: "released" },
				movements: move("release", reservation.lines),
				fact
			};
		case "none":
			return {
				outcome: "change",
				reservation: { ...next(reservation), status: "tombstone" },
				movements: [],
				fact
			};
		case "rejected":
		case "expired":
			return {
				outcome: "change",
				reservation: { ...next(reservation), status: "released" },
				movements: [],
				fact
			};
		case "released":
		case "tombstone":
			return NOTHING;
		case "committed":
			return {
				outcome: "conflict",
				why: `The order ${orderId} is cancelled, but what was held for it is sold.`
			};
	}
}

/** Gives back what is held, because the lease ran out. */
export const expire = (reservation: ActiveReservation): Change => ({
	outcome: "change",
	reservation: { ...next(reservation), status: "expired" },
	movements: move("expire", reservation.lines),
	fact: { type: "inventory.expired.v1", data: { orderId: reservation.orderId } }
});

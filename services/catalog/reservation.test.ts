import { commit, release, reserve, sumByProduct, type Reservation } from "./reservation.ts";

const UNTIL = "2026-01-01T00:20:00.000Z";
const none = (orderId = "o1"): Reservation => ({ orderId, version: 0, status: "none" });
const active: Reservation = {
	orderId: "o1",
	version: 1,
	status: "active",
	until: UNTIL,
	lines: [{ productId: "a", quantity: 2 }]
};
/** Stock of which nothing is held. */
const free = (units: Record<string, number>) =>
	new Map(Object.entries(units).map(([id, onHand]) => [id, { onHand, reserved: 0 }]));
const ended = (
	status: "committed" | "released" | "expired" | "rejected" | "tombstone"
): Reservation => ({
	orderId: "o1",
	version: 1,
	status
});

describe("reserving", () => {
	it("sums the quantities of a product and puts the products in order", () => {
		const items = [
			{ productId: "b", quantity: 1 },
			{ productId: "a", quantity: 2 },
			{ productId: "b", quantity: 3 }
		];
		const lines = [
			{ productId: "a", quantity: 2 },
			{ productId: "b", quantity: 4 }
		];
		expect(sumByProduct(items)).toEqual(lines);
		expect(reserve(none(), items, free({ a: 2, b: 4 }), UNTIL)).toMatchObject({
			reservation: { status: "active", version: 1, lines, until: UNTIL },
			movements: [
				{ productId: "a", kind: "reserve", onHand: 0, reserved: 2, sold: 0 },
				{ productId: "b", kind: "reserve", onHand: 0, reserved: 4, sold: 0 }
			],
			fact: { type: "inventory.reserved.v1", data: { orderId: "o1", lines, until: UNTIL } }
		});
	});

	it("holds nothing where one line is short, and names every shortage", () => {
		const items = [
			{ productId: "a", quantity: 1 },
			{ productId: "b", quantity: 3 },
			{ productId: "unknown", quantity: 1 }
		];
		expect(reserve(none(), items, free({ a: 9, b: 2 }), UNTIL)).toMatchObject({
			reservation: { status: "rejected", version: 1 },
			movements: [],
			fact: {
				type: "inventory.rejected.v1",
				data: {
					shortages: [
						{ productId: "b", requested: 3, available: 2 },
						{ productId: "unknown", requested: 1, available: 0 }
					]
				}
			}
		});
	});

	it.each([
		active,
		...(["committed", "released", "expired", "rejected", "tombstone"] as const).map(ended)
	])("does nothing where the order has a reservation already ($status)", reservation => {
		expect(reserve(reservation, [], new Map(), UNTIL)).toEqual({ outcome: "nothing" });
	});
});

describe("committing", () => {
	it("sells what is held, once", () => {
		expect(commit(active)).toMatchObject({
			reservation: { status: "committed", version: 2 },
			movements: [{ productId: "a", kind: "commit", onHand: -2, reserved: -2, sold: 2 }],
			fact: { type: "inventory.committed.v1" }
		});
		expect(commit(ended("committed"))).toEqual({ outcome: "nothing" });
	});

	it.each([none(), ...(["released", "expired", "rejected", "tombstone"] as const).map(ended)])(
		"is a conflict where nothing is held ($status)",
		reservation => {
			expect(commit(reservation)).toEqual({
				outcome: "conflict",
				why: `The order o1 is paid, but its reservation is '${reservation.status}'.`
			});
		}
	);
});

describe("releasing", () => {
	it("gives back what is held", () => {
		expect(release(active)).toMatchObject({
			reservation: { status: "released", version: 2 },
			movements: [{ productId: "a", kind: "release", onHand: 0, reserved: -2, sold: 0 }],
			fact: { type: "inventory.released.v1" }
		});
	});

	it("leaves a tombstone where there is no reservation yet", () => {
		expect(release(none())).toMatchObject({
			reservation: { status: "tombstone", version: 1 },
			movements: [],
			fact: { type: "inventory.released.v1" }
		});
	});

	it.each(["rejected", "expired"] as const)(
		"answers, but moves nothing, where it is %s",
		status => {
			expect(release(ended(status))).toMatchObject({
				reservation: { status: "released", version: 2 },
				movements: [],
				fact: { type: "inventory.released.v1" }
			});
		}
	);

	it("answers once, and never takes back what is sold", () => {
		expect(release(ended("released"))).toEqual({ outcome: "nothing" });
		expect(release(ended("tombstone"))).toEqual({ outcome: "nothing" });
		expect(release(ended("committed"))).toMatchObject({ outcome: "conflict" });
	});
});

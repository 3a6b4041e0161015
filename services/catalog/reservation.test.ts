import fc from "fast-check";
import {
	commit,
	expire,
	release,
	reserve,
	sumByProduct,
	type Decision,
	type Line,
	type Reservation
} from "./reservation.ts";

const UNTIL = "2026-01-01T00:20:00.000Z";
const none = (orderId = "o1"): Reservation => ({ orderId, version: 0, status: "none" });
const active: Reservation = {
	orderId: "o1",
	version: 1,
	status: "active",
	until: UNTIL,
	lines: [{ productId: "a", quantity: 2 }]
};
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
		expect(
			reserve(
				none(),
				items,
				new Map([
					["a", 2],
					["b", 4]
				]),
				UNTIL
			)
		).toMatchObject({
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
		expect(
			reserve(
				none(),
				items,
				new Map([
					["a", 9],
					["b", 2]
				]),
				UNTIL
			)
		).toMatchObject({
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

describe("any history", () => {
	const PRODUCTS = ["a", "b", "c"];
	const ORDERS = ["o1", "o2", "o3", "o4"];
	const line = fc.record({
		productId: fc.constantFrom(...PRODUCTS),
		quantity: fc.integer({ min: 1, max: 4 })
	});
	const step = fc.record({
		orderId: fc.constantFrom(...ORDERS),
		command: fc.constantFrom("reserve", "commit", "release", "expire"),
		items: fc.array(line, { minLength: 1, maxLength: 4 })
	});

	it("keeps stock, ledger and reservations in step, and counts the facts without a gap", () => {
		fc.assert(
			fc.property(
				fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 3, maxLength: 3 }),
				fc.array(step, { maxLength: 60 }),
				(opening, steps) => {
					const stock = new Map(
						PRODUCTS.map((id, n) => [id, { onHand: opening[n]!, reserved: 0, sold: 0 }])
					);
					const reservations = new Map<string, Reservation>(ORDERS.map(id => [id, none(id)]));
					const sold = new Map<string, readonly Line[]>();
					const releases = new Map<string, number>();

					for (const { orderId, command, items } of steps) {
						const before = reservations.get(orderId)!;
						const available = new Map([...stock].map(([id, s]) => [id, s.onHand - s.reserved]));
						const decision = decide(command, before, items, available);
						if (decision?.outcome !== "change") continue;
						const { reservation, movements, fact } = decision;
						expect(reservation.version).toBe(before.version + 1);
						for (const { productId, onHand, reserved, sold: units } of movements) {
							const s = stock.get(productId)!;
							s.onHand += onHand;
							s.reserved += reserved;
							s.sold += units;
							expect(s.reserved).toBeGreaterThanOrEqual(0);
							expect(s.onHand).toBeGreaterThanOrEqual(s.reserved);
						}
						if (reservation.status === "committed" && before.status === "active")
							sold.set(orderId, before.lines);
						if (fact.type === "inventory.released.v1")
							releases.set(orderId, (releases.get(orderId) ?? 0) + 1);
						reservations.set(orderId, reservation);
					}

					const held = [...reservations.values()].flatMap(r =>
						r.status === "active" ? r.lines : []
					);
					for (const [n, id] of PRODUCTS.entries()) {
						const s = stock.get(id)!;
						expect(s.reserved).toBe(unitsOf(id, held));
						expect(s.sold).toBe(unitsOf(id, [...sold.values()].flat()));
						expect(s.onHand + s.sold).toBe(opening[n]);
					}
					expect([...releases.values()].every(times => times === 1)).toBe(true);
				}
			),
			{ numRuns: 2_000 }
		);
	});

	const decide = (
		command: string,
		reservation: Reservation,
		items: readonly Line[],
		available: ReadonlyMap<string, number>
	): Decision | undefined => {
		if (command === "reserve") return reserve(reservation, items, available, UNTIL);
		if (command === "commit") return commit(reservation);
		if (command === "release") return release(reservation);
		return reservation.status === "active" ? expire(reservation) : undefined;
	};
	const unitsOf = (productId: string, lines: readonly Line[]): number =>
		lines.filter(l => l.productId === productId).reduce((sum, { quantity }) => sum + quantity, 0);
});

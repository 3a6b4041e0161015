import type { AdjustmentReason } from "../../contracts/inventory.ts";
import { adjust, moved, type Movement, type Stock } from "./stock.ts";

const stockOf = (onHand: number, reserved = 0): Stock => ({
	productId: "a",
	onHand,
	reserved,
	sold: 0,
	version: 7,
	told: 2,
	low: false
});
const adjusted = (stock: Stock, delta: number, reason: AdjustmentReason = "correction") =>
	adjust(stock, { delta, reason }, "ada");
const order = (kind: "reserve" | "release", quantity: number): Movement => ({
	productId: "a",
	kind,
	onHand: 0,
	reserved: kind === "reserve" ? quantity : -quantity,
	sold: 0,
	reason: ""
});

describe("adjusting", () => {
	it("moves what is on hand, and bears who did it and why", () => {
		expect(
			adjust(stockOf(5, 2), { delta: -3, reason: "lost", note: "in the move" }, "ada")
		).toEqual({
			kind: "adjust",
			productId: "a",
			onHand: -3,
			reserved: 0,
			sold: 0,
			reason: "lost",
			note: "in the move",
			by: "ada"
		});
	});

	it("never takes away what orders hold, and says how much is free", () => {
		expect(adjusted(stockOf(5, 2), -3)).toMatchObject({ onHand: -3 });
		expect(() => adjusted(stockOf(5, 2), -4)).toThrow(
			expect.objectContaining({
				type: "INSUFFICIENT_STOCK",
				code: 409,
				message: "Only 3 of 5 units are free: orders hold 2."
			})
		);
	});

	it("keeps the stock below what the database takes", () => {
		expect(adjusted(stockOf(999_999_999), 1)).toMatchObject({ onHand: 1 });
		expect(() => adjusted(stockOf(1_000_000_000), 1)).toThrow(
			expect.objectContaining({ type: "TOO_MUCH_STOCK", code: 409 })
		);
	});

	it.each<[AdjustmentReason, more: boolean, fewer: boolean]>([
		["received", true, false],
		["found", true, false],
		["returned", true, false],
		["damaged", false, true],
		["lost", false, true],
		["correction", true, true]
	])("%s: adds %s, takes away %s", (reason, more, fewer) => {
		const refusal = (delta: number) => {
			try {
				adjusted(stockOf(5), delta, reason);
				return undefined;
			} catch (error) {
				return error;
			}
		};
		const refused = expect.objectContaining({
			type: "VALIDATION_ERROR",
			data: { errors: [expect.objectContaining({ field: "delta" })] }
		});
		expect([1, -1, 0].map(refusal)).toEqual([
			more ? undefined : refused,
			fewer ? undefined : refused,
			refused
		]);
	});
});

describe("a movement", () => {
	it("counts itself and what is told of it", () => {
		expect(moved(stockOf(20, 4), adjusted(stockOf(20, 4), 5), 5)).toEqual({
			stock: { ...stockOf(25, 4), version: 8, told: 3 },
			facts: [
				{
					type: "stock.adjusted.v1",
					data: {
						productId: "a",
						delta: 5,
						reason: "correction",
						onHand: 25,
						available: 21,
						by: "ada"
					}
				}
			]
		});
	});

	it("that leaves no more than the threshold is told of once, until there was more again", () => {
		let stock = stockOf(8);
		const told = (movement: Movement) => {
			const { stock: next, facts } = moved(stock, movement, 5);
			stock = next;
			return facts.filter(({ type }) => type === "stock.low.v1").map(({ data }) => data.available);
		};
		expect(told(order("reserve", 2))).toEqual([]);
		expect(told(order("reserve", 1))).toEqual([5]);
		expect(told(order("reserve", 4))).toEqual([]);
		expect(told(order("release", 4))).toEqual([]);
		expect(told(order("reserve", 1))).toEqual([]);
		expect(told(order("release", 2))).toEqual([]);
		expect(told(order("reserve", 1))).toEqual([5]);
		expect(told(adjusted(stock, -5))).toEqual([]);
	});

	it("that brings something in tells nothing, however little it is", () => {
		const { stock, facts } = moved(stockOf(0), adjusted(stockOf(0), 3), 5);
		expect(facts.map(({ type }) => type)).toEqual(["stock.adjusted.v1"]);
		expect(moved(stock, order("reserve", 1), 5).facts).toEqual([
			{ type: "stock.low.v1", data: { productId: "a", available: 2, threshold: 5 } }
		]);
	});
});

import fc from "fast-check";
import { randomUUID } from "node:crypto";
import { priceCart } from "./cart.ts";
import type { CartLine } from "./carts.store.ts";
import { aProduct } from "./orders.fixtures.ts";

const cartOf = (...lines: CartLine[]) => ({
	id: randomUUID(),
	version: 3,
	updatedAt: "2026-01-01T00:00:00.000Z",
	lines
});
const eur = (amount: number) => ({ amount, currency: "EUR" });

describe("a cart", () => {
	it("is empty and costs nothing in the shop's currency", () => {
		const cart = cartOf();
		expect(priceCart(cart, [])).toEqual({
			id: cart.id,
			items: [],
			total: eur(0),
			version: 3,
			updatedAt: cart.updatedAt
		});
	});

	it("shows each line at today's price and adds them up", () => {
		const lamp = aProduct({ price: eur(1_999), sku: "L1", name: "Lamp" });
		const desk = aProduct({ price: eur(10_000) });
		const { items, total } = priceCart(
			cartOf({ productId: lamp.id, quantity: 2 }, { productId: desk.id, quantity: 1 }),
			// In whichever order they were found.
			[desk, lamp]
		);
		expect(items[0]).toEqual({
			productId: lamp.id,
			sku: "L1",
			name: "Lamp",
			quantity: 2,
			unitPrice: eur(1_999),
			lineTotal: eur(3_998),
			available: 10
		});
		expect(items[1]).toMatchObject({ productId: desk.id, lineTotal: eur(10_000) });
		expect(total).toEqual(eur(13_998));
	});

	it("notices what there is not enough of, which still counts", () => {
		const lamp = aProduct({ price: eur(5), available: 2 });
		const { items, total } = priceCart(cartOf({ productId: lamp.id, quantity: 3 }), [lamp]);
		expect(items[0]).toMatchObject({ available: 2, notice: "not_enough", lineTotal: eur(15) });
		expect(total).toEqual(eur(15));
		const enough = priceCart(cartOf({ productId: lamp.id, quantity: 2 }), [lamp]);
		expect(enough.items[0]).not.toHaveProperty("notice");
	});

	it.each([
		["gone", []],
		["archived", [aProduct({ status: "archived", sku: "A1", name: "Old" })]]
	])("keeps a product that is %s visible, and counts nothing for it", (_, products) => {
		const productId = products[0]?.id ?? randomUUID();
		const { items, total } = priceCart(cartOf({ productId, quantity: 3 }), products);
		expect(items).toEqual([
			{
				productId,
				sku: products[0]?.sku ?? "",
				name: products[0]?.name ?? "",
				quantity: 3,
				unitPrice: eur(0),
				lineTotal: eur(0),
				available: 0,
				notice: "not_available"
			}
		]);
		expect(total).toEqual(eur(0));
	});

	it("never adds up different currencies", () => {
		const euros = aProduct({ price: eur(100) });
		const dollars = aProduct({ price: { amount: 100, currency: "USD" } });
		const lines = [
			{ productId: dollars.id, quantity: 1 },
			{ productId: euros.id, quantity: 1 }
		];
		for (const products of [
			[euros, dollars],
			[dollars, euros]
		]) {
			const { items, total } = priceCart(cartOf(...lines), products);
			expect(total).toEqual({ amount: 100, currency: "USD" });
			expect(items.map(({ notice }) => notice)).toEqual([undefined, "not_available"]);
		}
	});

	it("costs exactly the sum of its lines", () => {
		const line = fc.record({
			price: fc.nat(1_000_000),
			quantity: fc.integer({ min: 1, max: 999 }),
			available: fc.nat(1_000),
			status: fc.constantFrom("active" as const, "archived" as const)
		});
		fc.assert(
			fc.property(fc.array(line, { maxLength: 20 }), wanted => {
				const products = wanted.map(({ price, available, status }) =>
					aProduct({ price: eur(price), available, status })
				);
				const { items, total } = priceCart(
					cartOf(
						...wanted.map(({ quantity }, index) => ({ productId: products[index]!.id, quantity }))
					),
					products
				);
				expect(items.map(({ productId }) => productId)).toEqual(products.map(({ id }) => id));
				expect(total.amount).toBe(
					wanted.reduce(
						(sum, { price, quantity, status }) =>
							status === "active" ? sum + price * quantity : sum,
						0
					)
				);
			})
		);
	});
});

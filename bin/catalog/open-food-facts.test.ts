import fc from "fast-check";
import type { ImportedProduct } from "../../contracts/products.ts";
import { Judge, readLine } from "./records.ts";
import { productOf } from "./open-food-facts.ts";

const convert = (cells: Record<string, string>, seed = 1) =>
	productOf(column => cells[column] ?? "", seed);
const oats = {
	code: "0000101209159",
	product_name: " Rolled  oats ",
	generic_name: "Wholegrain",
	brands: "Ada,Bob",
	quantity: "500 g",
	categories_tags: "en:plant-based-foods,en:breakfast-cereals",
	nutriscore_grade: "a",
	nova_group: "1",
	image_url: "https://images.example/oats.jpg"
};

it("maps what the dump says, and makes up a price by the seed", () => {
	const product = convert(oats) as ImportedProduct;
	expect(product).toEqual({
		sku: "OFF-0000101209159",
		name: "Rolled oats",
		description: "Wholegrain",
		price: { amount: expect.any(Number), currency: "EUR" },
		initialStock: expect.any(Number),
		category: "groceries/breakfast-cereals",
		attributes: {
			brand: "Ada",
			quantity: "500 g",
			"nutri-score": "A",
			nova: "1",
			ean: "0000101209159"
		},
		images: [oats.image_url]
	});
	expect(convert(oats)).toEqual(product);
	expect((convert(oats, 2) as ImportedProduct).price).not.toEqual(product.price);
});

it("passes over what has no name or no code", () => {
	expect(convert({ ...oats, product_name: " " })).toBe("nameless");
	expect(convert({ ...oats, code: "x" })).toBe("codeless");
	expect(convert({ code: "1", product_name: "Thing" })).toMatchObject({
		category: "groceries/other-groceries",
		attributes: { ean: "1" },
		images: []
	});
});

it("makes what an import takes of whatever stands in the dump", () => {
	const text = fc.string({ unit: "binary", maxLength: 300 });
	const cells = fc.record({
		code: fc.stringMatching(/^\d{1,60}$/),
		product_name: text,
		generic_name: text,
		brands: text,
		quantity: text,
		categories_tags: fc.oneof(text, fc.constant("en:groceries"), fc.uuid()),
		nutriscore_grade: text,
		image_url: fc.oneof(
			text,
			text.map(path => `https://a.example/${path}`)
		)
	});
	fc.assert(
		fc.property(cells, dump => {
			const product = convert(dump);
			if (typeof product === "string") return;
			const record = { line: 1, text: JSON.stringify(product).replaceAll("\ufffd", "") };
			expect(readLine(record, new Judge())).toEqual({ record, item: JSON.parse(record.text) });
		}),
		{ numRuns: 500 }
	);
});

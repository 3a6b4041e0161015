import fc from "fast-check";
import type { ImportedProduct } from "../../contracts/products.ts";
import { csvLine } from "../import/csv.ts";
import type { Entry } from "../import/import.ts";
import { cellsOf, columnsOf, HEADER, Judge, readLine, readRow } from "./records.ts";

const reading = (header: string) => {
	const judge = new Judge();
	const columns = columnsOf(header.split(","));
	let line = 1;
	return (...cells: string[]) =>
		readRow(columns, { line: ++line, cells, text: cells.join() }, judge);
};
const problems = (entry: Entry<ImportedProduct>): readonly string[] =>
	"problems" in entry ? entry.problems : [];
const item = (entry: Entry<ImportedProduct>) => ("item" in entry ? entry.item : entry.problems);

describe("a row", () => {
	it("tells all that can be told of a product", () => {
		const read = reading(
			" SKU ,name,slug,description,price,currency,category,attributes,attr.brand,images,status,stock"
		);
		const images = "https://a.example/1.jpg https://a.example/2.jpg";
		expect(
			item(
				read(
					"L-1",
					"Lamp",
					"lamp",
					"One\nline",
					"19.9",
					"EUR",
					"home/lamps",
					'{"size":"1 m"}',
					"Ada",
					images,
					"archived",
					"7"
				)
			)
		).toEqual({
			sku: "L-1",
			name: "Lamp",
			slug: "lamp",
			description: "One\nline",
			price: { amount: 1990, currency: "EUR" },
			category: "home/lamps",
			attributes: { size: "1 m", brand: "Ada" },
			images: images.split(" "),
			status: "archived",
			initialStock: 7
		});
		expect(item(read("L-2", "Lamp", "", "", "20", "", "lamps", "", "", "", "", ""))).toEqual({
			sku: "L-2",
			name: "Lamp",
			price: { amount: 2000, currency: "EUR" },
			category: "lamps"
		});
	});

	it.each([
		[
			"sku",
			"no sku",
			"sku must be: 1 to 64 letters, digits, dots, dashes, slashes and underscores"
		],
		["name", "", "name is required"],
		["price", "1,99", "price.amount must be integer"],
		["price", "1.999", "price.amount must be integer"],
		["price", "-1", "price.amount must be integer"],
		["currency", "USD", "price.currency must be equal to one of the allowed values"],
		[
			"category",
			"Home",
			"category must be: slugs with slashes between, at most 8; the last one tells which category it is"
		],
		["attributes", "brass", "attributes must be object"],
		["stock", "many", "initialStock must be integer"],
		["status", "gone", "status must be equal to one of the allowed values"],
		["name", "caf\ufffd", "is not in UTF-8"]
	])("is rejected where its %s is %j", (column, cell, problem) => {
		const good = { sku: "L-1", name: "Lamp", price: "1.99", category: "lamps", [column]: cell };
		expect(problems(reading(Object.keys(good).join(","))(...Object.values(good)))).toEqual([
			problem
		]);
	});

	it("is rejected where an earlier one has its SKU, or the header has more columns", () => {
		const read = reading("sku,name,price,category");
		read("L-1", "Lamp", "1", "lamps");
		expect(problems(read("L-1", "Lamp", "1", "lamps"))).toEqual(["sku is the same as in line 2"]);
		expect(problems(read("L-2", "Lamp", "1"))).toEqual(["has 3 cells, the header 4"]);
	});

	it("gives back the product that was written, as a line of JSON does", () => {
		const text = fc.string({
			unit: fc.constantFrom("a", ",", '"', "=", " ", "\u00e9", "\u2028"),
			minLength: 1
		});
		const product = fc.record(
			{
				sku: fc.constantFrom("A", "b/1", "0_0"),
				name: text,
				price: fc.record({
					amount: fc.integer({ min: 0, max: 1_000_000_000_000 }),
					currency: fc.constant("EUR" as const)
				}),
				category: fc.constantFrom("a", "a/b-c"),
				slug: fc.constant("lamp"),
				description: text.map(line => `${line}\r\n${line}`),
				attributes: fc.dictionary(fc.constantFrom("brand", "max-watt"), text),
				images: fc.array(fc.constant("https://a.example/1.jpg"), { minLength: 1, maxLength: 1 }),
				status: fc.constantFrom("active" as const, "archived" as const),
				initialStock: fc.integer({ min: 0, max: 1_000_000 })
			},
			{ requiredKeys: ["sku", "name", "price", "category"] }
		);
		fc.assert(
			fc.property(product, written => {
				const cells = cellsOf(written).map(String);
				const row = { line: 2, cells, text: csvLine(cells) };
				expect(item(readRow(HEADER, row, new Judge()))).toEqual(written);
				const line = { line: 1, text: JSON.stringify(written) };
				expect(item(readLine(line, new Judge()))).toEqual(written);
			})
		);
	});
});

it("says of a line that it is no JSON, or no product", () => {
	const read = (text: string) => problems(readLine({ line: 1, text }, new Judge()));
	expect(read("{")).toEqual(["is not JSON"]);
	expect(read("7")).toEqual(["is not a JSON object"]);
	expect(
		read('{"sku":"A","name":"A","price":{"amount":1,"currency":"EUR"},"category":"a","x":1}')
	).toEqual(["x is not known"]);
});

describe("the header", () => {
	it.each([
		["sku,name,price,category,colour", /not known: "colour"\. Known are sku, name, .* attr\.NAME/],
		["sku,name,price,category,SKU", /names sku twice/],
		["sku,name", /does not name price and category/]
	])("may not be %j", (header, message) => {
		expect(() => columnsOf(header.split(","))).toThrow(message);
	});
});

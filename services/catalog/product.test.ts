import type { Product } from "../../contracts/products.ts";
import { changed, changesOf, type ProductChange } from "./product.ts";

const lamp: Product = {
	id: "0199c0de-0000-7000-8000-000000000001",
	sku: "LMP-1",
	name: "Lamp",
	slug: "lamp",
	description: "Lights.",
	price: { amount: 1999, currency: "EUR" },
	categoryId: "0199c0de-0000-7000-8000-000000000002",
	attributes: { colour: "black" },
	images: ["https://example.com/lamp.jpg"],
	availability: { inStock: true, available: 7 },
	status: "active",
	version: 3,
	createdAt: "2026-01-01T00:00:00.000Z",
	updatedAt: "2026-01-01T00:00:00.000Z"
};
const archived: Product = { ...lamp, status: "archived" };
const types = (before: Product, change: ProductChange) =>
	changesOf(before, changed(before, change)).map(({ type }) => type);

describe("a change of a product", () => {
	it("leaves what it does not name, and empties what it names as null", () => {
		const { availability, version, createdAt, updatedAt, ...same } = lamp;
		expect(changed(lamp, {})).toEqual(same);
		expect(changed(lamp, { description: null, attributes: null, images: null })).toEqual({
			...same,
			description: "",
			attributes: {},
			images: []
		});
		expect([availability, version, createdAt, updatedAt]).not.toContain(undefined);
	});

	it.each<[string, Product, ProductChange, string[]]>([
		["nothing of what is the same", lamp, { name: "Lamp", attributes: { colour: "black" } }, []],
		["that it is another one", lamp, { images: null }, ["product.updated.v1"]],
		[
			"another price as well",
			lamp,
			{ price: { amount: 1, currency: "EUR" } },
			["product.updated.v1"]
		],
		["that it is archived, and no more", lamp, { status: "archived" }, ["product.archived.v1"]],
		[
			"both where it is archived as another one",
			lamp,
			{ status: "archived", name: "Old lamp" },
			["product.updated.v1", "product.archived.v1"]
		],
		["nothing where it is archived already", archived, { status: "archived" }, []],
		["that it is back", archived, { status: "active" }, ["product.updated.v1"]],
		["what becomes of it while archived", archived, { name: "Old" }, ["product.updated.v1"]]
	])("tells %s", (_, before, change, told) => {
		expect(types(before, change)).toEqual(told);
	});

	it("is told whole, so that a copy can begin with it", () => {
		const { id, availability: _, version: _v, createdAt: _c, updatedAt: _u, ...rest } = lamp;
		expect(changesOf(lamp, changed(lamp, { name: "Other" }))).toEqual([
			{ type: "product.updated.v1", data: { ...rest, productId: id, name: "Other" } }
		]);
	});
});

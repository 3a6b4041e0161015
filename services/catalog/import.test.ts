import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { products, type ImportedProduct } from "../../contracts/products.ts";
import { MAX_DEPTH } from "../../contracts/categories.ts";
import { OPERATOR } from "../../lib/identity.ts";
import { createAjv } from "../../lib/validator.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, wrongStock } from "./catalog.fixtures.ts";
import { missingCategories } from "./import-plan.ts";

let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	await addCategory(db(), "home");
	await addCategory(db(), "home", "lamps");
});
afterAll(() => node.stop());
afterEach(async () => {
	expect(await wrongStock(db())).toEqual([]);
	expect(
		await db().query(
			`SELECT aggregate_type, aggregate_id FROM outbox GROUP BY 1, 2
			HAVING max(aggregate_version) <> count(*) OR min(aggregate_version) <> 1`
		)
	).toEqual([]);
});

const db = () => node.runtime.database("catalog");
const lamp = (over: Partial<ImportedProduct> = {}): ImportedProduct => ({
	sku: randomUUID(),
	name: "Desk lamp",
	price: { amount: 1999, currency: "EUR" },
	category: "home/lamps",
	...over
});
const take = async (wanted: ImportedProduct[], options: object = {}) =>
	(
		await node.call(
			"products.import",
			{ products: wanted, makeCategories: false, dryRun: false, ...options },
			OPERATOR
		)
	).outcomes;
const statuses = async (wanted: ImportedProduct[], options?: object) =>
	(await take(wanted, options)).map(({ status }) => status);
const find = async (sku: string) => {
	const row = await db().one<{ id: string }>("SELECT id FROM product WHERE sku = $1", [sku]);
	return row && node.call("products.get", { idOrSlug: row.id });
};
const facts = (id: string) =>
	db().query<{ type: string; version: number; data: unknown }>(
		`SELECT type, aggregate_version AS version, payload AS data FROM outbox
		WHERE aggregate_id = $1 ORDER BY id`,
		[id]
	);
const written = async () =>
	(await db().one<{ n: number }>(
		`SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM stock_movement) +
			(SELECT sum(version) FROM product) + (SELECT count(*) FROM price_history)
			+ (SELECT count(*) FROM category) AS n`
	))!.n;

it("adds products with price, stock, receipt and fact, and changes nothing when it is repeated", async () => {
	const given = lamp({
		description: "One\nline.",
		attributes: { colour: "brass" },
		images: ["https://example.com/lamp.jpg"],
		initialStock: 7
	});
	const others = [lamp(), lamp({ status: "archived" })];
	expect(await statuses([given, ...others])).toEqual(["created", "created", "created"]);
	const product = (await find(given.sku))!;
	expect(product).toMatchObject({
		name: given.name,
		slug: "desk-lamp",
		description: given.description,
		attributes: given.attributes,
		images: given.images,
		price: given.price,
		availability: { inStock: true, available: 7 },
		status: "active",
		version: 1
	});
	expect(await find(others[0]!.sku)).toMatchObject({ slug: "desk-lamp-2", description: "" });
	expect(await find(others[1]!.sku)).toMatchObject({ slug: "desk-lamp-3", status: "archived" });
	expect(await facts(product.id)).toEqual([
		{
			type: "product.created.v1",
			version: 1,
			data: expect.objectContaining({ productId: product.id, sku: given.sku, slug: "desk-lamp" })
		}
	]);
	const prices = await node.call("products.prices", { id: product.id }, somebody("staff"));
	expect(prices.items).toMatchObject([{ price: given.price }]);

	const before = await written();
	expect(await statuses([given, ...others])).toEqual(["unchanged", "unchanged", "unchanged"]);
	expect(await written()).toEqual(before);
});

it("changes what differs, and tells of that alone; stock stays as it is", async () => {
	const [dear, renamed, same] = [lamp({ initialStock: 2 }), lamp(), lamp()];
	await take([dear, renamed, same]);
	const outcome = await statuses([
		{ ...dear, price: { amount: 2999, currency: "EUR" }, initialStock: 90 },
		{ ...renamed, name: "Another lamp" },
		same
	]);
	expect(outcome).toEqual(["updated", "updated", "unchanged"]);
	const product = (await find(dear.sku))!;
	expect(product).toMatchObject({
		version: 2,
		price: { amount: 2999 },
		availability: { available: 2 }
	});
	expect((await facts(product.id)).map(({ type, version }) => [type, version])).toEqual([
		["product.created.v1", 1],
		["product.updated.v1", 2],
		["price.changed.v1", 1]
	]);
	const named = (await find(renamed.sku))!;
	expect(await facts(named.id)).toMatchObject([
		{ type: "product.created.v1" },
		{ type: "product.updated.v1", version: 2, data: { name: "Another lamp", slug: named.slug } }
	]);
	// Staff go on where the import has ended.
	await node.call("products.archive", { idOrSlug: named.id }, somebody("staff"));
	expect((await facts(named.id)).at(-1)).toMatchObject({ type: "product.archived.v1", version: 3 });
	const prices = await node.call("products.prices", { id: product.id }, somebody("staff"));
	expect(prices.items.map(({ price }) => price.amount)).toEqual([2999, 1999]);
});

it("rejects one by one what cannot be, and stores the others", async () => {
	const first = lamp({ slug: `taken-${randomUUID().slice(0, 6)}x` });
	await take([first]);
	const repeated = lamp();
	expect(
		await take([
			lamp({ slug: first.slug! }),
			lamp({ category: "nowhere" }),
			repeated,
			{ ...repeated, name: "Again" },
			{ ...first, slug: `own-${randomUUID().slice(0, 6)}x` }
		])
	).toEqual([
		{ status: "rejected", problems: [{ field: "slug", message: "is taken" }] },
		{ status: "rejected", problems: [{ field: "category", message: "is not known" }] },
		{ status: "created", problems: [] },
		{ status: "rejected", problems: [{ field: "sku", message: "is there twice" }] },
		{ status: "updated", problems: [] }
	]);
});

it("makes missing categories where that is asked for, with what hangs above them", async () => {
	const deep = lamp({ category: "garden/pots-and-pans" });
	expect(await statuses([deep])).toEqual(["rejected"]);
	const before = await written();
	expect(await statuses([deep], { makeCategories: true, dryRun: true })).toEqual(["created"]);
	expect(await written()).toEqual(before);
	expect(await statuses([deep, lamp({ category: "lamps" })], { makeCategories: true })).toEqual([
		"created",
		"created"
	]);
	const category = await node.call("categories.get", { idOrSlug: "pots-and-pans" });
	expect(category).toMatchObject({
		name: "Pots and pans",
		path: ["garden", "pots-and-pans"],
		productCount: 1
	});
	expect(await facts(category.id)).toMatchObject([
		{ type: "category.created.v1", version: 1, data: { parentId: category.parentId } }
	]);
});

it("exports all products page by page as an import takes them", async () => {
	const long = () => lamp({ description: "long ".repeat(1_990) });
	for (let batch = 0; batch < 2; batch++) await take(Array.from({ length: 30 }, long));
	const items: ImportedProduct[] = [];
	let pages = 0;
	for (let after: string | null | undefined; after !== null; pages++) {
		const page = await node.call("products.export", after ? { after } : {}, OPERATOR);
		items.push(...page.items);
		after = page.after;
		expect(page.total).toBeGreaterThanOrEqual(60);
	}
	expect(pages).toBeGreaterThan(1);
	const rows = await db().query<{ sku: string }>("SELECT sku FROM product ORDER BY id");
	expect(items.map(({ sku }) => sku)).toEqual(rows.map(({ sku }) => sku));
	const before = await written();
	for (let at = 0; at < items.length; at += 40)
		expect(new Set(await statuses(items.slice(at, at + 40)))).toEqual(new Set(["unchanged"]));
	expect(await written()).toEqual(before);
});

it("lets two imports of the same products in one after the other", async () => {
	const wanted = Array.from({ length: 50 }, (_, n) => lamp({ name: `Race ${n}` }));
	const all = await Promise.all([take(wanted), take([...wanted].reverse())]);
	const counts = all.flat().map(({ status }) => status);
	expect(counts.filter(status => status === "created")).toHaveLength(50);
	expect(counts.filter(status => status === "unchanged")).toHaveLength(50);
});

it("is for operators, and by the rules of POST /products", async () => {
	expect(products.actions.import.access).toBe("internal");
	await expect(take([lamp({ sku: "no sku" })])).rejects.toMatchObject({ type: "VALIDATION_ERROR" });
	await expect(take([lamp({ category: "a//b" })])).rejects.toMatchObject({
		type: "VALIDATION_ERROR"
	});
});

describe("the categories that are missing", () => {
	const slug = fc.constantFrom(..."abcdefghijkl".split(""));
	const paths = fc.array(
		fc.array(slug, { minLength: 1, maxLength: MAX_DEPTH }).map(slugs => slugs.join("/")),
		{ maxLength: 8 }
	);

	it("are a tree, no slug of which is there twice, and nothing too deep", () => {
		fc.assert(
			fc.property(paths, paths, (known, wanted) => {
				let next = 0;
				const newId = () => `${next++}`;
				const there = missingCategories([], known, newId);
				const all = [...there, ...missingCategories(there, wanted, newId)];
				const byId = new Map(all.map(category => [category.id, category]));
				expect(new Set(all.map(({ path }) => path.at(-1))).size).toBe(all.length);
				for (const { path, parentId } of all) {
					expect(path.length).toBeLessThanOrEqual(MAX_DEPTH);
					expect(path.slice(0, -1)).toEqual(parentId === null ? [] : byId.get(parentId)!.path);
				}
				for (const path of known.slice(0, 1))
					expect(all.some(({ path: made }) => made.at(-1) === path.split("/").at(-1))).toBe(true);
			})
		);
	});

	it("are judged by a pattern that takes paths of slugs alone", () => {
		const isPath = createAjv().compile(
			products.actions.import.params.properties.products.items.properties.category
		);
		expect(["a", "a/b-c", "a/".repeat(7) + "h"].map(path => isPath(path))).toEqual([
			true,
			true,
			true
		]);
		const bad = ["", "/a", "a/", "A", "a--b", "a/".repeat(8) + "h", randomUUID(), "x".repeat(121)];
		expect(bad.filter(path => isPath(path))).toEqual([]);
	});
});

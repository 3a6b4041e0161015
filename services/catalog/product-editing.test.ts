import { randomUUID } from "node:crypto";
import type { Actions } from "../../contracts/index.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, addProduct, wrongStock } from "./catalog.fixtures.ts";

type New = Actions["products.create"]["params"];

const staff = somebody("staff");
let node: TestNode;
let home: string;
let office: string;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	home = await addCategory(db(), "home");
	office = await addCategory(db(), "office");
});
afterAll(() => node.stop());
afterEach(async () => {
	expect(await wrongStock(db())).toEqual([]);
	expect(await wrongCounts()).toEqual([]);
	expect(await gaps()).toEqual([]);
});

const db = () => node.runtime.database("catalog");
const create = (given: Partial<New> = {}) =>
	node.call(
		"products.create",
		{
			sku: randomUUID(),
			name: "Desk lamp",
			price: { amount: 1999, currency: "EUR" },
			categoryId: home,
			...given
		},
		staff
	);
const update = (params: Actions["products.update"]["params"]) =>
	node.call("products.update", params, staff);
const archive = (params: Actions["products.archive"]["params"]) =>
	node.call("products.archive", params, staff);
const prices = (id: string, page: object = {}) =>
	node.call("products.prices", { id, ...page }, staff);
/** What was told of a product or of its price, in order. */
const facts = (id: string, aggregate = "product") =>
	db().query<{ type: string; version: number; data: unknown }>(
		`SELECT type, aggregate_version AS version, payload AS data FROM outbox
		WHERE aggregate_id = $1 AND aggregate_type = $2 ORDER BY id`,
		[id, aggregate]
	);
const failing = (code: string, errors?: object[]) => ({
	type: code,
	...(errors ? { data: { errors } } : {})
});
/** Categories that count other products than there are. */
const wrongCounts = () =>
	db().query(
		`SELECT c.slug, active_products, count(p.id) FROM category c
		LEFT JOIN product p ON p.category_id = c.id AND p.status = 'active'
		GROUP BY c.id HAVING active_products <> count(p.id)`
	);
const gaps = () =>
	db().query(
		`SELECT aggregate_type, aggregate_id FROM outbox GROUP BY 1, 2
		HAVING max(aggregate_version) <> count(*) OR min(aggregate_version) <> 1`
	);

describe("a new product", () => {
	it("is there with what it was given, its stock, its price and its fact", async () => {
		const given = {
			sku: "LMP-0042",
			name: "Lamp of brass",
			description: "One\nline, and another.",
			attributes: { colour: "brass", "max-watt": "40" },
			images: ["https://example.com/lamp.jpg"],
			price: { amount: 4990, currency: "EUR" as const }
		};
		const product = await create({ ...given, initialStock: 7 });
		expect(product).toMatchObject({
			...given,
			slug: "lamp-of-brass",
			categoryId: home,
			availability: { inStock: true, available: 7 },
			status: "active",
			version: 1
		});
		expect(await node.call("products.get", { idOrSlug: "lamp-of-brass" })).toEqual(product);
		expect(
			await db().query(
				"SELECT kind, on_hand_delta AS units, reason FROM stock_movement WHERE product_id = $1",
				[product.id]
			)
		).toEqual([{ kind: "receipt", units: 7, reason: "opening stock" }]);
		expect(await prices(product.id)).toEqual({
			items: [{ price: given.price, from: expect.stringMatching(/Z$/) }],
			nextCursor: null
		});
		const {
			id: productId,
			availability: _,
			version,
			createdAt: _c,
			updatedAt: _u,
			...told
		} = product;
		expect(await facts(productId)).toEqual([
			{ type: "product.created.v1", version, data: { productId, ...told } }
		]);
		expect(await facts(productId, "price")).toEqual([]);
	});

	it("has stock to be counted also where there is none yet", async () => {
		const { id, availability } = await create();
		expect(availability).toEqual({ inStock: false, available: 0 });
		expect(await db().one("SELECT on_hand FROM stock WHERE product_id = $1", [id])).toEqual({
			on_hand: 0
		});
	});

	it("gets a slug of its own, by a number and in the end by its id", async () => {
		const name = "Twin";
		const slugs: string[] = [];
		for (let i = 0; i < 11; i++) slugs.push((await create({ name })).slug);
		expect(slugs.slice(0, 9)).toEqual([
			"twin",
			...Array.from({ length: 8 }, (_, index) => `twin-${index + 2}`)
		]);
		expect(slugs.slice(9)).toEqual([
			expect.stringMatching(/^twin-[0-9a-f]{12}$/),
			expect.stringMatching(/^twin-[0-9a-f]{12}$/)
		]);
		expect(new Set(slugs).size).toBe(11);
		expect((await create({ name: "机" })).slug).toBe("product");
	});

	it("takes neither SKU nor slug of another, archived or not", async () => {
		const { sku, slug, id } = await create({ name: "Taken" });
		await archive({ idOrSlug: id });
		await expect(create({ sku })).rejects.toMatchObject(failing("SKU_TAKEN"));
		await expect(create({ slug })).rejects.toMatchObject(failing("SLUG_TAKEN"));
		expect((await create({ name: "Taken" })).slug).toBe("taken-2");
	});

	it("is one where ten ask for it at once; the names of ten others all find a slug", async () => {
		const ten = async (given: () => Partial<New>) => {
			const answers = await Promise.allSettled(Array.from({ length: 10 }, () => create(given())));
			return answers.map(answer =>
				answer.status === "fulfilled" ? answer.value.slug : (answer.reason as { type: string }).type
			);
		};
		const sku = randomUUID();
		const ofOneSku = await ten(() => ({ sku, name: "Wanted" }));
		expect(ofOneSku.filter(answer => answer === "wanted")).toHaveLength(1);
		expect(ofOneSku.filter(answer => answer === "SKU_TAKEN")).toHaveLength(9);
		const ofOneSlug = await ten(() => ({ slug: "one-only" }));
		expect(ofOneSlug.filter(answer => answer === "one-only")).toHaveLength(1);
		expect(ofOneSlug.filter(answer => answer === "SLUG_TAKEN")).toHaveLength(9);
		expect(new Set(await ten(() => ({ name: "Same name" }))).size).toBe(10);
	});

	it("needs a category that there is", async () => {
		await expect(create({ categoryId: randomUUID() })).rejects.toMatchObject(
			failing("VALIDATION_ERROR", [
				{ field: "categoryId", code: "unknown", message: "must be a category's id" }
			])
		);
		expect((await create({ categoryId: home.toUpperCase() })).categoryId).toBe(home);
	});

	it.each<[string, object]>([
		["price.currency", { price: { amount: 1, currency: "USD" } }],
		["price.amount", { price: { amount: 1.5, currency: "EUR" } }],
		["price.amount", { price: { amount: -1, currency: "EUR" } }],
		["slug", { slug: "0199c0de-0000-7000-8000-000000000001" }],
		["slug", { slug: "Lamp" }],
		["sku", { sku: "a b" }],
		["name", { name: "" }],
		["name", { name: "a\u0000b" }],
		["description", { description: "x".repeat(10_001) }],
		["attributes.Colour", { attributes: { Colour: "red" } }],
		["attributes.colour", { attributes: { colour: "" } }],
		[
			"attributes",
			{ attributes: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`a${i}`, "x"])) }
		],
		["images.0", { images: ["http://example.com/a.jpg"] }],
		["images.0", { images: ["javascript:alert(1)"] }],
		["images", { images: Array.from({ length: 21 }, (_, i) => `https://example.com/${i}`) }],
		["images", { images: ["https://example.com/1", "https://example.com/1"] }],
		["initialStock", { initialStock: -1 }],
		["status", { status: "archived" }]
	])("refuses a wrong %s", async (field, given) => {
		const error = await create(given as never).catch((refused: unknown) => refused);
		expect(error).toMatchObject({ type: "VALIDATION_ERROR" });
		expect((error as { data: { field: string }[] }).data.map(each => each.field)).toContain(field);
	});

	it("of the greatest size fits into its fact", async () => {
		const wide = "\u{10FFFF}";
		const { id } = await create({
			name: wide.repeat(200),
			description: wide.repeat(10_000),
			attributes: Object.fromEntries(
				Array.from({ length: 50 }, (_, i) => [`a${i}`.padEnd(31, "x"), wide.repeat(200)])
			),
			images: Array.from(
				{ length: 20 },
				(_, i) => `https://${wide.repeat(1_998)}${String(i).padStart(2, "0")}`
			)
		});
		expect(await facts(id)).toHaveLength(1);
	});

	it("is for staff to make", async () => {
		const params = {
			sku: "X",
			name: "X",
			price: { amount: 1, currency: "EUR" as const },
			categoryId: home
		};
		await expect(node.call("products.create", params)).rejects.toMatchObject({ code: 401 });
		await expect(node.call("products.create", params, somebody())).rejects.toMatchObject({
			code: 403
		});
	});
});

describe("a changed product", () => {
	it("is another version where it was the one that was read", async () => {
		const { id, slug } = await create({ name: "Before" });
		const after = await update({
			idOrSlug: slug,
			ifMatch: [1],
			name: "After",
			description: "New."
		});
		expect(after).toMatchObject({ id, slug, name: "After", description: "New.", version: 2 });
		await expect(update({ idOrSlug: id, ifMatch: [1], name: "Lost" })).rejects.toMatchObject(
			failing("VERSION_MISMATCH")
		);
		expect(await update({ idOrSlug: id, ifMatch: [2], name: "After" })).toEqual(after);
		expect(await update({ idOrSlug: id, ifMatch: [2] })).toEqual(after);
		expect(await facts(id)).toMatchObject([
			{ type: "product.created.v1", version: 1 },
			{ type: "product.updated.v1", version: 2, data: { productId: id, name: "After" } }
		]);
		await expect(update({ idOrSlug: randomUUID() })).rejects.toMatchObject(failing("NOT_FOUND"));
	});

	it("loses what is emptied, and is found by its new name", async () => {
		const { id } = await create({
			description: "Gone soon.",
			attributes: { colour: "red" },
			images: ["https://example.com/1.jpg"]
		});
		const empty = { description: null, attributes: null, images: null };
		expect(
			await update({ idOrSlug: id, ...empty, name: "Xylophone", slug: "xylophone" })
		).toMatchObject({
			description: "",
			attributes: {},
			images: [],
			slug: "xylophone"
		});
		const { items } = await node.call("products.list", { q: "xylophone" });
		expect(items.map(item => item.id)).toEqual([id]);
	});

	it("takes neither SKU, slug nor category that it cannot have, and then stays as it was", async () => {
		const [one, other] = [await create(), await create()];
		const attempt = (change: object) => update({ idOrSlug: one.id, ...change });
		await expect(attempt({ sku: other.sku })).rejects.toMatchObject(failing("SKU_TAKEN"));
		await expect(attempt({ slug: other.slug })).rejects.toMatchObject(failing("SLUG_TAKEN"));
		await expect(attempt({ categoryId: randomUUID() })).rejects.toMatchObject(
			failing("VALIDATION_ERROR", [
				{ field: "categoryId", code: "unknown", message: "must be a category's id" }
			])
		);
		await expect(attempt({ price: { amount: 1, currency: "USD" } })).rejects.toMatchObject({
			type: "VALIDATION_ERROR"
		});
		expect(await node.call("products.get", { idOrSlug: one.id })).toEqual(one);
		expect(await facts(one.id)).toHaveLength(1);
	});

	it("keeps what it has cost, and tells of each change, by a count of its own", async () => {
		const { id } = await create({ price: { amount: 100, currency: "EUR" } });
		await update({ idOrSlug: id, name: "Renamed" });
		for (const amount of [200, 200, 150])
			await update({ idOrSlug: id, price: { amount, currency: "EUR" } });
		const euros = (amount: number) => ({ amount, currency: "EUR" });
		expect(await facts(id, "price")).toEqual([
			{
				type: "price.changed.v1",
				version: 1,
				data: { productId: id, from: euros(100), to: euros(200) }
			},
			{
				type: "price.changed.v1",
				version: 2,
				data: { productId: id, from: euros(200), to: euros(150) }
			}
		]);
		expect((await facts(id)).map(({ version }) => version)).toEqual([1, 2, 3, 4]);

		const all = await prices(id);
		expect(all.items.map(({ price }) => price.amount)).toEqual([150, 200, 100]);
		expect([...all.items].sort((a, b) => (a.from < b.from ? 1 : -1))).toEqual(all.items);
		const first = await prices(id, { limit: 2 });
		expect(first.items).toEqual(all.items.slice(0, 2));
		const second = await prices(id, { limit: 2, cursor: first.nextCursor });
		expect(second).toEqual({ items: all.items.slice(2), nextCursor: null });
		const { id: another } = await create();
		await expect(prices(another, { cursor: first.nextCursor })).rejects.toMatchObject(
			failing("INVALID_CURSOR")
		);
		await expect(prices(randomUUID())).rejects.toMatchObject(failing("NOT_FOUND"));
		await expect(node.call("products.prices", { id }, somebody())).rejects.toMatchObject({
			code: 403
		});
	});

	it("whose first price nobody kept tells of its changes all the same", async () => {
		const id = await addProduct(db(), { category: "home" });
		await db().query("DELETE FROM price_history WHERE product_id = $1", [id]);
		await update({ idOrSlug: id, price: { amount: 7, currency: "EUR" } });
		await update({ idOrSlug: id, price: { amount: 8, currency: "EUR" } });
		expect((await facts(id, "price")).map(({ version }) => version)).toEqual([1, 2]);
		// It was never told of before, so this is the first.
		expect((await facts(id))[0]).toMatchObject({ type: "product.updated.v1", version: 1 });
	});

	it("loses no change where ten are made at once", async () => {
		const { id } = await create();
		const answers = await Promise.allSettled(
			Array.from({ length: 10 }, (_, index) =>
				update({ idOrSlug: id, ifMatch: [1], name: `Name ${index}` })
			)
		);
		expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
		await Promise.all(
			Array.from({ length: 10 }, (_, index) =>
				update({ idOrSlug: id, price: { amount: index, currency: "EUR" } })
			)
		);
		const told = (await facts(id, "price")).map(({ data }) => data as { from: object; to: object });
		expect(told).toHaveLength(10);
		// Each begins where the one before has ended.
		expect(told.slice(1).map(({ from }) => from)).toEqual(told.slice(0, -1).map(({ to }) => to));
	});

	it("is counted where it is, whatever is done to products at once", async () => {
		const made = await Promise.all(Array.from({ length: 8 }, () => create()));
		await Promise.all(
			made.flatMap(({ id }, index) => [
				update({ idOrSlug: id, categoryId: office }),
				update({ idOrSlug: id, categoryId: index % 2 ? home : office, sku: `S-${index}` }),
				index % 3 ? archive({ idOrSlug: id }) : update({ idOrSlug: id, status: "active" }),
				create({ categoryId: office })
			])
		);
		// What there is to be found is asked after each test.
		expect(await wrongCounts()).toEqual([]);
		const { productCount } = await node.call("categories.get", { idOrSlug: "office" });
		const { total } = await node.call("products.list", { category: "office", withTotal: true });
		expect(productCount).toBe(total);
	});
});

describe("an archived product", () => {
	it("is in no list, but can still be read, by id, by slug and by those who ask for their orders", async () => {
		const { id, slug } = await create({ name: "Old thing", initialStock: 3 });
		expect(await archive({ idOrSlug: slug, ifMatch: [1] })).toBeNull();
		const { items } = await node.call("products.list", { q: "old thing" });
		expect(items).toEqual([]);
		const read = await node.call("products.get", { idOrSlug: slug });
		expect(read).toMatchObject({
			id,
			status: "archived",
			availability: { inStock: false, available: 0 },
			version: 2
		});
		expect(await node.call("products.get", { idOrSlug: id })).toEqual(read);
		expect(await node.call("products.lookup", { ids: [id] })).toEqual([read]);
		expect((await facts(id)).at(-1)).toEqual({
			type: "product.archived.v1",
			version: 2,
			data: { productId: id }
		});
	});

	it("is archived once, and only in the version that was read", async () => {
		const { id } = await create();
		await update({ idOrSlug: id, name: "Other" });
		await expect(archive({ idOrSlug: id, ifMatch: [1] })).rejects.toMatchObject(
			failing("VERSION_MISMATCH")
		);
		for (let i = 0; i < 3; i++) expect(await archive({ idOrSlug: id })).toBeNull();
		expect(await facts(id)).toHaveLength(3);
		await expect(archive({ idOrSlug: randomUUID() })).rejects.toMatchObject(failing("NOT_FOUND"));
	});

	it("comes back with its stock", async () => {
		const { id } = await create({ initialStock: 2 });
		await archive({ idOrSlug: id });
		expect(await update({ idOrSlug: id, status: "active" })).toMatchObject({
			status: "active",
			availability: { inStock: true, available: 2 },
			version: 3
		});
		expect((await facts(id)).at(-1)).toMatchObject({
			type: "product.updated.v1",
			version: 3,
			data: { status: "active" }
		});
	});
});

import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type { Actions } from "../../contracts/index.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, addProduct } from "./catalog.fixtures.ts";

type Params = Actions["products.list"]["params"];

let node: TestNode;
let lamp: string;
let old: string;
const db = () => node.runtime.database("catalog");
const slugs = async (params: Params) =>
	(await node.call("products.list", params)).items.map(({ slug }) => slug);

beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	await addCategory(db(), "home");
	await addCategory(db(), "home", "lighting");
	await addCategory(db(), "kitchen");
	lamp = await addProduct(db(), {
		category: "lighting",
		sku: "DLP-00001",
		name: "Desk lamp in brass",
		slug: "desk-lamp",
		description: "Lights the table.",
		price: 4_990,
		attributes: { brand: "Nordhem", colour: "Brass" },
		createdAt: "2026-01-01T00:00:00.000Z",
		stock: 7
	});
	await addProduct(db(), {
		category: "home",
		name: "Shelf",
		slug: "shelf",
		description: "For books, or for a lamp.",
		price: 9_900,
		createdAt: "2026-01-02T00:00:00.000Z",
		stock: 0
	});
	await addProduct(db(), {
		category: "kitchen",
		name: "Äpfelteller",
		slug: "apfelteller",
		price: 1_000_000_000_000,
		createdAt: "2026-01-03T00:00:00.000Z"
	});
	old = await addProduct(db(), {
		category: "lighting",
		name: "Old lamp",
		slug: "old-lamp",
		status: "archived",
		createdAt: "2026-01-04T00:00:00.000Z",
		stock: 1
	});
});
afterAll(() => node.stop());

describe("products.get", () => {
	it("finds a product by id and by slug, with what is free of it", async () => {
		const product = await node.call("products.get", { idOrSlug: lamp });
		expect(product).toMatchObject({
			id: lamp,
			slug: "desk-lamp",
			price: { amount: 4_990, currency: "EUR" },
			attributes: { brand: "Nordhem", colour: "Brass" },
			images: [],
			availability: { inStock: true, available: 7 },
			status: "active",
			version: 1,
			createdAt: "2026-01-01T00:00:00.000Z"
		});
		expect(await node.call("products.get", { idOrSlug: "desk-lamp" })).toEqual(product);
	});

	it("counts what is reserved as not available", async () => {
		await db().query("UPDATE stock SET reserved = 7 WHERE product_id = $1", [lamp]);
		const { availability } = await node.call("products.get", { idOrSlug: lamp });
		await db().query("UPDATE stock SET reserved = 0 WHERE product_id = $1", [lamp]);
		expect(availability).toEqual({ inStock: false, available: 0 });
	});

	it("shows an archived product as such, and one without stock as not available", async () => {
		expect(await node.call("products.get", { idOrSlug: old })).toMatchObject({
			status: "archived"
		});
		expect(await node.call("products.get", { idOrSlug: "apfelteller" })).toMatchObject({
			price: { amount: 1_000_000_000_000 },
			availability: { inStock: false, available: 0 }
		});
	});

	it.each([randomUUID(), "no-such-thing", "0", "a".repeat(120)])("knows no %s", async idOrSlug => {
		await expect(node.call("products.get", { idOrSlug })).rejects.toMatchObject({
			type: "NOT_FOUND"
		});
	});
});

describe("products.lookup", () => {
	it("gives those there are, archived ones included, once each", async () => {
		const found = await node.call("products.lookup", { ids: [lamp, randomUUID(), old, lamp] });
		expect(found).toHaveLength(2);
		expect(new Map(found.map(({ id, status }) => [id, status]))).toEqual(
			new Map([
				[lamp, "active"],
				[old, "archived"]
			])
		);
		expect(await node.call("products.lookup", { ids: [] })).toEqual([]);
	});
});

describe("products.list", () => {
	it("shows active products, newest first", async () => {
		expect(await slugs({})).toEqual(["apfelteller", "shelf", "desk-lamp"]);
		expect(await slugs({ sort: "relevance" })).toEqual(["apfelteller", "shelf", "desk-lamp"]);
	});

	it("sorts by price and name", async () => {
		expect(await slugs({ sort: "price" })).toEqual(["desk-lamp", "shelf", "apfelteller"]);
		expect(await slugs({ sort: "-price" })).toEqual(["apfelteller", "shelf", "desk-lamp"]);
		expect(await slugs({ sort: "name" })).toEqual(["apfelteller", "desk-lamp", "shelf"]);
	});

	it("finds words in name, brand, SKU and description, the name first", async () => {
		expect(await slugs({ q: "lamps" })).toEqual(["desk-lamp", "shelf"]);
		expect(await slugs({ q: "lamp", sort: "newest" })).toEqual(["shelf", "desk-lamp"]);
		expect(await slugs({ q: "nordhem" })).toEqual(["desk-lamp"]);
		expect(await slugs({ q: "DLP-00001" })).toEqual(["desk-lamp"]);
		expect(await slugs({ q: "dlp-00001" })).toEqual(["desk-lamp"]);
		expect(await slugs({ q: "lamp -shelf" })).toEqual(["desk-lamp"]);
		expect(await slugs({ q: '"lamp in brass"' })).toEqual(["desk-lamp"]);
		expect(await slugs({ q: "sofa" })).toEqual([]);
	});

	it("filters by category with those below it, price and stock", async () => {
		expect(await slugs({ category: "home" })).toEqual(["shelf", "desk-lamp"]);
		expect(await slugs({ category: "lighting" })).toEqual(["desk-lamp"]);
		const { categoryId } = await node.call("products.get", { idOrSlug: "shelf" });
		expect(await slugs({ category: categoryId })).toEqual(["shelf", "desk-lamp"]);
		expect(await slugs({ category: "nowhere" })).toEqual([]);
		expect(await slugs({ minPrice: 4_990, maxPrice: 9_900 })).toEqual(["shelf", "desk-lamp"]);
		expect(await slugs({ minPrice: 9_901 })).toEqual(["apfelteller"]);
		expect(await slugs({ minPrice: 2, maxPrice: 1 })).toEqual([]);
		expect(await slugs({ inStock: true })).toEqual(["desk-lamp"]);
		expect(await slugs({ inStock: false })).toEqual(["apfelteller", "shelf"]);
		expect(
			await slugs({ q: "lamp", category: "home", maxPrice: 5_000, inStock: true, sort: "price" })
		).toEqual(["desk-lamp"]);
	});

	it.each([
		"'; DROP TABLE product; --",
		"' OR '1'='1",
		"$1 $2 $$",
		"a & b | !c <-> d:*",
		":*",
		"&|!()<>",
		'"',
		'""""',
		"-",
		"- -- ---",
		"the and or not",
		"OR OR OR",
		"\\",
		"%_%",
		"🛋️ ﷽ \u202E \u{10FFFF}",
		"x".repeat(200),
		"(".repeat(200),
		"-".repeat(200),
		"- ".repeat(100),
		'-"'.repeat(100),
		"-!".repeat(100)
	])("takes %j for words and answers", async q => {
		const { items } = await node.call("products.list", { q });
		expect(Array.isArray(items)).toBe(true);
		expect(await db().query("SELECT 1 FROM product LIMIT 1")).toHaveLength(1);
	});

	it.each([
		["characters", fc.string({ unit: "binary", minLength: 1, maxLength: 200 })],
		[
			"signs of the search language",
			fc
				.array(
					fc.constantFrom(
						"-",
						" ",
						'"',
						"a",
						" or ",
						"!",
						"(",
						")",
						"&",
						"|",
						":*",
						"<->",
						"'",
						"\\",
						"%"
					),
					{
						minLength: 1,
						maxLength: 200
					}
				)
				.map(parts => parts.join("").slice(0, 200))
		],
		[
			"negations",
			fc
				.array(fc.constantFrom("-", "-", "-", " ", '"', "!", "(", "or", "a"), {
					minLength: 60,
					maxLength: 200
				})
				.map(parts => parts.join("").slice(0, 200))
		]
	] as const)("takes any %s that the contract lets pass", async (_kind, words) => {
		await fc.assert(
			fc.asyncProperty(
				words.filter(q => /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(q)),
				async q => {
					expect((await node.call("products.list", { q })).items.length).toBeLessThanOrEqual(3);
				}
			),
			{ numRuns: 300 }
		);
	});
});

describe("pages", () => {
	const SORTS = ["relevance", "newest", "price", "-price", "name"] as const;
	// 60 code points of four bytes each: the longest that a cursor has to carry.
	const LONG = "𝕏".repeat(60);
	let all: string[];
	beforeAll(async () => {
		await addCategory(db(), "ties");
		all = await Promise.all(
			Array.from({ length: 45 }, (_, n) =>
				addProduct(db(), {
					category: "ties",
					name: ["Twin", "twin", `${LONG}${n}`][n % 3]!,
					description: n % 2 ? "A tie." : "A tie, and another tie.",
					price: 100 * (n % 3),
					createdAt: `2026-02-0${1 + (n % 3)}T00:00:00.123Z`,
					stock: n % 5
				})
			)
		);
	});
	const walk = async (params: Params) => {
		const pages = [await node.call("products.list", params)];
		for (let cursor = pages[0]!.nextCursor; cursor; cursor = pages.at(-1)!.nextCursor) {
			expect(cursor).toMatch(/^[A-Za-z0-9_-]{1,512}$/);
			pages.push(await node.call("products.list", { ...params, cursor }));
		}
		return pages;
	};

	it.each(SORTS)("show every product once, also with equal keys, sorted by %s", async sort => {
		const params = { q: "tie", category: "ties", sort };
		const pages = await walk({ ...params, limit: 7 });
		expect(pages.map(({ items }) => items.length)).toEqual([7, 7, 7, 7, 7, 7, 3]);
		const visited = pages.flatMap(({ items }) => items);
		expect(visited.map(({ id }) => id).sort()).toEqual([...all].sort());
		// The pages are the slices of the whole.
		expect(visited).toEqual((await node.call("products.list", { ...params, limit: 100 })).items);
	});

	it.each(["newest", "price", "-price", "name"] as const)(
		"work with filters, sorted by %s",
		async sort => {
			const pages = await walk({ category: "ties", inStock: true, maxPrice: 100, sort, limit: 4 });
			const expected = all.filter((_id, n) => n % 5 > 0 && n % 3 < 2);
			expect(pages.flatMap(({ items }) => items.map(({ id }) => id)).sort()).toEqual(
				expected.sort()
			);
		}
	);

	it("are of 20 unless asked otherwise, and the last one says so", async () => {
		expect((await node.call("products.list", { category: "ties" })).items).toHaveLength(20);
		const whole = await node.call("products.list", { category: "ties", limit: 45 });
		expect(whole.items).toHaveLength(45);
		expect(whole.nextCursor).toBeNull();
	});

	it("tell how many there are on all of them, where that is asked for", async () => {
		const params: Params = { category: "ties", limit: 20, withTotal: true };
		const first = await node.call("products.list", params);
		const second = await node.call("products.list", { ...params, cursor: first.nextCursor! });
		expect([first.total, second.total]).toEqual([45, 45]);
		expect((await node.call("products.list", { ...params, minPrice: 1_000_000 })).total).toBe(0);
		expect(await node.call("products.list", { category: "ties" })).not.toHaveProperty("total");
	});

	it("neither repeat nor skip when a product is added before them", async () => {
		const params: Params = { category: "ties", sort: "newest", limit: 30 };
		const first = await node.call("products.list", params);
		const added = await addProduct(db(), { category: "ties", status: "active" });
		const second = await node.call("products.list", { ...params, cursor: first.nextCursor! });
		await db().query("UPDATE product SET status = 'archived' WHERE id = $1", [added]);
		expect([...first.items, ...second.items].map(({ id }) => id).sort()).toEqual([...all].sort());
	});

	const refused = (params: Params) =>
		expect(node.call("products.list", params)).rejects.toMatchObject({
			type: "INVALID_CURSOR",
			code: 422
		});

	/** A cursor of the same list with other keys. */
	const forged = (cursor: string, change: object): string => {
		const text = Buffer.from(cursor, "base64url").toString();
		const [name, keys] = JSON.parse(text) as [string, object];
		return Buffer.from(JSON.stringify([name, { ...keys, ...change }])).toString("base64url");
	};

	it.each(["x", "e30", "bnVsbA", "W10", "MQ", "____", "A".repeat(512)])(
		"refuse what is no cursor: %s",
		cursor => refused({ cursor })
	);

	it("refuse the cursor of another search or sort", async () => {
		const params: Params = { category: "ties", sort: "price", limit: 5 };
		const cursor = (await node.call("products.list", params)).nextCursor!;
		await refused({ cursor });
		await refused({ ...params, sort: "-price", cursor });
		await refused({ ...params, maxPrice: 100, cursor });
		await refused({ ...params, category: "home", cursor });
		await refused({ ...params, q: "tie", cursor });
		const other = await node.call("products.list", { ...params, limit: 6, cursor });
		expect(other.items).toHaveLength(6);
	});

	it.each([
		["newest", "2026-02-30T00:00:00.000Z"],
		["newest", "0000-01-01T00:00:00.000Z"],
		["newest", "+275760-09-13T00:00:00.000Z"],
		["newest", "infinity"],
		["newest", 5],
		["price", 1.5],
		["price", -1],
		["price", 1e300],
		["price", "100"],
		["-price", null],
		["-price", { $ne: 1 }],
		["name", "a\u0000b"],
		["name", "\uD800"],
		["name", "x".repeat(61)],
		["name", ["a"]],
		["relevance", -1],
		["relevance", 1e300],
		["relevance", "NaN"]
	] as const)("refuse a forged key (%s, %j)", async (sort, key) => {
		const params: Params = { q: "tie", category: "ties", sort, limit: 5 };
		const good = await node.call("products.list", params);
		for (const change of [{ key }, { id: "1" }, { extra: 1 }])
			await refused({ ...params, cursor: forged(good.nextCursor!, change) });
		await expect(
			node.call("products.list", { ...params, cursor: forged(good.nextCursor!, {}) })
		).resolves.toBeDefined();
	});

	it("take extreme keys that are in bounds without a database error", async () => {
		for (const [sort, key] of [
			["relevance", 5e-324],
			["relevance", 10],
			["newest", "1000-01-01T00:00:00.000Z"],
			["newest", "2999-12-31T23:59:59.999Z"],
			["price", 1_000_000_000_000],
			["name", "\u{10FFFF}"]
		] as const) {
			const params: Params = { q: "tie", category: "ties", sort, limit: 5 };
			const good = await node.call("products.list", params);
			await expect(
				node.call("products.list", { ...params, cursor: forged(good.nextCursor!, { key }) })
			).resolves.toBeDefined();
		}
	});
});

/** Searches over some hundred products, held to a model of them in JavaScript. */
import fc from "fast-check";
import type { Actions } from "../../contracts/index.ts";
import type { Facets } from "../../contracts/products.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, addProduct } from "./catalog.fixtures.ts";
import { readSearch } from "./product-filters.store.ts";
import { BANDS } from "./product-facets.store.ts";
import { searchProducts } from "./product-search.store.ts";
import type { Position, Sort } from "./product-search.ts";

type Params = Actions["products.list"]["params"];
type Page = Actions["products.list"]["result"];

interface Item {
	readonly id: string;
	readonly category: string;
	readonly name: string;
	readonly description: string;
	readonly price: number;
	readonly attributes: Readonly<Record<string, string>>;
	readonly createdAt: string;
	readonly stock: number;
}

/** Of each category, the path to it. Products of `many` are all in the samples, so that there seem to be very many. */
const TREE: Readonly<Record<string, readonly string[]>> = {
	few: ["few"],
	lighting: ["few", "lighting"],
	seating: ["few", "seating"],
	stools: ["few", "seating", "stools"],
	empty: ["few", "empty"],
	many: ["many"],
	left: ["many", "left"],
	right: ["many", "right"]
};
const LEAVES = { few: ["few", "lighting", "seating", "stools"], many: ["left", "right"] };
// Words that stemming leaves as they are.
const THINGS = ["lamp", "chair", "desk", "lantern"];
const COLOURS = ["black", "red", "teal"];
const MATERIALS = ["oak", "steel"];
const PRICES = [0, 999, 1_000, 1_999, 2_000, 5_000, 999_999, 1_000_000_000_000];

const at = <T>(from: readonly T[], n: number): T => from[n % from.length]!;
const items: Item[] = [];
function add(root: "few" | "many", count: number): void {
	for (let n = 0; n < count; n++)
		items.push({
			id: root === "few" ? uuidv7().replace(/0.$/, "f1") : `${uuidv7().slice(0, -2)}00`,
			category: at(LEAVES[root], n * 7 + (n >> 2)),
			name: `${at(THINGS, n)} ${at(["north", "south", "Äther"], n >> 1)}`,
			description: n % 5 === 0 ? `Goes with a ${at(THINGS, n + 1)}` : "",
			price: at(PRICES, n * 3 + (n >> 3)),
			attributes: {
				colour: at(COLOURS, n + (n >> 2)),
				...(n % 3 ? { material: at(MATERIALS, n) } : {})
			},
			createdAt: new Date(Date.UTC(2026, 0, 1 + (n % 40))).toISOString(),
			stock: n % 4
		});
}

let node: TestNode;
const db = () => node.runtime.database("catalog");
const list = (params: Params): Promise<Page> => node.call("products.list", params);
const categoryIds: Record<string, string> = {};

beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	for (const [name, path] of Object.entries(TREE))
		categoryIds[name] = await addCategory(db(), ...path);
	add("few", 120);
	add("many", 280);
	for (const item of items) await addProduct(db(), item);
}, 60_000);
afterAll(() => node.stop());

const textOf = ({ name, description, attributes }: Item): string =>
	[name, description, ...Object.values(attributes)].join(" ").toLowerCase();

/** Whether it has the words, the last one perhaps only begun. */
function hasWords(text: string, q: string): boolean {
	const tokens = text.normalize("NFKD").replaceAll(/\p{M}/gu, "").split(/\s+/);
	const words = q.split(" ");
	return words.every((word, index) =>
		tokens.some(token => (index === words.length - 1 ? token.startsWith(word) : token === word))
	);
}

const fits =
	({ q, category, minPrice, maxPrice, inStock, attributes = {} }: Params) =>
	(item: Item): boolean =>
		(q === undefined || hasWords(textOf(item), q)) &&
		(category === undefined || TREE[item.category]!.includes(category)) &&
		(minPrice === undefined || item.price >= minPrice) &&
		(maxPrice === undefined || item.price <= maxPrice) &&
		(inStock === undefined || item.stock > 0 === inStock) &&
		Object.entries(attributes).every(([name, value]) => item.attributes[name] === value);

const sorted = (ids: readonly string[]): string[] => [...ids].sort();
const idsOf = (found: readonly { readonly id: string }[]): string[] =>
	sorted(found.map(({ id }) => id));

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
/** Parameters without those that are undefined. */
const given = (params: Record<string, unknown>): Params =>
	Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));

const words = fc.constantFrom(
	"lamp",
	"la",
	"lan",
	"black",
	"oak",
	"desk lamp",
	"red ch",
	"lamp ather"
);
const filters = fc
	.record({
		q: maybe(words),
		category: maybe(fc.constantFrom(...Object.keys(TREE))),
		minPrice: maybe(fc.constantFrom(...PRICES)),
		maxPrice: maybe(fc.constantFrom(...PRICES)),
		inStock: maybe(fc.boolean()),
		attributes: maybe(
			fc
				.record({
					colour: maybe(fc.constantFrom(...COLOURS)),
					material: maybe(fc.constantFrom(...MATERIALS))
				})
				.map(given)
				.filter(chosen => Object.keys(chosen).length > 0)
		)
	})
	.map(given);

describe("filters", () => {
	it("leave what fits them all, and tell how many", async () => {
		await fc.assert(
			fc.asyncProperty(filters, async params => {
				const expected = items.filter(fits(params));
				const { items: found, total } = await list({ ...params, limit: 100, withTotal: true });
				expect(total).toBe(expected.length);
				expect(found).toHaveLength(Math.min(expected.length, 100));
				expect(idsOf(expected)).toEqual(expect.arrayContaining(idsOf(found)));
			}),
			{ numRuns: 150 }
		);
	}, 60_000);

	it("take attributes letter by letter", async () => {
		const attributes = { colour: "black", material: "oak" };
		const found = await list({ category: "few", attributes, limit: 100 });
		expect(idsOf(found.items)).toEqual(idsOf(items.filter(fits({ category: "few", attributes }))));
		expect(found.items.length).toBeGreaterThan(0);
		for (const other of [{ colour: "Black" }, { colour: "blac" }, { constructor: "x" }] as const)
			expect((await list({ attributes: other })).items).toEqual([]);
	});
});

describe("pages", () => {
	const SORTS = ["relevance", "newest", "price", "-price", "name"] as const;
	const orderOf: Record<Exclude<Sort, "relevance">, (a: Item, b: Item) => number> = {
		newest: (a, b) => b.createdAt.localeCompare(a.createdAt),
		price: (a, b) => a.price - b.price,
		"-price": (a, b) => b.price - a.price,
		name: (a, b) => a.name.localeCompare(b.name, "und")
	};
	/** The order of two; what is by relevance is another test's. */
	const comes = (sort: Sort, { q }: Params) =>
		sort !== "relevance" ? orderOf[sort] : q === undefined ? orderOf.newest : () => 0;
	const byId = new Map<string, Item>();
	beforeAll(() => {
		for (const item of items) byId.set(item.id, item);
	});

	it("show everything once and in order, whatever is looked for and however it is sorted", async () => {
		const requests = fc.tuple(filters, fc.constantFrom(...SORTS), fc.integer({ min: 7, max: 60 }));
		await fc.assert(
			fc.asyncProperty(requests, async ([asked, sort, limit]) => {
				const params: Params = { ...asked, sort, limit };
				const found: string[] = [];
				let page = await list(params);
				for (;;) {
					found.push(...page.items.map(({ id }) => id));
					if (page.nextCursor === null) break;
					expect(page.items).toHaveLength(limit);
					page = await list({ ...params, cursor: page.nextCursor });
				}
				expect(sorted(found)).toEqual(idsOf(items.filter(fits(params))));
				const visited = found.map(id => byId.get(id)!);
				expect(
					visited.filter((item, n) => n > 0 && comes(sort, asked)(visited[n - 1]!, item) > 0)
				).toEqual([]);
			}),
			{ numRuns: 100 }
		);
	}, 120_000);

	it.each(["few", "many"])(
		"by relevance have those first whose name has the words: %s",
		async category => {
			const params: Params = { q: "lamp", category, limit: 100 };
			const names = (await list(params)).items.map(({ name }) => name.includes("lamp"));
			const { length } = names.filter(Boolean);
			expect(length).toBeGreaterThan(0);
			expect(names.length).toBeGreaterThan(length);
			expect(names.indexOf(false)).toBe(length);
		}
	);

	it("are the same where a walk is given up", async () => {
		const search = await readSearch(db(), { category: "many", attributes: { colour: "teal" } });
		const walk = async (longestWalk: number) => {
			const found: string[] = [];
			let after: Position | undefined;
			do {
				const slice = { sort: "price" as const, after, limit: 10, longestWalk };
				const page = await searchProducts(db(), search, slice);
				found.push(...page.map(({ product }) => product.id));
				after = page.at(-1)?.position;
			} while (after);
			return found;
		};
		const whole = await walk(40_000);
		expect(whole.length).toBeGreaterThan(50);
		expect(await walk(3)).toEqual(whole);
	});

	it("refuse a cursor into a ranking where far too much is found to be ranked", async () => {
		const params: Params = { q: "lamp", category: "many", limit: 5 };
		const { nextCursor } = await list(params);
		const [name, { id }] = JSON.parse(Buffer.from(nextCursor!, "base64url").toString()) as [
			string,
			Position
		];
		const forged = JSON.stringify([name, { key: 0.5, id, tier: "ranked" }]);
		await expect(
			list({ ...params, cursor: Buffer.from(forged).toString("base64url") })
		).rejects.toMatchObject({ type: "INVALID_CURSOR" });
	});

	it("keep to the attributes that they were asked for with, in whatever order", async () => {
		const params: Params = { attributes: { colour: "teal", material: "oak" }, limit: 2 };
		const cursor = (await list(params)).nextCursor!;
		const turned = { material: "oak", colour: "teal" };
		expect((await list({ ...params, attributes: turned, cursor })).items).toHaveLength(2);
		await expect(list({ ...params, attributes: { colour: "teal" }, cursor })).rejects.toMatchObject(
			{ type: "INVALID_CURSOR" }
		);
	});
});

describe("facets", () => {
	const counted = <K>(keys: readonly K[]): Map<K, number> => {
		const counts = new Map<K, number>();
		for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
		return counts;
	};
	const bandOf = (price: number) => BANDS.findLastIndex(from => from <= price);

	/** What there is to count, one by one. */
	function modelOf(found: readonly Item[]): Omit<Facets, "approximate"> {
		const categories = counted(found.flatMap(({ category }) => TREE[category]!));
		const names = [...new Set(found.flatMap(({ attributes }) => Object.keys(attributes)))];
		return {
			category: [...categories]
				.map(([slug, count]) => ({
					id: categoryIds[slug]!,
					name: slug[0]!.toUpperCase() + slug.slice(1),
					count
				}))
				.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1)),
			price: [...counted(found.map(({ price }) => bandOf(price)))]
				.sort(([a], [b]) => a - b)
				.map(([band, count]) => ({
					from: BANDS[band]!,
					to: band + 1 < BANDS.length ? BANDS[band + 1]! - 1 : null,
					count
				})),
			availability: {
				inStock: found.filter(({ stock }) => stock > 0).length,
				outOfStock: found.filter(({ stock }) => stock === 0).length
			},
			attributes: Object.fromEntries(
				names.map(name => [
					name,
					[...counted(found.flatMap(({ attributes }) => attributes[name] ?? []))]
						.map(([value, count]) => ({ value, count }))
						.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
				])
			)
		};
	}

	it("count what was found, one by one", async () => {
		await fc.assert(
			fc.asyncProperty(filters, async asked => {
				const params = { ...asked, category: asked.category ?? "few" };
				fc.pre(TREE[params.category]![0] === "few");
				const { facets } = await list({ ...params, limit: 1, facets: true });
				expect(facets).toEqual({ approximate: false, ...modelOf(items.filter(fits(params))) });
			}),
			{ numRuns: 100 }
		);
	}, 60_000);

	it("say so where they are estimates", async () => {
		const params: Params = { category: "many", limit: 1, facets: true };
		const { facets } = await list(params);
		expect(facets!.approximate).toBe(true);
		const { inStock, outOfStock } = facets!.availability;
		// Of these products all are in the sample, which should have one in 256.
		expect([inStock, outOfStock]).toEqual([210 * 256, 70 * 256]);
		const teal = await list({ ...params, attributes: { colour: "teal" } });
		const { length } = items.filter(fits({ category: "many", attributes: { colour: "teal" } }));
		expect(teal.facets!.attributes["colour"]).toEqual([{ value: "teal", count: length * 16 }]);
	});

	it("lead to what they promise", async () => {
		const { facets } = await list({ category: "few", q: "lamp", facets: true });
		const total = async (params: Params) =>
			(await list({ category: "few", q: "lamp", ...params, withTotal: true })).total;
		for (const { id, count } of facets!.category) expect(await total({ category: id })).toBe(count);
		for (const { from, to, count } of facets!.price)
			expect(await total({ minPrice: from, ...(to === null ? {} : { maxPrice: to }) })).toBe(count);
		for (const { value, count } of facets!.attributes["colour"]!)
			expect(await total({ attributes: { colour: value } })).toBe(count);
	});

	it("are left away unless asked for, and empty where nothing is found", async () => {
		expect(await list({ limit: 1 })).not.toHaveProperty("facets");
		for (const params of [{ category: "nowhere" }, { q: "&" }, { minPrice: 3, maxPrice: 2 }])
			expect((await list({ ...params, facets: true })).facets).toEqual({
				approximate: false,
				category: [],
				price: [],
				availability: { inStock: 0, outOfStock: 0 },
				attributes: {}
			});
	});
});

describe("words", () => {
	const named = async (q: string) => {
		const { items: found, correction } = await list({ q, category: "special" });
		return { names: found.map(({ name }) => name), correction };
	};
	beforeAll(async () => {
		await addCategory(db(), "special");
		for (const name of ["Reading glasses", "Theatre seat", "Wireless headphones", "Zür Küche"])
			await addProduct(db(), { category: "special", name });
	});

	it.each([
		["reading", "Reading glasses"],
		["read", "Reading glasses"],
		["readin", "Reading glasses"],
		["glass", "Reading glasses"],
		["wireless head", "Wireless headphones"],
		["kuche", "Zür Küche"],
		["KÜCHE", "Zür Küche"],
		["the", "Theatre seat"],
		["the theatre", "Theatre seat"]
	])("are found as they are typed: %s", async (q, name) => {
		expect(await named(q)).toEqual({ names: [name], correction: undefined });
	});

	it.each([
		["hedphones", "Wireless headphones", "headphones"],
		["wirless haedphones", "Wireless headphones", "wireless headphones"],
		["headhpo", "Wireless headphones", "headphones"],
		["raeding", "Reading glasses", "reading"],
		["teatre seat", "Theatre seat", "theatre seat"]
	])("are set right where nothing has them: %s", async (q, name, correction) => {
		expect(await named(q)).toEqual({ names: [name], correction });
	});

	it("are left alone where something has them, or nothing is like them", async () => {
		// It is there, only not in this category.
		expect(await named("lamp")).toEqual({ names: [], correction: undefined });
		expect(await named("xyzzy")).toEqual({ names: [], correction: undefined });
		expect(await named('"hedphones"')).toEqual({ names: [], correction: undefined });
	});

	it("that were set right have pages as all others", async () => {
		const params: Params = { q: "lmap", category: "few", limit: 7 };
		const pages = [await list(params)];
		while (pages.at(-1)!.nextCursor)
			pages.push(await list({ ...params, cursor: pages.at(-1)!.nextCursor! }));
		expect(pages.every(({ correction }) => correction === "lamp")).toBe(true);
		const expected = items.filter(fits({ q: "lamp", category: "few" }));
		expect(idsOf(pages.flatMap(page => page.items))).toEqual(idsOf(expected));
	});

	it("may be anything", async () => {
		const q = fc.string({ unit: "binary", minLength: 1, maxLength: 200 });
		await fc.assert(
			fc.asyncProperty(
				q.filter(text => /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(text)),
				async text => {
					const page = await list({ q: text, facets: true, withTotal: true, limit: 5 });
					expect(page.items.length).toBeLessThanOrEqual(page.total!);
				}
			),
			{ numRuns: 200 }
		);
	}, 60_000);
});

describe("what a search reads", () => {
	/** Entries that are not as their product and its stock are, samples that are not as the entries; there must be none. */
	const wrong = () =>
		db().query(
			`SELECT 'entry' AS what, coalesce(p.id, e.product_id) AS id FROM search_entry e
				FULL JOIN (SELECT * FROM product WHERE status = 'active') p ON p.id = e.product_id
				LEFT JOIN stock s ON s.product_id = p.id
			WHERE (e.category_id, e.price, e.created_at, e.sort_name, e.attributes, e.in_stock) IS DISTINCT FROM
				(p.category_id, p.price_amount, p.created_at, left(p.name, 60), p.attributes, coalesce(s.on_hand > s.reserved, false))
			UNION ALL SELECT 'coarse', product_id FROM (
				(SELECT * FROM search_entry WHERE right(product_id::text, 2) < '01' EXCEPT SELECT * FROM search_sample_256)
				UNION ALL (SELECT * FROM search_sample_256 EXCEPT SELECT * FROM search_entry WHERE right(product_id::text, 2) < '01')) AS c
			UNION ALL SELECT 'fine', product_id FROM (
				(SELECT * FROM search_entry WHERE right(product_id::text, 2) < '10' EXCEPT SELECT * FROM search_sample_16)
				UNION ALL (SELECT * FROM search_sample_16 EXCEPT SELECT * FROM search_entry WHERE right(product_id::text, 2) < '10')) AS f`
		);

	it.each(["few", "many"])("follows every change of a product and its stock: %s", async root => {
		const id = root === "few" ? `${uuidv7().slice(0, -2)}f1` : `${uuidv7().slice(0, -2)}00`;
		const change = async (sql: string) => {
			await db().query(sql, [id]);
			expect(await wrong()).toEqual([]);
		};
		const isFound = async (params: Params) =>
			(await list({ q: "quokka", ...params })).items.some(found => found.id === id);
		await addProduct(db(), { id, category: root, name: "Quokka", stock: 1 });
		expect(await wrong()).toEqual([]);
		expect(await isFound({ inStock: true })).toBe(true);
		await change("UPDATE stock SET reserved = 1 WHERE product_id = $1");
		expect(await isFound({ inStock: true })).toBe(false);
		expect(await isFound({ inStock: false })).toBe(true);
		await change("UPDATE product SET status = 'archived' WHERE id = $1");
		expect(await isFound({})).toBe(false);
		await change("UPDATE stock SET reserved = 0 WHERE product_id = $1");
		await change("UPDATE product SET status = 'active' WHERE id = $1");
		expect(await isFound({ inStock: true })).toBe(true);
		await change(
			`UPDATE product SET name = 'Wombat', price_amount = 5, attributes = '{"colour": "brown"}' WHERE id = $1`
		);
		expect(await isFound({})).toBe(false);
		expect(await isFound({ q: "wombat brown" })).toBe(true);
		await change("DELETE FROM stock_movement WHERE product_id = $1");
		await change("DELETE FROM stock WHERE product_id = $1");
		expect(await isFound({ q: "wombat", inStock: false })).toBe(true);
		await change("DELETE FROM product WHERE id = $1");
	});

	it("is not written where stock moves and does not run out", async () => {
		const { id } = items.find(({ stock }) => stock === 3)!;
		const version = () =>
			db().one("SELECT ctid::text, xmin::text FROM search_entry WHERE product_id = $1", [id]);
		const before = await version();
		await db().query("UPDATE stock SET reserved = 2 WHERE product_id = $1", [id]);
		expect(await version()).toEqual(before);
		await db().query("UPDATE stock SET reserved = 0 WHERE product_id = $1", [id]);
	});
});

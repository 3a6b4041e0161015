import { randomUUID } from "node:crypto";
import type { Actions } from "../../contracts/index.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addProduct } from "./catalog.fixtures.ts";

const staff = somebody("staff");
let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
});
afterAll(() => node.stop());
afterEach(async () => {
	expect(await misplaced()).toEqual([]);
	expect(await gaps()).toEqual([]);
});

const db = () => node.runtime.database("catalog");
const create = (name: string, parentId?: string, slug?: string) =>
	node.call(
		"categories.create",
		{ name, ...(parentId ? { parentId } : {}), ...(slug ? { slug } : {}) },
		staff
	);
const update = (params: Actions["categories.update"]["params"]) =>
	node.call("categories.update", params, staff);
const remove = (idOrSlug: string, ifMatch?: number[]) =>
	node.call("categories.remove", { idOrSlug, ...(ifMatch ? { ifMatch } : {}) }, staff);
const get = (idOrSlug: string) => node.call("categories.get", { idOrSlug });
const facts = (id: string) =>
	db().query<{ type: string; version: number; data: unknown }>(
		`SELECT type, aggregate_version AS version, payload AS data FROM outbox
		WHERE aggregate_id = $1 AND aggregate_type = 'category' ORDER BY id`,
		[id]
	);
const failing = (type: string) => ({ type });
const unknownParent = {
	type: "VALIDATION_ERROR",
	data: { errors: [{ field: "parentId", code: "unknown", message: "must be a category's id" }] }
};

/** Categories that are not where their parents lead, or that no root leads to; there must be none. */
const misplaced = () =>
	db().query(
		`WITH RECURSIVE tree AS (
			SELECT id, ARRAY[slug] AS path FROM category WHERE parent_id IS NULL
			UNION ALL SELECT c.id, t.path || c.slug FROM category c JOIN tree t ON c.parent_id = t.id)
		SELECT c.id, c.path, t.path FROM category c LEFT JOIN tree t USING (id)
		WHERE c.path IS DISTINCT FROM t.path OR cardinality(c.path) > 8`
	);
const gaps = () =>
	db().query(
		`SELECT aggregate_id FROM outbox GROUP BY aggregate_type, aggregate_id
		HAVING max(aggregate_version) <> count(*) OR min(aggregate_version) <> 1`
	);

describe("a new category", () => {
	it("hangs where it was asked for, under a slug of its own", async () => {
		const home = await create("Home & Garden");
		expect(home).toEqual({
			id: home.id,
			name: "Home & Garden",
			slug: "home-garden",
			parentId: null,
			path: ["home-garden"],
			productCount: 0,
			version: 1
		});
		const lamps = await create("Lamps", home.id);
		expect(lamps).toMatchObject({ parentId: home.id, path: ["home-garden", "lamps"] });
		expect((await create("Lamps")).slug).toBe("lamps-2");
		expect((await create("机")).slug).toBe("category");
		expect((await create("Lights", home.id, "lighting")).slug).toBe("lighting");
		expect(await facts(lamps.id)).toEqual([
			{
				type: "category.created.v1",
				version: 1,
				data: { categoryId: lamps.id, name: "Lamps", slug: "lamps", parentId: home.id }
			}
		]);
	});

	it("takes no slug of another, hangs below none that is not there, and not too deep", async () => {
		const { slug } = await create("Taken");
		await expect(create("Other", undefined, slug)).rejects.toMatchObject(failing("SLUG_TAKEN"));
		await expect(create("Lost", randomUUID())).rejects.toMatchObject(unknownParent);
		let parent = await create("Deep");
		for (let depth = 2; depth <= 8; depth++) parent = await create("Deep", parent.id);
		expect(parent.path).toHaveLength(8);
		await expect(create("Deep", parent.id)).rejects.toMatchObject(failing("CATEGORY_TOO_DEEP"));
	});

	it("of one slug is made once, where ten ask for it at once", async () => {
		const answers = await Promise.allSettled(
			Array.from({ length: 10 }, () => create("Wanted", undefined, "wanted"))
		);
		expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
		const named = await Promise.all(Array.from({ length: 10 }, () => create("Same")));
		expect(new Set(named.map(({ slug }) => slug)).size).toBe(10);
	});

	it("is for staff to make", async () => {
		await expect(node.call("categories.create", { name: "X" })).rejects.toMatchObject({
			code: 401
		});
		await expect(node.call("categories.create", { name: "X" }, somebody())).rejects.toMatchObject({
			code: 403
		});
	});
});

describe("a changed category", () => {
	it("takes all below it along, to its new name and place", async () => {
		const [a, b] = [await create("A one"), await create("B one")];
		const middle = await create("Middle", a.id);
		const leaf = await create("Leaf", middle.id);
		const moved = await update({
			idOrSlug: middle.slug,
			parentId: b.id,
			slug: "centre",
			ifMatch: [1]
		});
		expect(moved).toMatchObject({
			id: middle.id,
			name: "Middle",
			path: ["b-one", "centre"],
			version: 2
		});
		expect(await get(leaf.id)).toMatchObject({ path: ["b-one", "centre", "leaf"], version: 2 });
		expect(await get(a.id)).toEqual(a);
		expect(await facts(middle.id)).toMatchObject([
			{ type: "category.created.v1", version: 1 },
			{
				type: "category.updated.v1",
				version: 2,
				data: { categoryId: middle.id, name: "Middle", slug: "centre" }
			},
			{ type: "category.moved.v1", version: 3, data: { categoryId: middle.id, parentId: b.id } }
		]);
		// It has not moved: what it hangs on has.
		expect(await facts(leaf.id)).toHaveLength(1);
		expect(await update({ idOrSlug: middle.id, parentId: null })).toMatchObject({
			parentId: null,
			path: ["centre"]
		});
	});

	it("is the same where nothing is other, and is refused to who has read another", async () => {
		const category = await create("Steady");
		const same = { idOrSlug: category.id, name: "Steady", parentId: null, slug: "steady" };
		expect(await update(same)).toEqual(category);
		expect(await update({ idOrSlug: category.id, name: "Firm", ifMatch: [1] })).toMatchObject({
			name: "Firm",
			slug: "steady",
			version: 2
		});
		const stale = { idOrSlug: category.id, ifMatch: [1] };
		await expect(update({ ...stale, name: "Lost" })).rejects.toMatchObject(
			failing("VERSION_MISMATCH")
		);
		await expect(remove(category.id, [1])).rejects.toMatchObject(failing("VERSION_MISMATCH"));
		expect(await facts(category.id)).toHaveLength(2);
		await expect(update({ idOrSlug: "no-such-thing" })).rejects.toMatchObject(failing("NOT_FOUND"));
	});

	it("does not hang below itself, below its own, or too deep; and then stays where it was", async () => {
		const top = await create("Top");
		const below = await create("Below", top.id);
		const lowest = await create("Lowest", below.id);
		for (const parentId of [top.id, below.id, lowest.id])
			await expect(update({ idOrSlug: top.id, parentId })).rejects.toMatchObject(
				failing("CATEGORY_LOOP")
			);
		let deep = await create("Shaft");
		for (let depth = 2; depth <= 6; depth++) deep = await create("Shaft", deep.id);
		await expect(update({ idOrSlug: top.id, parentId: deep.id })).rejects.toMatchObject(
			failing("CATEGORY_TOO_DEEP")
		);
		await expect(update({ idOrSlug: top.id, parentId: randomUUID() })).rejects.toMatchObject(
			unknownParent
		);
		await expect(update({ idOrSlug: top.id, slug: "below" })).rejects.toMatchObject(
			failing("SLUG_TAKEN")
		);
		expect(await get(top.id)).toEqual(top);
	});

	it("never makes a circle with others that are moved at once", async () => {
		const nodes = await Promise.all(Array.from({ length: 6 }, (_, i) => create(`Ring ${i}`)));
		for (let round = 0; round < 5; round++) {
			const outcomes = await Promise.allSettled(
				nodes.map(({ id }, index) =>
					update({ idOrSlug: id, parentId: nodes[(index + 1 + round) % nodes.length]!.id })
				)
			);
			const refused = outcomes.flatMap(outcome =>
				outcome.status === "rejected" ? [(outcome.reason as { type: string }).type] : []
			);
			expect(new Set([...refused, "CATEGORY_LOOP"])).toEqual(new Set(["CATEGORY_LOOP"]));
			// In a ring of which each asks to hang below the next, at least the last is refused.
			expect(refused.length).toBeGreaterThan(0);
			expect(await misplaced()).toEqual([]);
		}
	});

	it("is in the lists of those who have heard of it", async () => {
		const names = async () =>
			(await node.call("categories.list", {})).items.map(({ name }) => name);
		await names();
		const { id } = await create("Heard of");
		expect(await names()).toContain("Heard of");
		await update({ idOrSlug: id, name: "Renamed" });
		expect(await names()).toContain("Renamed");
		await remove(id);
		expect(await names()).not.toContain("Renamed");
	});
});

describe("a category that goes", () => {
	it("is gone, and told of", async () => {
		const { id, slug } = await create("Short-lived");
		expect(await remove(slug)).toBeNull();
		await expect(get(id)).rejects.toMatchObject(failing("NOT_FOUND"));
		await expect(remove(id)).rejects.toMatchObject(failing("NOT_FOUND"));
		expect((await facts(id)).at(-1)).toEqual({
			type: "category.deleted.v1",
			version: 2,
			data: { categoryId: id }
		});
	});

	it("stays while something is in it, be it archived", async () => {
		const [outer, filled, old] = [
			await create("Outer"),
			await create("Filled"),
			await create("Old")
		];
		await create("Inner", outer.id);
		await addProduct(db(), { category: filled.slug });
		await addProduct(db(), { category: old.slug, status: "archived" });
		for (const { id } of [outer, filled, old])
			await expect(remove(id)).rejects.toMatchObject(failing("CATEGORY_IN_USE"));
	});

	it("goes, or gets what is put into it at the same moment, but never both", async () => {
		for (let round = 0; round < 12; round++) {
			const { id } = await create("Contended");
			const put = () =>
				node.call(
					"products.create",
					{
						sku: randomUUID(),
						name: "Thing",
						price: { amount: 1, currency: "EUR" },
						categoryId: id
					},
					staff
				);
			const settled = await Promise.allSettled(
				round % 2 ? [put(), remove(id), put()] : [remove(id), put(), create("Child", id)]
			);
			const states = settled.map(outcome =>
				outcome.status === "fulfilled" ? "done" : (outcome.reason as { type: string }).type
			);
			const gone = states[round % 2 ? 1 : 0] === "done";
			for (const state of states.filter((_, index) => index !== (round % 2 ? 1 : 0)))
				expect(state).toBe(gone ? "VALIDATION_ERROR" : "done");
		}
	});
});

describe("what a category counts", () => {
	it("are the active products in it and below, wherever they are put", async () => {
		const [a, b] = [await create("Count a"), await create("Count b")];
		const below = await create("Count below", a.id);
		const counts = async () => [
			(await get(a.id)).productCount,
			(await get(below.id)).productCount,
			(await get(b.id)).productCount
		];
		const ids: string[] = [];
		for (const { slug } of [a, below, below, b])
			ids.push(await addProduct(db(), { category: slug }));
		expect(await counts()).toEqual([3, 2, 1]);
		await node.call("products.archive", { idOrSlug: ids[1]! }, staff);
		expect(await counts()).toEqual([2, 1, 1]);
		await node.call("products.update", { idOrSlug: ids[2]!, categoryId: b.id }, staff);
		expect(await counts()).toEqual([1, 0, 2]);
		await update({ idOrSlug: b.id, parentId: below.id });
		expect(await counts()).toEqual([3, 2, 2]);
		await node.call("products.update", { idOrSlug: ids[1]!, status: "active" }, staff);
		expect(await counts()).toEqual([4, 3, 2]);
		await db().query("DELETE FROM product WHERE id = $1", [ids[1]]);
		expect(await counts()).toEqual([3, 2, 2]);
		expect((await get(b.id)).version).toBe(2);
	});
});

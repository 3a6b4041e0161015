import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, addProduct } from "./catalog.fixtures.ts";

let node: TestNode;
let ids: Record<"home" | "lighting" | "lamps" | "office", string>;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	const db = node.runtime.database("catalog");
	ids = {
		office: await addCategory(db, "office"),
		home: await addCategory(db, "home"),
		lighting: await addCategory(db, "home", "lighting"),
		lamps: await addCategory(db, "home", "lighting", "lamps")
	};
	for (const category of ["home", "lamps", "lamps"]) await addProduct(db, { category });
	await addProduct(db, { category: "lamps", status: "archived" });
});
afterAll(() => node.stop());

const home = () => ({
	id: ids.home,
	name: "Home",
	slug: "home",
	parentId: null,
	path: ["home"],
	productCount: 3,
	version: 1
});
const lamps = () => ({
	id: ids.lamps,
	name: "Lamps",
	slug: "lamps",
	parentId: ids.lighting,
	path: ["home", "lighting", "lamps"],
	productCount: 2,
	version: 1
});

describe("categories", () => {
	it("are listed flat, parents first, with the active products in them and below", async () => {
		const { items, nextCursor } = await node.call("categories.list", {});
		expect(nextCursor).toBeNull();
		expect(items.map(({ slug, productCount }) => [slug, productCount])).toEqual([
			["home", 3],
			["lighting", 2],
			["lamps", 2],
			["office", 0]
		]);
		expect(items[0]).toEqual(home());
	});

	it("are listed as a tree", async () => {
		const { items } = await node.call("categories.list", { tree: true });
		expect(items).toMatchObject([
			{ ...home(), children: [{ slug: "lighting", children: [{ ...lamps(), children: [] }] }] },
			{ slug: "office", productCount: 0, children: [] }
		]);
		expect(items).toHaveLength(2);
	});

	it("are found by id and by slug", async () => {
		expect(await node.call("categories.get", { idOrSlug: ids.lamps })).toEqual(lamps());
		expect(await node.call("categories.get", { idOrSlug: "lamps" })).toEqual(lamps());
		await expect(node.call("categories.get", { idOrSlug: "nowhere" })).rejects.toMatchObject({
			type: "NOT_FOUND"
		});
	});
});

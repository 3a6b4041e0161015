import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { wrongStock } from "./catalog.fixtures.ts";
import { demoCatalog, loadDemoCatalog } from "./products.demo.ts";

let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
});
afterAll(() => node.stop());

describe("the demo catalog", () => {
	it("is the same every time", () => {
		expect(demoCatalog()).toEqual(demoCatalog());
		expect(demoCatalog().products[0]).toMatchObject({
			id: "01943ad7-aa80-7cfa-9117-ea2d70c222cc",
			slug: "alva-reading-lamp-aluminium-sand"
		});
	});

	it("loads within 3 s, with progress, and a second load adds nothing", async () => {
		const db = node.runtime.database("catalog");
		const steps: number[] = [];
		const start = performance.now();
		expect(await loadDemoCatalog(db, (done, total) => steps.push(done / total))).toBe(1_000);
		expect(performance.now() - start).toBeLessThan(3_000);
		expect(steps).toEqual([0.25, 0.5, 0.75, 1]);

		const { items } = await node.call("categories.list", {});
		expect(items.length).toBeGreaterThan(20);
		expect(Math.max(...items.map(({ path }) => path.length))).toBe(3);
		expect(
			items
				.filter(({ parentId }) => !parentId)
				.reduce((sum, { productCount }) => sum + productCount, 0)
		).toBe(1_000);

		await db.query("UPDATE product SET name = 'Renamed' WHERE sku = 'DLP-00001'");
		await db.query(
			"DELETE FROM stock_movement WHERE product_id IN (SELECT id FROM product WHERE sku = 'FLP-00002')"
		);
		await db.query(
			"DELETE FROM stock WHERE product_id IN (SELECT id FROM product WHERE sku = 'FLP-00002')"
		);
		await db.query("DELETE FROM product WHERE sku = 'FLP-00002'");
		expect(await loadDemoCatalog(db, () => {})).toBe(1);
		expect(await db.query("SELECT count(*)::int AS n FROM product")).toEqual([{ n: 1_000 }]);
		expect(
			await node.call("products.get", { idOrSlug: demoCatalog().products[0]!.id })
		).toMatchObject({
			name: "Renamed"
		});
	});

	it("has stock that its ledger explains, and a few products without", async () => {
		const db = node.runtime.database("catalog");
		expect(await wrongStock(db)).toEqual([]);
		expect(
			await db.one("SELECT count(*)::int AS rows, max(on_hand) <= 200 AS bounded FROM stock")
		).toEqual({ rows: 1_000, bounded: true });
		const out = await node.call("products.list", { inStock: false, limit: 100 });
		expect(out.items.length).toBeGreaterThan(10);
		expect(out.nextCursor).toBeNull();
	});
});

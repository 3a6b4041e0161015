import { randomUUID } from "node:crypto";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { publish } from "../../tests/support/publisher.ts";
import { addCategory, addProduct } from "./catalog.fixtures.ts";

let node: TestNode;
let productId: string;
beforeAll(async () => {
	node = await startTestNode(["catalog"]);
	const db = node.runtime.database("catalog");
	await addCategory(db, "things");
	productId = await addProduct(db, { category: "things", stock: 10 });
});
afterAll(() => node.stop());

const adjust = (by: ReturnType<typeof somebody>, delta: number) =>
	node.call(
		"inventory.adjust",
		{ productId, delta, reason: "correction", note: "counted", idempotencyKey: randomUUID() },
		by
	);
const exported = (userId: string, after?: Record<string, string>) =>
	node.call("catalog-data.export", { userId, ...(after ? { after } : {}) });

/** What the catalog answers to somebody who leaves. */
async function forget(userId: string) {
	const deletionId = randomUUID();
	await publish(node, "user.deletion-requested.v1", userId, 1, { userId, deletionId });
	const facts = await node.recorded("catalog", "catalog-data.erased.v1");
	return facts.find(({ data }) => (data as { userId: string }).userId === userId)!.data;
}

it("hands out who has adjusted stock, to none but them", async () => {
	const [ada, bob] = [somebody("staff"), somebody("staff")];
	await adjust(ada, -1);
	await adjust(bob, 5);
	await adjust(ada, 2);
	const { data, next } = await exported(ada.id);
	expect(next).toBeNull();
	expect(data).toEqual({
		stockAdjustments: [-1, 2].map(delta =>
			expect.objectContaining({ productId, delta, reason: "correction", note: "counted" })
		)
	});
	expect((await exported(somebody().id)).data).toEqual({ stockAdjustments: [] });
	await expect(exported(ada.id, { stockAdjustments: "x" })).rejects.toMatchObject({
		type: "VALIDATION_ERROR"
	});
});

it("forgets what it has answered, and says what it keeps of the ledger", async () => {
	const [ada, eve] = [somebody("staff"), somebody()];
	await adjust(ada, 1);
	expect(await forget(ada.id)).toMatchObject({
		erased: { "answers to commands": 1 },
		kept: [{ what: expect.stringMatching(/^1 adjustment of stock/), why: expect.any(String) }]
	});
	expect(await forget(eve.id)).toMatchObject({ erased: { "answers to commands": 0 }, kept: [] });
});

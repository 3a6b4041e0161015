import { randomBytes, randomUUID } from "node:crypto";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { MAX_LINES } from "./carts.store.ts";
import { aProduct, FakeCatalog } from "./orders.fixtures.ts";

const catalog = new FakeCatalog();
let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["orders"], { fakes: [catalog.service] });
});
afterAll(() => node.stop());

const db = () => node.runtime.database("orders");
const newToken = () => randomBytes(32).toString("base64url");
const refused = (code: string) => ({ type: code });
const quantities = ({ items }: { items: readonly { productId: string; quantity: number }[] }) =>
	Object.fromEntries(items.map(({ productId, quantity }) => [productId, quantity]));
const rows = async () => (await db().one<{ n: number }>("SELECT count(*)::int AS n FROM cart"))!.n;

describe("a user's cart", () => {
	it("is empty at first, and looking at it stores nothing", async () => {
		const before = await rows();
		const cart = await node.call("carts.get", {}, somebody());
		expect(cart).toMatchObject({ items: [], total: { amount: 0, currency: "EUR" }, version: 0 });
		expect(cart).not.toHaveProperty("cartToken");
		expect(await rows()).toBe(before);
	});

	it("takes products in, changes their quantity, and lets them go", async () => {
		const user = somebody();
		const [lamp, desk] = [catalog.put(aProduct()), catalog.put(aProduct())];
		await node.call("carts.setItem", { productId: lamp.id, quantity: 1 }, user);
		const filled = await node.call("carts.setItem", { productId: desk.id, quantity: 2 }, user);
		// In the order in which they came.
		expect(filled.items.map(({ productId }) => productId)).toEqual([lamp.id, desk.id]);
		expect(filled).toMatchObject({ total: { amount: 3_000, currency: "EUR" }, version: 2 });

		const changed = await node.call("carts.setItem", { productId: lamp.id, quantity: 7 }, user);
		expect(quantities(changed)).toEqual({ [lamp.id]: 7, [desk.id]: 2 });
		const removed = await node.call("carts.removeItem", { productId: lamp.id }, user);
		expect(quantities(removed)).toEqual({ [desk.id]: 2 });
		expect(removed.version).toBe(4);
		const same = await node.call("carts.removeItem", { productId: lamp.id }, user);
		expect(same).toEqual(removed);

		const cleared = await node.call("carts.clear", {}, user);
		expect(cleared).toMatchObject({ items: [], version: 5 });
		expect(await node.call("carts.get", {}, user)).toEqual(cleared);
	});

	it("changes only where it is still as If-Match has it", async () => {
		const user = somebody();
		const { id: productId } = catalog.put(aProduct());
		const put = (quantity: number, ifMatch?: number[]) =>
			node.call("carts.setItem", { productId, quantity, ...(ifMatch ? { ifMatch } : {}) }, user);
		// Nothing was ever put into it.
		await expect(put(1, [1])).rejects.toMatchObject(refused("VERSION_MISMATCH"));
		expect(await put(1, [0])).toMatchObject({ version: 1 });
		// Of two who have seen the same, the first one wins.
		const both = await Promise.allSettled([put(2, [1]), put(3, [1])]);
		expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
		const cart = await node.call("carts.get", {}, user);
		expect(cart.version).toBe(2);

		for (const ifMatch of [[], [1]]) {
			const stale = refused("VERSION_MISMATCH");
			await expect(
				node.call("carts.removeItem", { productId, ifMatch }, user)
			).rejects.toMatchObject(stale);
			await expect(node.call("carts.clear", { ifMatch }, user)).rejects.toMatchObject(stale);
		}
		expect(await node.call("carts.get", {}, user)).toEqual(cart);
		expect(await node.call("carts.clear", { ifMatch: [9, 2] }, user)).toMatchObject({ items: [] });
	});

	it("is the user's own, whatever token is sent along", async () => {
		const [ada, bob] = [somebody(), somebody()];
		const product = catalog.put(aProduct());
		const cartToken = newToken();
		await node.call("carts.setItem", { productId: product.id, quantity: 1, cartToken });
		await node.call("carts.setItem", { productId: product.id, quantity: 2, cartToken }, ada);
		expect(quantities(await node.call("carts.get", {}, ada))).toEqual({ [product.id]: 2 });
		expect(quantities(await node.call("carts.get", {}, bob))).toEqual({});
		expect(quantities(await node.call("carts.get", { cartToken }))).toEqual({ [product.id]: 1 });
	});

	it("changes once under one Idempotency-Key, and answers what it answered then", async () => {
		const user = somebody();
		const product = catalog.put(aProduct());
		const setItem = (quantity: number) =>
			node.broker.call(
				"carts.setItem",
				{ productId: product.id, quantity },
				{ meta: { user }, headers: { idempotencyKey: "k" } }
			);
		const first = await setItem(2);
		await node.call("carts.setItem", { productId: product.id, quantity: 5 }, user);
		// By now it would be refused, or shown at another price.
		catalog.put({ ...product, status: "archived", price: { amount: 9, currency: "EUR" } });
		expect(JSON.stringify(await setItem(2))).toBe(JSON.stringify(first));
		expect((await node.call("carts.get", {}, user)).version).toBe(2);
		await expect(setItem(3)).rejects.toMatchObject(refused("IDEMPOTENCY_KEY_REUSED"));
	});

	it.each([
		["unknown", randomUUID()],
		["archived", catalog.put(aProduct({ status: "archived" })).id]
	])("does not take an %s product in", async (_, productId) => {
		const user = somebody();
		await expect(
			node.call("carts.setItem", { productId, quantity: 1 }, user)
		).rejects.toMatchObject(refused("PRODUCT_NOT_AVAILABLE"));
		expect((await node.call("carts.get", {}, user)).version).toBe(0);
	});

	it.each([0, 1_000, 1.5])("does not take %d of a product", async quantity => {
		const { id: productId } = catalog.put(aProduct());
		await expect(
			node.call("carts.setItem", { productId, quantity }, somebody())
		).rejects.toMatchObject(refused("VALIDATION_ERROR"));
	});

	it("shows today's price, not the one of then", async () => {
		const user = somebody();
		const product = catalog.put(aProduct());
		await node.call("carts.setItem", { productId: product.id, quantity: 2 }, user);
		catalog.put({ ...product, price: { amount: 1, currency: "EUR" } });
		expect((await node.call("carts.get", {}, user)).total.amount).toBe(2);
	});

	it("holds so many products and no more, also when they come at once", async () => {
		const user = somebody();
		const fill = Array.from({ length: MAX_LINES - 2 }, () => catalog.put(aProduct()));
		for (const { id: productId } of fill)
			await node.call("carts.setItem", { productId, quantity: 1 }, user);
		const late = Array.from({ length: 5 }, () => catalog.put(aProduct()));
		const results = await Promise.allSettled(
			late.map(({ id: productId }) => node.call("carts.setItem", { productId, quantity: 1 }, user))
		);
		const failed = results.filter(({ status }) => status === "rejected");
		expect(failed).toHaveLength(3);
		for (const { reason } of failed as PromiseRejectedResult[])
			expect(reason).toMatchObject(refused("CART_FULL"));
		expect((await node.call("carts.get", {}, user)).items).toHaveLength(MAX_LINES);
		// What is in there already can still be changed.
		const [first] = fill;
		await node.call("carts.setItem", { productId: first!.id, quantity: 9 }, user);
	});
});

describe("a guest's cart", () => {
	it("is named by the token of the first answer", async () => {
		const product = catalog.put(aProduct());
		const { cartToken } = await node.call("carts.setItem", { productId: product.id, quantity: 3 });
		expect(cartToken).toMatch(/^[A-Za-z0-9_-]{43}$/);
		const again = await node.call("carts.get", { cartToken: cartToken! });
		expect(again.cartToken).toBe(cartToken);
		expect(quantities(again)).toEqual({ [product.id]: 3 });
		expect(again.id).not.toContain(cartToken);
	});

	it("is nobody else's", async () => {
		const [one, other] = [await node.call("carts.get", {}), await node.call("carts.get", {})];
		expect(one.cartToken).not.toBe(other.cartToken);
		expect(one.id).not.toBe(other.id);
	});

	it("is not made by emptying it", async () => {
		const before = await rows();
		await node.call("carts.clear", {});
		await node.call("carts.removeItem", { productId: randomUUID() });
		expect(await rows()).toBe(before);
	});
});

describe("merging a guest's cart", () => {
	it("keeps the larger quantity of each product, and ends the guest's cart", async () => {
		const user = somebody();
		const [a, b, c] = [aProduct(), aProduct(), aProduct()].map(product => catalog.put(product));
		const cartToken = newToken();
		const guest = (productId: string, quantity: number) =>
			node.call("carts.setItem", { productId, quantity, cartToken });
		const own = (productId: string, quantity: number) =>
			node.call("carts.setItem", { productId, quantity }, user);
		await guest(a!.id, 5);
		await guest(b!.id, 1);
		await own(b!.id, 4);
		await own(c!.id, 2);

		const merged = await node.call("carts.merge", { cartToken }, user);
		expect(quantities(merged)).toEqual({ [a!.id]: 5, [b!.id]: 4, [c!.id]: 2 });
		expect(merged).not.toHaveProperty("cartToken");
		expect(await node.call("carts.get", { cartToken })).toMatchObject({ items: [], version: 0 });
		// Sent again, because the answer was lost.
		expect(quantities(await node.call("carts.merge", { cartToken }, user))).toEqual(
			quantities(merged)
		);
	});

	it("needs a user", async () => {
		await expect(node.call("carts.merge", { cartToken: newToken() })).rejects.toMatchObject(
			refused("UNAUTHENTICATED")
		);
	});

	it("changes nothing when it would not fit", async () => {
		const user = somebody();
		const cartToken = newToken();
		const products = Array.from({ length: MAX_LINES + 1 }, () => catalog.put(aProduct()));
		for (const [index, { id: productId }] of products.entries())
			await node.call(
				"carts.setItem",
				{ productId, quantity: 1, ...(index < 2 ? { cartToken } : {}) },
				index < 2 ? undefined : user
			);
		await expect(node.call("carts.merge", { cartToken }, user)).rejects.toMatchObject(
			refused("CART_FULL")
		);
		expect((await node.call("carts.get", {}, user)).items).toHaveLength(MAX_LINES - 1);
		expect((await node.call("carts.get", { cartToken })).items).toHaveLength(2);
	});

	it("loses nothing and waits for nobody for ever when all happens at once", async () => {
		const users = [somebody(), somebody()];
		const cartToken = newToken();
		const products = Array.from({ length: 6 }, () => catalog.put(aProduct()));
		for (const { id: productId } of products.slice(0, 3))
			await node.call("carts.setItem", { productId, quantity: 1, cartToken });
		await Promise.all([
			...users.map(user => node.call("carts.merge", { cartToken }, user)),
			...products
				.slice(3)
				.map(({ id: productId }) =>
					node.call("carts.setItem", { productId, quantity: 1, cartToken })
				),
			...users.map(user =>
				node.call("carts.setItem", { productId: products[0]!.id, quantity: 9 }, user)
			)
		]);
		const carts = [
			...(await Promise.all(users.map(user => node.call("carts.get", {}, user)))),
			await node.call("carts.get", { cartToken })
		];
		const held = carts.flatMap(({ items }) => items.map(({ productId }) => productId));
		for (const { id } of products) expect(held).toContain(id);
		// One of the two got the guest's things, not both.
		expect(held.filter(id => id === products[1]!.id)).toHaveLength(1);
	});
});

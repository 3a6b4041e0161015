import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Order } from "../../contracts/orders.ts";
import { encodeCursor } from "../../lib/cursor.ts";
import { isFailure } from "../../lib/failure.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { publish } from "../../tests/support/publisher.ts";
import { until } from "../../tests/support/until.ts";
import {
	ADDRESS,
	aProduct,
	ended,
	FakeCatalog,
	FakeInventory,
	inState,
	shopper
} from "./orders.fixtures.ts";

const catalog = new FakeCatalog();
let node: TestNode;
let inventory: FakeInventory;
beforeAll(async () => {
	node = await startTestNode(["orders"], {
		env: { BREAKER_FAILURES: "1000" },
		fakes: [catalog.service]
	});
	inventory = new FakeInventory(node);
	await inventory.subscribe();
});
afterAll(() => node.stop());
afterEach(async () => {
	inventory.answer = "reserve";
	await node.settled("orders");
	assert.deepEqual(await db().query("SELECT * FROM dead_letter"), []);
});

const db = () => node.runtime.database("orders");
const charge = (orderId: string) =>
	db().one<{ status: string; amount: string; refunded: string }>(
		"SELECT status, amount, refunded FROM sandbox_charge WHERE key = $1",
		[`pay:${orderId}:1`]
	);
const netMoney = async (orderId: string): Promise<number> => {
	const row = await charge(orderId);
	return row?.status === "captured" ? Number(row.amount) - Number(row.refunded) : 0;
};
const factsOf = async (orderId: string): Promise<string[]> =>
	(
		await db().query<{ type: string }>(
			"SELECT type FROM outbox WHERE aggregate_type = 'order' AND aggregate_id = $1 ORDER BY aggregate_version",
			[orderId]
		)
	).map(({ type }) => type);
const cancel = (id: string, user = somebody(), idempotencyKey = randomUUID()) =>
	node.call("orders.cancel", { id, idempotencyKey }, user);
const refused = (code: string) => ({ type: code });

describe("a checkout", () => {
	it("answers at once and leads to a confirmed order", async () => {
		const { user, product, total, buy } = await shopper(node, catalog);
		const placed = await buy();
		expect(placed).toMatchObject({
			status: "placed",
			number: expect.stringMatching(/^V-\d{6}$/),
			items: [{ productId: product.id, quantity: 2, unitPrice: product.price, lineTotal: total }],
			total,
			shippingAddress: ADDRESS,
			payment: { method: "tok_ok", status: "none" },
			version: 1
		});
		const order = await ended(node, placed.id, user);
		expect(order).toMatchObject({
			status: "confirmed",
			payment: { method: "tok_ok", status: "captured" },
			version: 4
		});
		expect(order).not.toHaveProperty("reason");
		expect(await factsOf(order.id)).toEqual([
			"order.created.v1",
			"order.awaiting-payment.v1",
			"order.paid.v1",
			"order.confirmed.v1"
		]);
		expect(await netMoney(order.id)).toBe(total.amount);
		expect((await node.call("carts.get", {}, user)).items).toEqual([]);
	});

	it("tells subscribers all that they need", async () => {
		const { user, product, total, buy } = await shopper(node, catalog);
		const { id, number } = await buy();
		await ended(node, id, user);
		const told = { orderId: id, number, userId: user.id };
		const { data } = (await node.recorded("orders", "order.created.v1")).at(-1)!;
		expect(data).toEqual({ ...told, items: [{ productId: product.id, quantity: 2 }], total });
		const confirmed = (await node.recorded("orders", "order.confirmed.v1")).at(-1)!;
		expect(confirmed.data).toEqual({ ...told, items: [{ name: "Thing", quantity: 2 }], total });
	});

	it.each(["wait=8", "respond-async, wait=8", 'wait="8"'])(
		"waits for the end with Prefer: %s",
		async prefer => {
			const { user, request } = await shopper(node, catalog);
			const order = await node.call("orders.place", { ...request(), prefer }, user);
			expect(order.status).toBe("confirmed");
		}
	);

	it("answers what it knows when the preferred time is up", async () => {
		inventory.answer = "nothing";
		const { user, request } = await shopper(node, catalog);
		const order = await node.call("orders.place", { ...request(), prefer: "wait=1" }, user);
		expect(order.status).toBe("placed");
	});

	it("waits no longer than somebody waits for the answer", async () => {
		inventory.answer = "nothing";
		const { user, request } = await shopper(node, catalog);
		const began = Date.now();
		const options = { meta: { user }, signal: AbortSignal.timeout(200) };
		await node.broker.call("orders.place", { ...request(), prefer: "wait=8" }, options as object);
		expect(Date.now() - began).toBeLessThan(6_000);
	});

	it.each(["wait=0", "wait=soon", "return=minimal"])("does not wait with %s", async prefer => {
		const { user, request } = await shopper(node, catalog);
		const order = await node.call("orders.place", { ...request(), prefer }, user);
		expect(order.status).toBe("placed");
	});

	it("is refused for an empty cart", async () => {
		const { request } = await shopper(node, catalog);
		await expect(node.call("orders.place", request(), somebody())).rejects.toMatchObject(
			refused("CART_EMPTY")
		);
	});

	it("is refused when the total is another one by now", async () => {
		const { user, product, request } = await shopper(node, catalog);
		catalog.put({ ...product, price: { amount: 1_001, currency: "EUR" } });
		await expect(node.call("orders.place", request(), user)).rejects.toMatchObject(
			refused("TOTAL_CHANGED")
		);
		catalog.put({ ...product, price: { ...product.price, currency: "USD" } });
		await expect(node.call("orders.place", request(), user)).rejects.toMatchObject(
			refused("TOTAL_CHANGED")
		);
	});

	it.each([
		["archived", { status: "archived" as const }],
		["too few", { availability: { inStock: true, available: 1 } }]
	])("is refused for what is %s", async (_, change) => {
		const { user, product, request } = await shopper(node, catalog);
		catalog.put({ ...product, ...change });
		await expect(node.call("orders.place", request(), user)).rejects.toMatchObject(
			refused("CART_NOT_AVAILABLE")
		);
	});

	it("is refused when the cart changes between being read and bought", async () => {
		const { user, product, total, request } = await shopper(node, catalog);
		catalog.beforeLookup = async () => {
			catalog.beforeLookup = undefined;
			// The total stays what it was; the cart does not.
			const twin = catalog.put(aProduct({ price: product.price }));
			await node.call("carts.setItem", { productId: twin.id, quantity: 2 }, user);
			await node.call("carts.removeItem", { productId: product.id }, user);
		};
		await expect(node.call("orders.place", request(), user)).rejects.toMatchObject(
			refused("TOTAL_CHANGED")
		);
		expect((await node.call("carts.get", {}, user)).total).toEqual(total);
	});
});

describe("an Idempotency-Key", () => {
	it("makes one order of twenty requests at once, with equal answers", async () => {
		const { user, request } = await shopper(node, catalog);
		const same = request();
		const answers = await Promise.all(
			Array.from({ length: 20 }, () => node.call("orders.place", same, user))
		);
		for (const answer of answers) expect(answer).toEqual(answers[0]);
		expect((await node.call("orders.list", {}, user)).items).toHaveLength(1);
		// Also later, and in another order of fields.
		const { shippingAddress, ...rest } = same;
		const again = {
			...rest,
			shippingAddress: Object.fromEntries(Object.entries(ADDRESS).reverse())
		};
		expect(await node.call("orders.place", again as typeof same, user)).toEqual(answers[0]);
		expect(shippingAddress).toEqual(ADDRESS);
	});

	it("waits for the same order when the repetition prefers to wait", async () => {
		const { user, request } = await shopper(node, catalog);
		const same = request();
		const { id } = await node.call("orders.place", same, user);
		const waited = await node.call("orders.place", { ...same, prefer: "wait=8" }, user);
		expect(waited).toMatchObject({ id, status: "confirmed" });
	});

	it("is answered although the catalog is away by now, and a new one is not", async () => {
		const { user, product, request } = await shopper(node, catalog);
		const same = request();
		const first = await node.call("orders.place", same, user);
		// Something to look up.
		await node.call("carts.setItem", { productId: product.id, quantity: 1 }, user);
		catalog.beforeLookup = () => Promise.reject(new Error("away"));
		try {
			expect(await node.call("orders.place", same, user)).toEqual(first);
			await expect(node.call("orders.place", request(), user)).rejects.toThrow("away");
		} finally {
			catalog.beforeLookup = undefined;
		}
	});

	it("is refused with another request", async () => {
		const { user, request } = await shopper(node, catalog);
		const first = request();
		await node.call("orders.place", first, user);
		await expect(
			node.call("orders.place", { ...first, paymentMethod: "tok_declined" }, user)
		).rejects.toMatchObject(refused("IDEMPOTENCY_KEY_REUSED"));
	});

	it("belongs to one user", async () => {
		const key = randomUUID();
		const [ada, bob] = [await shopper(node, catalog), await shopper(node, catalog)];
		const orders = await Promise.all(
			[ada, bob].map(({ user, request }) => node.call("orders.place", request("tok_ok", key), user))
		);
		expect(orders[0]!.id).not.toBe(orders[1]!.id);
	});

	it("is not used up by a refused request", async () => {
		const { user, product, request } = await shopper(node, catalog);
		const same = request();
		catalog.put({ ...product, status: "archived" });
		await expect(node.call("orders.place", same, user)).rejects.toMatchObject(
			refused("CART_NOT_AVAILABLE")
		);
		catalog.put(product);
		expect((await node.call("orders.place", same, user)).status).toBe("placed");
	});

	it("cancels once, with equal answers", async () => {
		inventory.answer = "nothing";
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy();
		const key = randomUUID();
		const answers = await Promise.all(Array.from({ length: 5 }, () => cancel(id, user, key)));
		for (const answer of answers) expect(answer).toEqual(answers[0]);
	});
});

describe("an order that cannot be fulfilled", () => {
	it("is cancelled at once when stock is short", async () => {
		inventory.answer = "reject";
		const { user, product, buy } = await shopper(node, catalog);
		const { id } = await buy();
		const order = await ended(node, id, user);
		expect(order).toMatchObject({
			status: "cancelled",
			reason: "OUT_OF_STOCK",
			payment: { status: "none" },
			version: 3
		});
		expect(await factsOf(id)).toEqual([
			"order.created.v1",
			"order.cancelling.v1",
			"order.cancelled.v1"
		]);
		const { items } = await node.call("orders.timeline", { id }, user);
		expect(items.find(({ step }) => step === "stock-rejected")).toMatchObject({
			by: "inventory",
			detail: `${product.id}: 2 wanted, 0 there`
		});
	});

	it("is cancelled and its stock released when the payment is declined", async () => {
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy("tok_declined");
		const order = await ended(node, id, user);
		expect(order).toMatchObject({
			status: "cancelled",
			reason: "PAYMENT_FAILED",
			payment: { status: "declined" }
		});
		expect(inventory.told.get(id)).toEqual(["inventory.reserved.v1", "inventory.released.v1"]);
		expect(await netMoney(id)).toBe(0);
		const { data } = (await node.recorded("orders", "order.cancelled.v1")).at(-1)!;
		expect(data).toMatchObject({ orderId: id, reason: "PAYMENT_FAILED", refunded: null });
	});

	it("is paid back when its reservation expires", async () => {
		const { user, total, buy } = await shopper(node, catalog);
		const { id } = await buy("tok_timeout");
		await inState(node, id, user, "awaiting_payment");
		await inventory.tell("inventory.expired.v1", { orderId: id });
		const order = await ended(node, id, user);
		expect(order).toMatchObject({
			status: "cancelled",
			reason: "RESERVATION_EXPIRED",
			payment: { status: "refunded" }
		});
		expect(await netMoney(id)).toBe(0);
		const { data } = (await node.recorded("orders", "order.cancelled.v1")).at(-1)!;
		expect(data).toMatchObject({ orderId: id, refunded: total });
		expect(await db().one("SELECT stock_undo, money_undo FROM orders WHERE id = $1", [id])).toEqual(
			{ stock_undo: "done", money_undo: "refunded" }
		);
	});
});

describe("a cancellation", () => {
	it("of a placed order ends when the stock is released", async () => {
		inventory.answer = "nothing";
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy();
		const answer = await cancel(id, user);
		expect(answer).toMatchObject({ status: "cancelling", reason: "CUSTOMER", version: 2 });
		expect(await ended(node, id, user)).toMatchObject({
			status: "cancelled",
			payment: { status: "none" }
		});
		expect(inventory.told.get(id)).toEqual(["inventory.released.v1"]);
		// Too late, and no error.
		await inventory.tell("inventory.reserved.v1", { orderId: id, lines: [], until: ADDED });
		expect(await node.call("orders.get", { id }, user)).toMatchObject({ status: "cancelled" });
		expect(await charge(id)).toBeUndefined();
	});

	it("of an order whose charge is under way gives the money back", async () => {
		const { user, buy } = await shopper(node, catalog);
		// Charged at the first attempt, but known only after the second.
		const { id } = await buy("tok_timeout");
		await until(() => charge(id), "the charge");
		expect(await cancel(id, user)).toMatchObject({ status: "cancelling" });
		expect(await ended(node, id, user)).toMatchObject({
			status: "cancelled",
			reason: "CUSTOMER",
			payment: { status: "refunded" }
		});
		expect(await netMoney(id)).toBe(0);
		expect(await charge(id)).toMatchObject({ status: "captured" });
	});

	it("of an order in any moment leaves neither stock nor money behind", async () => {
		const shoppers = await Promise.all(Array.from({ length: 12 }, () => shopper(node, catalog)));
		const orders = await Promise.all(
			shoppers.map(async ({ user, buy }, index) => {
				const { id } = await buy(index % 3 === 2 ? "tok_declined" : "tok_ok");
				await new Promise(resolve => setTimeout(resolve, index * 8));
				const answer = await cancel(id, user).catch((error: unknown) => error);
				assert(!(answer instanceof Error) || isFailure(answer, "ORDER_CLOSED"), String(answer));
				return ended(node, id, user);
			})
		);
		for (const { id, status, total } of orders) {
			const last = inventory.told.get(id)!.at(-1);
			expect({ status, last, net: await netMoney(id) }).toEqual(
				status === "confirmed"
					? { status, last: "inventory.committed.v1", net: total.amount }
					: { status: "cancelled", last: "inventory.released.v1", net: 0 }
			);
		}
	});

	it("is repeated without harm, and refused once the order is confirmed", async () => {
		inventory.answer = "nothing";
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy();
		const { version } = await node.call("orders.get", { id }, user);
		await expect(
			node.call("orders.cancel", { id, idempotencyKey: "k", ifMatch: [version - 1] }, user)
		).rejects.toMatchObject(refused("VERSION_MISMATCH"));
		await node.call("orders.cancel", { id, idempotencyKey: "k", ifMatch: [version] }, user);
		expect(await cancel(id, user)).toMatchObject({ id, reason: "CUSTOMER" });
		await ended(node, id, user);
		expect(await cancel(id, user)).toMatchObject({ status: "cancelled" });

		inventory.answer = "reserve";
		const other = await shopper(node, catalog);
		const confirmed = await other.buy();
		await ended(node, confirmed.id, other.user);
		await expect(cancel(confirmed.id, other.user)).rejects.toMatchObject(refused("ORDER_CLOSED"));
	});

	it("whose money cannot be given back ends for a human to look at", async () => {
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy("tok_slow");
		await inState(node, id, user, "awaiting_payment");
		await cancel(id, user);
		const paymentId = randomUUID();
		await publish(node, "payment.refund-failed.v1", paymentId, 1, {
			orderId: id,
			paymentId,
			code: "account_closed"
		});
		expect(await ended(node, id, user)).toMatchObject({
			status: "refund_failed",
			reason: "CUSTOMER",
			payment: { status: "refund_failed" }
		});
		expect((await factsOf(id)).at(-1)).toBe("order.refund-failed.v1");
		await expect(cancel(id, user)).rejects.toMatchObject(refused("ORDER_CLOSED"));
	});

	it("by staff is told as such", async () => {
		inventory.answer = "nothing";
		const { user, buy } = await shopper(node, catalog);
		const { id } = await buy();
		await cancel(id, somebody("staff"));
		await ended(node, id, user);
		const { items } = await node.call("orders.timeline", { id }, user);
		expect(items.find(({ step }) => step === "cancel-requested")).toMatchObject({ by: "staff" });
	});
});

const ADDED = "2026-01-01T00:00:00.000Z";

describe("reading orders", () => {
	let mine: Order;
	let owner: Awaited<ReturnType<typeof shopper>>;
	beforeAll(async () => {
		owner = await shopper(node, catalog);
		mine = await owner.buy();
		mine = await ended(node, mine.id, owner.user);
	});

	it("shows nobody else's", async () => {
		const stranger = somebody();
		const { id } = mine;
		for (const peek of [
			() => node.call("orders.get", { id }, stranger),
			() => node.call("orders.timeline", { id }, stranger),
			() => cancel(id, stranger),
			() => node.call("orders.get", { id: randomUUID() }, owner.user),
			() => cancel(randomUUID(), owner.user)
		])
			await expect(peek()).rejects.toMatchObject(refused("NOT_FOUND"));
		expect((await node.call("orders.list", {}, stranger)).items).toEqual([]);
	});

	it.each(["staff", "admin"] as const)("shows %s everybody's", async role => {
		const { items } = await node.call("orders.list", { limit: 100 }, somebody(role));
		expect(items).toContainEqual(mine);
		expect(await node.call("orders.get", { id: mine.id }, somebody(role))).toEqual(mine);
	});

	it("needs a signed-in caller", async () => {
		await expect(node.call("orders.list", {})).rejects.toMatchObject(refused("UNAUTHENTICATED"));
		await expect(node.call("orders.place", owner.request())).rejects.toMatchObject(
			refused("UNAUTHENTICATED")
		);
	});

	it("pages from the newest to the oldest, each once, by state where asked", async () => {
		inventory.answer = "nothing";
		const { user, product, total, request } = await shopper(node, catalog);
		const ids: string[] = [];
		for (let n = 0; n < 5; n++) {
			const { id } = await node.call("orders.place", request(), user);
			ids.unshift(id);
			await node.call("carts.setItem", { productId: product.id, quantity: 2 }, user);
		}
		expect(total.amount).toBe(2_000);
		await cancel(ids[0]!, user);
		await ended(node, ids[0]!, user);

		const counted = await node.call("orders.list", { limit: 2, withTotal: true }, user);
		expect(counted).toMatchObject({ total: 5, items: [{ id: ids[0] }, { id: ids[1] }] });
		const cancelled = await node.call(
			"orders.list",
			{ status: "cancelled", withTotal: true },
			user
		);
		expect(cancelled.total).toBe(1);
		expect(await node.call("orders.list", {}, user)).not.toHaveProperty("total");

		const seen: string[] = [];
		let cursor: string | null = null;
		do {
			const page: { items: Order[]; nextCursor: string | null } = await node.call(
				"orders.list",
				{ limit: 2, ...(cursor ? { cursor } : {}) },
				user
			);
			seen.push(...page.items.map(({ id }) => id));
			cursor = page.nextCursor;
		} while (cursor !== null);
		expect(seen).toEqual(ids);

		const open = await node.call("orders.list", { status: "placed" }, user);
		expect(open.items.map(({ id }) => id)).toEqual(ids.slice(1));
		expect(open.nextCursor).toBeNull();
		for (const id of ids.slice(1)) await cancel(id, user);
	});

	it("is followed step by step, from any step on", async () => {
		const { items } = await node.call("orders.timeline", { id: mine.id }, owner.user);
		const follow = (after?: number) =>
			node.call(
				"orders.follow",
				{ id: mine.id, ...(after === undefined ? {} : { after }) },
				owner.user
			);
		const all = items.map((data, index) => ({ id: index + 1, data }));
		expect(await follow()).toEqual({ events: all, ended: true });
		expect(await follow(2)).toEqual({ events: all.slice(2), ended: true });
		expect(await follow(1_000)).toEqual({ events: [], ended: true });
		await expect(node.call("orders.follow", { id: mine.id }, somebody())).rejects.toMatchObject(
			refused("NOT_FOUND")
		);
	});

	it("refuses a cursor that no page of the same list gave", async () => {
		const own = { list: "orders.list", filters: [owner.user.id, undefined] };
		const list = (cursor: string, status?: "placed") =>
			node.call("orders.list", { cursor, ...(status ? { status } : {}) }, owner.user);
		const good = encodeCursor(own, randomUUID());
		await expect(list(good)).resolves.toBeDefined();
		for (const cursor of [
			"abc",
			encodeCursor(own, "x"),
			encodeCursor(own, {}),
			encodeCursor({ ...own, list: "others.list" }, randomUUID()),
			// Somebody else's.
			encodeCursor({ ...own, filters: [randomUUID(), undefined] }, randomUUID())
		])
			await expect(list(cursor)).rejects.toMatchObject(refused("INVALID_CURSOR"));
		await expect(list(good, "placed")).rejects.toMatchObject(refused("INVALID_CURSOR"));
	});

	it("tells the whole story of a confirmed order", async () => {
		const { items, remaining } = await node.call("orders.timeline", { id: mine.id }, owner.user);
		expect(items.map(({ step, status, by }) => `${by}: ${step} (${status})`)).toEqual([
			"customer: order.created (placed)",
			"inventory: stock-reserved (placed)",
			"orders: order.awaiting-payment (awaiting_payment)",
			"payments: payment-captured (awaiting_payment)",
			"orders: order.paid (paid)",
			"inventory: stock-committed (paid)",
			"orders: order.confirmed (confirmed)"
		]);
		expect(items.map(({ at }) => at)).toEqual(items.map(({ at }) => at).sort());
		expect(remaining).toEqual([]);
	});

	it("tells what is still to come, and until when", async () => {
		inventory.answer = "nothing";
		const { user, buy } = await shopper(node, catalog);
		const { id, createdAt } = await buy("tok_slow");
		const { remaining } = await node.call("orders.timeline", { id }, user);
		expect(remaining).toEqual([
			{ step: "order.awaiting-payment", deadline: expect.any(String) },
			{ step: "order.paid" },
			{ step: "order.confirmed" }
		]);
		const seconds = (Date.parse(remaining[0]!.deadline!) - Date.parse(createdAt)) / 1_000;
		expect(Math.round(seconds)).toBe(30);

		await inventory.tell("inventory.reserved.v1", { orderId: id, lines: [], until: ADDED });
		const later = await node.call("orders.timeline", { id }, user);
		expect(later.remaining).toEqual([
			{ step: "order.paid", deadline: expect.any(String) },
			{ step: "order.confirmed" }
		]);
		await cancel(id, user);
		const last = await node.call("orders.timeline", { id }, user);
		expect(last.remaining).toEqual([{ step: "order.cancelled" }]);
		await ended(node, id, user);
	});
});

describe("a fact about an order that is not ours", () => {
	it("is passed over", async () => {
		const orderId = randomUUID();
		await inventory.tell("inventory.committed.v1", { orderId });
		expect(await factsOf(orderId)).toEqual([]);
	});
});

describe("deadlines", () => {
	let hasty: TestNode;
	let stock: FakeInventory;
	const goods = new FakeCatalog();
	beforeAll(async () => {
		hasty = await startTestNode(["orders"], {
			env: { STOCK_TIMEOUT_MS: "200", PAYMENT_TIMEOUT_MS: "200" },
			fakes: [goods.service]
		});
		stock = new FakeInventory(hasty);
		await stock.subscribe();
	});
	afterAll(() => hasty.stop());

	it("give an order up that no stock comes for", async () => {
		stock.answer = "nothing";
		const { user, buy } = await shopper(hasty, goods);
		const order = await ended(hasty, (await buy()).id, user);
		expect(order).toMatchObject({ status: "cancelled", reason: "STOCK_TIMEOUT" });
		expect(stock.told.get(order.id)).toEqual(["inventory.released.v1"]);
		const { items } = await hasty.call("orders.timeline", { id: order.id }, user);
		expect(items.find(({ step }) => step === "stock-timeout")).toMatchObject({ by: "timer" });
	});

	it("give an order up that is not paid in time, and give back what is taken later", async () => {
		stock.answer = "reserve";
		const { user, buy } = await shopper(hasty, goods);
		// The provider takes three seconds.
		const order = await ended(hasty, (await buy("tok_slow")).id, user);
		expect(order).toMatchObject({
			status: "cancelled",
			reason: "PAYMENT_TIMEOUT",
			payment: { status: "refunded" }
		});
		const books = hasty.runtime.database("orders");
		expect(await books.query("SELECT amount - refunded AS net FROM sandbox_charge")).toEqual([
			{ net: "0" }
		]);
	});
});

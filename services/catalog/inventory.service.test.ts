import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Events } from "../../contracts/index.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { addCategory, addProduct, wrongStock } from "./catalog.fixtures.ts";
import { expireAll } from "./inventory.service.ts";

let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["catalog"], { env: { PAYMENT_TIMEOUT_MS: "60000" } });
	await addCategory(db(), "things");
});
afterAll(() => node.stop());
afterEach(async () => {
	assert.deepEqual(await wrongStock(db()), []);
	assert.deepEqual(await db().query("SELECT * FROM dead_letter"), []);
});

const db = () => node.runtime.database("catalog");
const product = (stock?: number) =>
	addProduct(db(), { category: "things", ...(stock === undefined ? {} : { stock }) });
const stockOf = async (productId: string) => {
	const { onHand, reserved, sold } = await node.call(
		"inventory.get",
		{ productId },
		somebody("staff")
	);
	return { onHand, reserved, sold };
};

type OrderFact =
	"order.created.v1" | "order.paid.v1" | "order.cancelling.v1" | "order.awaiting-payment.v1";
/** An order of another group, of which we only hear. */
class ForeignOrder {
	readonly id = randomUUID();
	#version = 0;

	/** Resolves when the catalog has handled it. */
	async tell<K extends OrderFact>(
		type: K,
		data: Omit<Events[K], "orderId" | "number" | "userId">
	): Promise<Envelope> {
		const event: Envelope = {
			specversion: "1.0",
			id: uuidv7(),
			type,
			source: "/valence/orders",
			subject: `order/${this.id}`,
			time: new Date().toISOString(),
			datacontenttype: "application/json",
			data: { orderId: this.id, number: "V-1", userId: randomUUID(), ...data },
			aggregatetype: "order",
			aggregateid: this.id,
			aggregateversion: ++this.#version,
			correlationid: this.id
		};
		await node.runtime.stream.publish(event);
		return event;
	}
	created = (...items: { productId: string; quantity: number }[]) =>
		this.tell("order.created.v1", { items, total: { amount: 1, currency: "EUR" } });
	paid = () => this.tell("order.paid.v1", { total: { amount: 1, currency: "EUR" } });
	cancelling = (stock = true) =>
		this.tell("order.cancelling.v1", { reason: "CUSTOMER", undo: { stock, money: false } });
	/** What the catalog has recorded about it. */
	facts = () =>
		db().query<{ type: string; version: number; data: object }>(
			`SELECT type, aggregate_version AS version, payload AS data FROM outbox
			WHERE aggregate_type = 'inventory' AND aggregate_id = $1 ORDER BY id`,
			[this.id]
		);
	/** Lets its lease have run out. */
	forget = () =>
		db().query(
			"UPDATE reservation SET until = clock_timestamp() - interval '1 s' WHERE order_id = $1",
			[this.id]
		);
}

describe("the way of an order", () => {
	it("holds all lines for a while, and sells them when the order is paid", async () => {
		const [a, b] = [await product(5), await product(5)];
		const order = new ForeignOrder();
		await order.created(
			{ productId: b, quantity: 1 },
			{ productId: a, quantity: 2 },
			{ productId: b, quantity: 1 }
		);

		const [reserved] = await order.facts();
		expect(reserved).toMatchObject({
			type: "inventory.reserved.v1",
			version: 1,
			data: {
				orderId: order.id,
				lines: [a, b].sort().map(productId => ({ productId, quantity: 2 }))
			}
		});
		const { until } = reserved!.data as { until: string };
		// The time to pay, and five minutes.
		expect(Math.abs(Date.parse(until) - Date.now() - 360_000)).toBeLessThan(5_000);
		expect(await node.call("inventory.get", { productId: b }, somebody("staff"))).toEqual({
			productId: b,
			onHand: 5,
			reserved: 2,
			sold: 0,
			available: 3,
			holds: [{ orderId: order.id, quantity: 2, until }]
		});

		await order.tell("order.awaiting-payment.v1", {});
		await order.paid();
		expect((await order.facts()).at(1)).toEqual({
			type: "inventory.committed.v1",
			version: 2,
			data: { orderId: order.id }
		});
		expect(await node.call("inventory.get", { productId: a }, somebody("staff"))).toMatchObject({
			onHand: 3,
			reserved: 0,
			sold: 2,
			available: 3,
			holds: []
		});
	});

	it("holds nothing of an order that is short of one line, or names a product there is not", async () => {
		const [enough, short, unknown] = [await product(5), await product(1), randomUUID()];
		const order = new ForeignOrder();
		await order.created(
			{ productId: enough, quantity: 5 },
			{ productId: short, quantity: 2 },
			{ productId: unknown, quantity: 1 }
		);
		expect(await stockOf(enough)).toEqual({ onHand: 5, reserved: 0, sold: 0 });
		const shortages = [
			{ productId: short, requested: 2, available: 1 },
			{ productId: unknown, requested: 1, available: 0 }
		].sort((x, y) => (x.productId < y.productId ? -1 : 1));
		expect(await order.facts()).toEqual([
			{ type: "inventory.rejected.v1", version: 1, data: { orderId: order.id, shortages } }
		]);
	});

	it("gives back what was held when the order is cancelled, and says so once", async () => {
		const productId = await product(3);
		const order = new ForeignOrder();
		await order.created({ productId, quantity: 3 });
		await order.cancelling(false);
		expect(await stockOf(productId)).toMatchObject({ reserved: 3 });
		await order.cancelling();
		await order.cancelling();
		expect(await stockOf(productId)).toEqual({ onHand: 3, reserved: 0, sold: 0 });
		expect(await order.facts()).toMatchObject([
			{ type: "inventory.reserved.v1", version: 1 },
			{ type: "inventory.released.v1", version: 2, data: { orderId: order.id } }
		]);
	});

	it("takes effect once, however often an event comes", async () => {
		const productId = await product(3);
		const order = new ForeignOrder();
		const event = await order.created({ productId, quantity: 1 });
		await Promise.all([event, event, event].map(e => node.runtime.stream.publish(e)));
		expect(await stockOf(productId)).toMatchObject({ reserved: 1 });
		expect(await order.facts()).toHaveLength(1);
	});
});

describe("races", () => {
	/** Spied upon, because trouble that is tried again leaves no other trace. */
	const logs = () => {
		const { logger } = node.broker.getLocalService("inventory");
		return {
			warn: jest.spyOn(logger, "warn").mockImplementation(),
			error: jest.spyOn(logger, "error").mockImplementation()
		};
	};
	afterEach(() => jest.restoreAllMocks());

	it("a cancellation that comes before its order leaves a tombstone: the order then holds nothing", async () => {
		const productId = await product(3);
		const order = new ForeignOrder();
		await order.cancelling();
		await order.created({ productId, quantity: 1 });
		expect(await stockOf(productId)).toMatchObject({ reserved: 0 });
		expect(await order.facts()).toEqual([
			{ type: "inventory.released.v1", version: 1, data: { orderId: order.id } }
		]);
		expect(
			await db().one("SELECT status FROM reservation WHERE order_id = $1", [order.id])
		).toEqual({
			status: "tombstone"
		});
	});

	it("a payment of what is not held any more, or never was, sells nothing", async () => {
		const productId = await product(1);
		const [released, absent] = [new ForeignOrder(), new ForeignOrder()];
		const { error } = logs();
		await released.created({ productId, quantity: 1 });
		await released.cancelling();
		await released.paid();
		await absent.paid();
		expect(await stockOf(productId)).toEqual({ onHand: 1, reserved: 0, sold: 0 });
		expect(await released.facts()).toHaveLength(2);
		expect(await absent.facts()).toEqual([]);
		expect(error.mock.calls).toEqual([
			[`The order ${released.id} is paid, but its reservation is 'released'.`],
			[`The order ${absent.id} is paid, but its reservation is 'none'.`]
		]);
	});

	it("200 orders at once for the last 50 units: just 50 are held, then sold", async () => {
		const { warn, error } = logs();
		const productId = await product(50);
		const orders = Array.from({ length: 200 }, () => new ForeignOrder());
		await Promise.all(orders.map(order => order.created({ productId, quantity: 1 })));
		expect(await stockOf(productId)).toEqual({ onHand: 50, reserved: 50, sold: 0 });

		const facts = (await Promise.all(orders.map(order => order.facts()))).map(
			([fact]) => fact!.type
		);
		const lucky = orders.filter((_order, n) => facts[n] === "inventory.reserved.v1");
		expect(lucky).toHaveLength(50);
		expect(facts.filter(type => type === "inventory.rejected.v1")).toHaveLength(150);
		expect(await wrongStock(db())).toEqual([]);

		await Promise.all(lucky.map(order => order.paid()));
		expect(await stockOf(productId)).toEqual({ onHand: 0, reserved: 0, sold: 50 });
		expect([warn.mock.calls, error.mock.calls]).toEqual([[], []]);
	});

	it("orders for the same products in any order never wait for each other in a circle", async () => {
		const { warn, error } = logs();
		const ids = await Promise.all([1, 2, 3, 4].map(() => product(1_000)));
		const orders = Array.from({ length: 60 }, () => new ForeignOrder());
		await Promise.all(
			orders.map(async (order, n) => {
				const turned = [...ids.slice(n % 4), ...ids.slice(0, n % 4)];
				await order.created(
					...(n % 2 ? turned : turned.toReversed()).map(productId => ({ productId, quantity: 1 }))
				);
				await (n % 3 ? order.paid() : order.cancelling());
			})
		);
		expect(await stockOf(ids[0]!)).toEqual({ onHand: 960, reserved: 0, sold: 40 });
		expect([warn.mock.calls, error.mock.calls]).toEqual([[], []]);
	});
});

describe("a lease", () => {
	it("that ran out is ended by the sweep, and the units can be had by others", async () => {
		const productId = await product(1);
		const [first, second] = [new ForeignOrder(), new ForeignOrder()];
		await first.created({ productId, quantity: 1 });
		await first.forget();
		for (const until = Date.now() + 8_000; Date.now() < until && (await first.facts()).length < 2;)
			await new Promise(resolve => setTimeout(resolve, 100));
		expect((await first.facts()).at(1)).toEqual({
			type: "inventory.expired.v1",
			version: 2,
			data: { orderId: first.id }
		});
		await second.created({ productId, quantity: 1 });
		expect(await stockOf(productId)).toEqual({ onHand: 1, reserved: 1, sold: 0 });

		// The order that was too late is answered all the same.
		await first.cancelling();
		expect((await first.facts()).at(2)).toMatchObject({
			type: "inventory.released.v1",
			version: 3
		});
	});

	it("ends once, however many nodes sweep", async () => {
		const productId = await product(20);
		const orders = Array.from({ length: 10 }, () => new ForeignOrder());
		await Promise.all(orders.map(order => order.created({ productId, quantity: 2 })));
		await Promise.all(orders.map(order => order.forget()));
		await Promise.all([expireAll(db()), expireAll(db()), expireAll(db())]);
		expect(await stockOf(productId)).toEqual({ onHand: 20, reserved: 0, sold: 0 });
		for (const order of orders) expect(await order.facts()).toHaveLength(2);
	});

	it("that cannot be ended does not hold up the others, and is told of", async () => {
		const [broken, sound] = [await product(1), await product(1)];
		const orders = [new ForeignOrder(), new ForeignOrder()] as const;
		await orders[0].created({ productId: broken, quantity: 1 });
		await orders[1].created({ productId: sound, quantity: 1 });
		// As an operator's slip would leave it: the release would go below zero.
		await db().query("UPDATE stock SET reserved = 0 WHERE product_id = $1", [broken]);
		for (const order of orders) await order.forget();
		await expect(expireAll(db())).rejects.toThrow(/stock_reserved_check/);
		expect(await stockOf(sound)).toMatchObject({ reserved: 0 });
		expect(await orders[0].facts()).toHaveLength(1);

		await db().query("UPDATE stock SET reserved = 1 WHERE product_id = $1", [broken]);
		await expireAll(db());
		expect(await orders[0].facts()).toHaveLength(2);
	});
});

describe("reading stock", () => {
	it("shows zeros for a product that never came in, and knows no others", async () => {
		const productId = await product();
		expect(await node.call("inventory.get", { productId }, somebody("staff"))).toEqual({
			productId,
			onHand: 0,
			reserved: 0,
			sold: 0,
			available: 0,
			holds: []
		});
		await expect(
			node.call("inventory.get", { productId: randomUUID() }, somebody("staff"))
		).rejects.toMatchObject({
			type: "NOT_FOUND"
		});
	});

	it("is for staff", async () => {
		const productId = await product(1);
		await expect(node.call("inventory.get", { productId })).rejects.toMatchObject({ code: 401 });
		await expect(node.call("inventory.get", { productId }, somebody())).rejects.toMatchObject({
			code: 403
		});
	});

	it("refuses an id that the database could not read", async () => {
		const productId = `urn:uuid:${randomUUID()}`;
		await expect(
			node.call("inventory.get", { productId }, somebody("staff"))
		).rejects.toMatchObject({ code: 422 });
	});
});

describe("the database refuses", () => {
	it.each([
		["stock below what is reserved", "UPDATE stock SET on_hand = reserved - 1"],
		[
			"a movement that its kind does not make",
			`INSERT INTO stock_movement (product_id, kind, on_hand_delta,
			reserved_delta, sold_delta, reason) SELECT product_id, 'receipt', 1, 1, 0, '' FROM stock`
		],
		[
			"an order's effect for a second time",
			`INSERT INTO stock_movement (product_id, kind, on_hand_delta,
			reserved_delta, sold_delta, reason, order_id) SELECT product_id, kind, on_hand_delta, reserved_delta,
			sold_delta, reason, order_id FROM stock_movement WHERE order_id IS NOT NULL`
		]
	])("%s", async (_what, sql) => {
		await new ForeignOrder().created({ productId: await product(1), quantity: 1 });
		await expect(db().query(sql)).rejects.toThrow(/constraint|Validation/);
	});
});

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Actions, Events } from "../../contracts/index.ts";
import { encodeCursor } from "../../lib/cursor.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import type { Identity } from "../../lib/identity.ts";
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
			holds: [{ orderId: order.id, quantity: 2, until }],
			unlisted: 0,
			version: 1
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
		await Promise.all([expireAll(db(), 5), expireAll(db(), 5), expireAll(db(), 5)]);
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
		await expect(expireAll(db(), 5)).rejects.toThrow(/stock_reserved_check/);
		expect(await stockOf(sound)).toMatchObject({ reserved: 0 });
		expect(await orders[0].facts()).toHaveLength(1);

		await db().query("UPDATE stock SET reserved = 1 WHERE product_id = $1", [broken]);
		await expireAll(db(), 5);
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
			holds: [],
			unlisted: 0,
			version: 0
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

describe("adjusting stock", () => {
	const ada = somebody("staff");
	type Change = Omit<Actions["inventory.adjust"]["params"], "idempotencyKey">;
	const adjust = (change: Change, user: Identity | undefined = ada, key: string = randomUUID()) =>
		node.call("inventory.adjust", { ...change, idempotencyKey: key }, user);
	const movementsOf = async (productId: string) =>
		(await node.call("inventory.movements", { productId }, ada)).items;
	/** What was told of a product. */
	const told = (productId: string) =>
		db().query<{ type: string; version: number; data: object }>(
			`SELECT type, aggregate_version AS version, payload AS data FROM outbox
			 WHERE aggregate_type = 'stock' AND aggregate_id = $1 ORDER BY aggregate_version`,
			[productId]
		);

	it("moves what is on hand, writes it into the ledger, and tells it", async () => {
		const productId = await product(10);
		const note = "Dropped in aisle 4";
		expect(await adjust({ productId, delta: -3, reason: "damaged", note })).toEqual({
			productId,
			onHand: 7,
			reserved: 0,
			sold: 0,
			available: 7,
			holds: [],
			unlisted: 0,
			version: 1
		});
		expect(await movementsOf(productId)).toEqual([
			{
				at: expect.any(String),
				kind: "adjust",
				delta: -3,
				changes: { onHand: -3, reserved: 0, sold: 0 },
				reason: "damaged",
				note,
				by: ada.id
			},
			expect.objectContaining({ kind: "receipt", delta: 10, reason: "test" })
		]);
		const data = { productId, delta: -3, reason: "damaged", onHand: 7, available: 7, by: ada.id };
		expect(await told(productId)).toEqual([{ type: "stock.adjusted.v1", version: 1, data }]);
	});

	it("gives stock to a product that never had any, also when many do so at once", async () => {
		const productId = await product();
		await Promise.all(
			Array.from({ length: 6 }, () => adjust({ productId, delta: 2, reason: "received" }))
		);
		expect(await stockOf(productId)).toEqual({ onHand: 12, reserved: 0, sold: 0 });
		expect((await told(productId)).map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6]);
	});

	it("leaves what orders hold, and says how much is free", async () => {
		const productId = await product(5);
		await new ForeignOrder().created({ productId, quantity: 2 });
		await expect(adjust({ productId, delta: -4, reason: "lost" })).rejects.toMatchObject({
			type: "INSUFFICIENT_STOCK",
			code: 409,
			message: "Only 3 of 5 units are free: orders hold 2."
		});
		expect(await movementsOf(productId)).toHaveLength(2);
		expect(await adjust({ productId, delta: -3, reason: "lost" })).toMatchObject({
			onHand: 2,
			available: 0
		});
	});

	it("never takes the unit that an order takes at the same moment", async () => {
		for (let round = 0; round < 10; round++) {
			const productId = await product(1);
			const order = new ForeignOrder();
			const [adjusted] = await Promise.allSettled([
				adjust({ productId, delta: -1, reason: "lost" }),
				order.created({ productId, quantity: 1 })
			]);
			const [fact] = await order.facts();
			expect([adjusted.status, fact!.type]).toEqual(
				adjusted.status === "fulfilled"
					? ["fulfilled", "inventory.rejected.v1"]
					: ["rejected", "inventory.reserved.v1"]
			);
		}
	});

	it("happens once for each key, and keeps a refused one free", async () => {
		const productId = await product(5);
		const key = randomUUID();
		await expect(adjust({ productId, delta: -6, reason: "lost" }, ada, key)).rejects.toMatchObject({
			type: "INSUFFICIENT_STOCK"
		});
		const change = { productId, delta: -1, reason: "lost" } as const;
		const answers = await Promise.all([1, 2, 3].map(() => adjust(change, ada, key)));
		expect(answers).toEqual(answers.map(() => expect.objectContaining({ onHand: 4, version: 1 })));
		await expect(adjust({ ...change, delta: -2 }, ada, key)).rejects.toMatchObject({
			type: "IDEMPOTENCY_KEY_REUSED"
		});
		expect(await stockOf(productId)).toMatchObject({ onHand: 4 });
	});

	it("heeds If-Match: what was counted must be what is there", async () => {
		const productId = await product(5);
		const { version } = await node.call("inventory.get", { productId }, ada);
		await new ForeignOrder().created({ productId, quantity: 1 });
		const change = { productId, delta: 1, reason: "correction" } as const;
		await expect(adjust({ ...change, ifMatch: [version] })).rejects.toMatchObject({ code: 412 });
		expect(await adjust({ ...change, ifMatch: [version + 1] })).toMatchObject({ onHand: 6 });
	});

	it("refuses what makes no sense", async () => {
		const productId = await product(5);
		await expect(
			adjust({ productId: randomUUID(), delta: 1, reason: "found" })
		).rejects.toMatchObject({ type: "NOT_FOUND" });
		for (const change of [
			{ delta: 0, reason: "correction" },
			{ delta: 1, reason: "lost" },
			{ delta: -1, reason: "received" },
			{ delta: 1.5, reason: "found" },
			{ delta: 1_000_001, reason: "found" },
			{ delta: 1, reason: "because" },
			{ delta: 1, reason: "found", note: "" }
		] as Omit<Change, "productId">[])
			await expect(adjust({ productId, ...change })).rejects.toMatchObject({ code: 422 });
		await db().query("UPDATE stock SET on_hand = 1000000000 WHERE product_id = $1", [productId]);
		await expect(adjust({ productId, delta: 1, reason: "found" })).rejects.toMatchObject({
			type: "TOO_MUCH_STOCK"
		});
		await db().query("UPDATE stock SET on_hand = 5 WHERE product_id = $1", [productId]);
		expect(await told(productId)).toEqual([]);
	});

	it("is for staff", async () => {
		const change = { productId: await product(1), delta: 1, reason: "found" } as const;
		const nobody = { ...change, idempotencyKey: randomUUID() };
		await expect(node.call("inventory.adjust", nobody)).rejects.toMatchObject({ code: 401 });
		await expect(adjust(change, somebody())).rejects.toMatchObject({ code: 403 });
	});

	it("tells that stock is low, once, whatever made it so", async () => {
		const productId = await product(7);
		const low = async () => (await told(productId)).filter(({ type }) => type === "stock.low.v1");
		const first = new ForeignOrder();
		await first.created({ productId, quantity: 1 });
		expect(await low()).toEqual([]);
		await adjust({ productId, delta: -1, reason: "lost" });
		const expected = (version: number, available: number) => ({
			type: "stock.low.v1",
			version,
			data: { productId, available, threshold: 5 }
		});
		expect(await low()).toEqual([expected(2, 5)]);
		await new ForeignOrder().created({ productId, quantity: 2 });
		expect(await low()).toHaveLength(1);
		// Above, by what is given back and what comes in; and down again, by an order.
		await first.cancelling();
		await adjust({ productId, delta: 2, reason: "returned" });
		await new ForeignOrder().created({ productId, quantity: 3 });
		expect(await low()).toEqual([expected(2, 5), expected(4, 3)]);
	});

	it("is an order's affair, too: each product of it is told of by itself", async () => {
		const ids = [await product(6), await product(20), await product(3)];
		await new ForeignOrder().created(...ids.map(productId => ({ productId, quantity: 2 })));
		const facts = await Promise.all(ids.map(told));
		expect(facts.map(each => each.map(({ data }) => data))).toEqual([
			[{ productId: ids[0], available: 4, threshold: 5 }],
			[],
			[{ productId: ids[2], available: 1, threshold: 5 }]
		]);
	});
});

describe("the ledger", () => {
	const read = (params: Actions["inventory.movements"]["params"]) =>
		node.call("inventory.movements", params, somebody("staff"));

	it("shows each movement, newest first; what they do to what can be bought adds up", async () => {
		const productId = await product(9);
		const [sold, cancelled, late] = [new ForeignOrder(), new ForeignOrder(), new ForeignOrder()];
		for (const order of [sold, cancelled, late]) await order.created({ productId, quantity: 2 });
		await sold.paid();
		await cancelled.cancelling();
		await late.forget();
		await expireAll(db(), 5);
		const { items, nextCursor } = await read({ productId });
		expect(nextCursor).toBeNull();
		expect(items.map(({ kind, delta, orderId }) => [kind, delta, orderId])).toEqual([
			["expire", 2, late.id],
			["release", 2, cancelled.id],
			["commit", 0, sold.id],
			["reserve", -2, late.id],
			["reserve", -2, cancelled.id],
			["reserve", -2, sold.id],
			["receipt", 9, undefined]
		]);
		const { available } = await node.call("inventory.get", { productId }, somebody("staff"));
		expect(items.reduce((sum, { delta }) => sum + delta, 0)).toBe(available);
	});

	it("goes page by page, and each movement is on one of them while others come", async () => {
		const productId = await product(50);
		const orders = Array.from({ length: 9 }, () => new ForeignOrder());
		for (const order of orders) await order.created({ productId, quantity: 1 });
		const seen: (string | undefined)[] = [];
		for (let cursor: string | undefined; ;) {
			const page = await read({ productId, limit: 3, ...(cursor ? { cursor } : {}) });
			seen.push(...page.items.map(({ orderId }) => orderId));
			if (!page.nextCursor) break;
			cursor = page.nextCursor;
			await new ForeignOrder().created({ productId, quantity: 1 });
		}
		expect(seen).toEqual([...orders.toReversed().map(({ id }) => id), undefined]);
	});

	it("knows its products, its cursors and its readers", async () => {
		const [productId, other] = [await product(), await product(3)];
		expect(await read({ productId })).toEqual({ items: [], nextCursor: null });
		await expect(read({ productId: randomUUID() })).rejects.toMatchObject({ type: "NOT_FOUND" });
		const listing = { list: "inventory.movements", filters: [other] };
		for (const cursor of [
			"x",
			encodeCursor(listing, 7),
			encodeCursor(listing, "0"),
			encodeCursor(listing, "9".repeat(19)),
			encodeCursor({ ...listing, filters: [productId] }, "7")
		])
			await expect(read({ productId: other, cursor })).rejects.toMatchObject({
				type: "INVALID_CURSOR"
			});
		await expect(node.call("inventory.movements", { productId }, somebody())).rejects.toMatchObject(
			{ code: 403 }
		);
	});

	it("lists a thousand holds of a product, and counts the others", async () => {
		const productId = await product(2_000);
		await db().query(
			`WITH r AS (INSERT INTO reservation (order_id, status, version, until)
				SELECT gen_random_uuid(), 'active', 1, clock_timestamp() + n * interval '1 minute'
				FROM generate_series(1, 1003) AS n RETURNING order_id),
			l AS (INSERT INTO reservation_line SELECT order_id, $1, 1 FROM r),
			s AS (UPDATE stock SET reserved = 1003 WHERE product_id = $1)
			INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason, order_id)
			SELECT $1, 'reserve', 0, 1, 0, 'test', order_id FROM r`,
			[productId]
		);
		const { holds, unlisted } = await node.call("inventory.get", { productId }, somebody("staff"));
		expect(holds).toHaveLength(1_000);
		expect(holds.map(({ until }) => until)).toEqual(holds.map(({ until }) => until).toSorted());
		expect(unlisted).toBe(3);
	});

	it.each([
		["what is on hand", "UPDATE stock SET on_hand = on_hand + 1"],
		["what is reserved", "UPDATE stock SET reserved = reserved - 1"],
		["what is sold", "UPDATE stock SET sold = sold + 1"],
		["a hold", "UPDATE reservation_line SET quantity = quantity + 1"],
		["a movement", "UPDATE stock_movement SET on_hand_delta = 99 WHERE kind = 'receipt'"]
	])("is compared with the stock and the holds: %s that is wrong shows", async (_what, slip) => {
		const productId = await product(5);
		await new ForeignOrder().created({ productId, quantity: 2 });
		const differences = async () =>
			(await node.call("inventory.reconcile", {})).differences.map(each => each.productId);
		expect(await differences()).toEqual([]);
		const of = slip.includes("WHERE") ? "AND" : "WHERE";
		await db().query(`${slip} ${of} product_id = $1`, [productId]);
		expect(await differences()).toEqual([productId]);
		expect((await node.call("inventory.reconcile", {})).products).toBeGreaterThan(0);
		await db().query(
			`UPDATE stock SET on_hand = 5, reserved = 2, sold = 0 WHERE product_id = '${productId}';
			 UPDATE reservation_line SET quantity = 2 WHERE product_id = '${productId}';
			 UPDATE stock_movement SET on_hand_delta = 5 WHERE kind = 'receipt' AND product_id = '${productId}'`
		);
	});
});

describe("the database refuses", () => {
	it.each([
		["stock below what is reserved", "UPDATE stock SET on_hand = reserved - 1"],
		["more stock than can be counted", "UPDATE stock SET on_hand = 1000000001"],
		[
			"a movement of an order that somebody made",
			"UPDATE stock_movement SET by = gen_random_uuid() WHERE kind = 'reserve'"
		],
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

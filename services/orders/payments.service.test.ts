import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { PaymentMethod } from "../../contracts/payments.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { publish } from "../../tests/support/publisher.ts";
import { until } from "../../tests/support/until.ts";
import { insertPayment } from "./payments.store.ts";
import { charge, refund } from "./sandbox.ts";

const AMOUNT = { amount: 1_999, currency: "EUR" };

let node: TestNode;
beforeAll(async () => {
	node = await startTestNode(["orders"]);
});
afterAll(() => node.stop());
afterEach(async () => assert.deepEqual(await db().query("SELECT * FROM dead_letter"), []));

const db = () => node.runtime.database("orders");

/** An order as payments hears of it. */
class Order {
	readonly id = randomUUID();

	request = (method: PaymentMethod) =>
		publish(node, "payment.requested.v1", this.id, 1, {
			orderId: this.id,
			amount: AMOUNT,
			method
		});
	cancel = (money = true) =>
		publish(node, "order.cancelling.v1", this.id, 1, {
			orderId: this.id,
			number: "V-1",
			userId: randomUUID(),
			reason: "CUSTOMER",
			undo: { stock: false, money }
		});
	/** The facts told about its payment, in order. */
	facts = async (): Promise<string[]> => {
		const rows = await db().query<{ type: string; version: number }>(
			`SELECT type, aggregate_version AS version FROM outbox
			WHERE payload->>'orderId' = $1 AND type LIKE 'payment.%' ORDER BY aggregate_version`,
			[this.id]
		);
		assert.deepEqual(
			rows.map(({ version }) => version),
			rows.map((_, index) => index + 1)
		);
		return rows.map(({ type }) => type);
	};
	told = (...types: string[]) =>
		until(
			async () => (await this.facts()).join() === types.join(),
			`${types.join()} of ${this.id}`
		);
	charges = () =>
		db().query<{ status: string; net: number }>(
			"SELECT status, (amount - refunded)::int AS net FROM sandbox_charge WHERE key LIKE $1",
			[`pay:${this.id}:%`]
		);
	job = (kind: string) =>
		db().one<{ attempts: number; failed: boolean; done: boolean }>(
			"SELECT attempts, last_error IS NOT NULL AS failed, done_at IS NOT NULL AS done FROM job WHERE kind = $1 AND key LIKE $2",
			[kind, `%:${this.id}%`]
		);
}

describe("a requested payment", () => {
	it("is charged once and told", async () => {
		const order = new Order();
		await order.request("tok_ok");
		await order.told("payment.processed.v1");
		expect(await order.charges()).toEqual([{ status: "captured", net: 1_999 }]);
		const row = await db().one<{ payload: object; headers: object }>(
			"SELECT payload, headers FROM outbox WHERE payload->>'orderId' = $1",
			[order.id]
		);
		expect(row!.payload).toEqual({
			orderId: order.id,
			paymentId: expect.any(String),
			amount: AMOUNT
		});
		// The story hangs together across the job.
		expect(row!.headers).toMatchObject({
			correlationId: order.id,
			causationId: expect.any(String)
		});
	});

	it("is told as failed when the provider declines", async () => {
		const order = new Order();
		await order.request("tok_declined");
		await order.told("payment.failed.v1");
		expect(await order.charges()).toMatchObject([{ status: "declined" }]);
		const [{ data } = { data: {} }] = (await node.recorded("orders", "payment.failed.v1")).slice(
			-1
		);
		expect(data).toMatchObject({ orderId: order.id, code: "card_declined" });
	});

	it.each([
		["fails once", "tok_error" as const],
		["charges and does not answer in time", "tok_timeout" as const]
	])("is charged once by a provider that %s", async (_, method) => {
		const order = new Order();
		await order.request(method);
		await order.told("payment.processed.v1");
		expect(await order.charges()).toEqual([{ status: "captured", net: 1_999 }]);
		expect(await order.job("charge")).toEqual({ attempts: 2, failed: true, done: true });
	});
});

describe("a cancelled payment", () => {
	it("is never charged when the cancellation comes first", async () => {
		const order = new Order();
		await order.cancel();
		await order.request("tok_ok");
		await order.told("payment.voided.v1");
		expect(await order.job("charge")).toBeUndefined();
	});

	it("is refunded when it is captured", async () => {
		const order = new Order();
		await order.request("tok_ok");
		await order.told("payment.processed.v1");
		await order.cancel();
		await order.told("payment.processed.v1", "payment.refunded.v1");
		expect(await order.charges()).toEqual([{ status: "captured", net: 0 }]);
	});

	it("is refunded when it is captured afterwards", async () => {
		const order = new Order();
		await order.request("tok_timeout");
		await until(async () => (await order.charges()).length > 0, "the charge");
		await order.cancel();
		await order.told("payment.refunded.v1");
		expect(await order.charges()).toEqual([{ status: "captured", net: 0 }]);
	});

	it("is voided when it was declined", async () => {
		const order = new Order();
		await order.request("tok_declined");
		await order.told("payment.failed.v1");
		await order.cancel();
		await order.told("payment.failed.v1", "payment.voided.v1");
		expect(await order.charges()).toMatchObject([{ status: "declined" }]);
	});

	it("keeps its money where none is to be given back", async () => {
		const order = new Order();
		await order.request("tok_ok");
		await order.told("payment.processed.v1");
		await order.cancel(false);
		expect(await order.facts()).toEqual(["payment.processed.v1"]);
	});

	it("ends the same way however request and cancellation meet", async () => {
		const orders = Array.from({ length: 10 }, () => new Order());
		await Promise.all(orders.flatMap(order => [order.request("tok_ok"), order.cancel()]));
		for (const order of orders) {
			await until(
				async () => /voided|refunded/.test((await order.facts()).at(-1) ?? ""),
				`the end of ${order.id}`
			);
			const kept = (await order.charges()).reduce((sum, { net }) => sum + net, 0);
			expect(kept).toBe(0);
		}
	});

	it("is no error when the cancellation comes while the request is under way", async () => {
		const errors = jest.spyOn(node.broker.getLocalService("payments").logger, "error");
		const order = new Order();
		let requested: Promise<unknown> = Promise.resolve();
		await db().transaction(async tx => {
			// What the handler of the cancellation does, up to its commit.
			await insertPayment(tx, {
				orderId: order.id,
				status: "voided",
				version: 1,
				method: null,
				amount: null
			});
			requested = order.request("tok_ok");
			await until(
				async () =>
					(await db().one(
						"SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO payment%'"
					)) !== undefined,
				"the request waits"
			);
		});
		await requested;
		expect(errors).not.toHaveBeenCalled();
		expect(await order.job("charge")).toBeUndefined();
	});

	it("is told when the refund is given up", async () => {
		const order = new Order();
		await order.request("tok_ok");
		await order.told("payment.processed.v1");
		// The provider does not know the charge any more, and this is the last attempt but one.
		await db().query("DELETE FROM sandbox_charge WHERE key LIKE $1", [`pay:${order.id}:%`]);
		await order.cancel();
		await until(async () => (await order.job("refund"))?.failed, "the first attempt");
		await db().query("UPDATE job SET attempts = 39, run_at = now() WHERE key = $1", [
			`refund:${order.id}`
		]);
		await order.told("payment.processed.v1", "payment.refund-failed.v1");
		expect(await order.job("refund")).toMatchObject({ attempts: 40, done: false });
	});
});

describe("the sandbox", () => {
	const request = () => ({ key: randomUUID(), amount: AMOUNT, method: "tok_ok" as const });

	it("repeats its answer for a key that it knows", async () => {
		const same = request();
		const answers = await Promise.all([1, 1, 2].map(attempt => charge(db(), same, attempt)));
		for (const answer of answers) expect(answer).toEqual(answers[0]);
	});

	it("refunds a charge once, and none that it does not know", async () => {
		const outcome = await charge(db(), request(), 1);
		assert(outcome.status === "captured");
		const key = randomUUID();
		await refund(db(), outcome.ref, key);
		await refund(db(), outcome.ref, key);
		await expect(refund(db(), outcome.ref, randomUUID())).rejects.toThrow("no charge");
		await expect(refund(db(), "ch_unknown", randomUUID())).rejects.toThrow("no charge");
		expect(
			await db().one("SELECT refunded::int FROM sandbox_charge WHERE ref = $1", [outcome.ref])
		).toEqual({ refunded: 1_999 });
	});
});

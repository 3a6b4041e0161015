import { readdirSync, readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { eventually } from "../support/process.ts";
import { ADDRESS, PASSWORD } from "../support/api.ts";
import { api, dataDir, shape, urls } from "./shape.ts";

async function aProduct() {
	const { body } = await api.get("/products?q=lamp&inStock=true&sort=-price&limit=20");
	return body.items[Math.floor(Math.random() * body.items.length)];
}

const mailsTo = (address: string): string[] =>
	readdirSync(join(dataDir, "mail"))
		// One that is being written has another ending.
		.filter(file => file.endsWith(".eml"))
		.map(file => readFileSync(join(dataDir, "mail", file), "utf8"))
		.filter(mail => mail.includes(`To: ${address}`));

const mailArrives = (address: string, subject: RegExp) =>
	eventually(`a mail ${subject}`, () => mailsTo(address).some(mail => subject.test(mail)));

describe(`a customer's journey (${shape})`, () => {
	it("leads from registration to a confirmed order and its mail", async () => {
		const ada = await api.newCustomer();
		expect(ada.registered.status).toBe(201);
		expect(ada.registered.body).toMatchObject({
			email: ada.email,
			roles: ["customer"],
			status: "active"
		});
		expect(JSON.stringify(ada.registered.body)).not.toMatch(/password|hash/i);
		expect(ada.login.body).toMatchObject({ tokenType: "Bearer", user: { username: ada.username } });

		const me = await api.get("/users/me", ada.token);
		expect(me.body.email).toBe(ada.email);

		const product = await aProduct();
		const cart = await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 2 }
		});
		expect(cart.status).toBe(200);
		expect(cart.body.total).toEqual({ amount: product.price.amount * 2, currency: "EUR" });

		const checkout = await api.checkOut(ada.token);
		expect(checkout.status).toBe(201);
		expect(checkout.body).toMatchObject({ status: "confirmed", payment: { status: "captured" } });
		expect(checkout.headers.get("location")).toBe(`/api/v1/orders/${checkout.body.id}`);

		const order = await api.get(`/orders/${checkout.body.id}`, ada.token);
		expect(order.body).toEqual(checkout.body);
		const timeline = await api.get(`/orders/${checkout.body.id}/timeline`, ada.token);
		expect(timeline.body.items.map(({ step }: { step: string }) => step)).toEqual([
			"order.created",
			"stock-reserved",
			"order.awaiting-payment",
			"payment-captured",
			"order.paid",
			"stock-committed",
			"order.confirmed"
		]);
		expect(timeline.body.remaining).toEqual([]);
		expect((await api.get("/cart", ada.token)).body.items).toEqual([]);
		expect((await api.get("/orders", ada.token)).body.items).toHaveLength(1);
		await mailArrives(ada.email, /Subject: .*confirmed/);
	});

	it("gives stock and money back when the payment is declined", async () => {
		const ada = await api.newCustomer();
		const staff = await api.login("staff@valence.test");
		const product = await aProduct();
		const before = await api.get(`/inventory/${product.id}`, staff);
		await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 1 }
		});
		const { status, body } = await api.checkOut(ada.token, { method: "tok_declined" });
		expect(status).toBe(201);
		expect(body).toMatchObject({
			status: "cancelled",
			reason: "PAYMENT_FAILED",
			payment: { status: "declined" }
		});
		const after = await api.get(`/inventory/${product.id}`, staff);
		expect(
			after.body.holds.filter(({ orderId }: { orderId: string }) => orderId === body.id)
		).toEqual([]);
		expect(after.body.sold).toBe(before.body.sold);
		await mailArrives(ada.email, /Subject: .*cancelled/);
	});

	it("gives one order for one Idempotency-Key, however often it is sent", async () => {
		const ada = await api.newCustomer();
		const product = await aProduct();
		const cart = await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 1 }
		});
		const send = (method = "tok_ok") =>
			api.request("POST", "/checkout", {
				token: ada.token,
				headers: { "Idempotency-Key": "the-same" },
				body: { shippingAddress: ADDRESS, paymentMethod: method, expectedTotal: cart.body.total }
			});
		const answers = await Promise.all(Array.from({ length: 10 }, () => send()));
		expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(202));
		expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
		expect((await api.get("/orders", ada.token)).body.items).toHaveLength(1);
		const other = await send("tok_declined");
		expect(other).toMatchObject({ status: 422, body: { code: "IDEMPOTENCY_KEY_REUSED" } });
	});

	it("cancels before payment, and refuses afterwards", async () => {
		const ada = await api.newCustomer();
		const product = await aProduct();
		await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 1 }
		});
		const { body: order } = await api.checkOut(ada.token, { method: "tok_slow", wait: 0 });
		const cancel = () =>
			api.request("POST", `/orders/${order.id}/cancel`, {
				token: ada.token,
				headers: { "Idempotency-Key": randomUUID() }
			});
		const settled = async () => (await api.get(`/orders/${order.id}`, ada.token)).body;
		await eventually(
			"awaiting payment",
			async () => (await settled()).status === "awaiting_payment"
		);
		expect((await cancel()).body.status).toBe("cancelling");
		await eventually("cancelled", async () => (await settled()).status === "cancelled");
		expect(await settled()).toMatchObject({ reason: "CUSTOMER", payment: { status: "refunded" } });

		await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 1 }
		});
		const paid = await api.checkOut(ada.token);
		const late = await api.request("POST", `/orders/${paid.body.id}/cancel`, {
			token: ada.token,
			headers: { "Idempotency-Key": randomUUID() }
		});
		expect(late).toMatchObject({ status: 409, body: { code: "ORDER_CLOSED" } });
	});

	it("keeps a guest's cart and hands it over at log-in", async () => {
		const product = await aProduct();
		const first = await api.get("/cart");
		const cartToken = first.headers.get("x-cart-token")!;
		const guest = { "X-Cart-Token": cartToken };
		await api.request("PUT", `/cart/items/${product.id}`, {
			headers: guest,
			body: { quantity: 3 }
		});
		expect((await api.request("GET", "/cart", { headers: guest })).body.items).toHaveLength(1);
		const ada = await api.newCustomer();
		const merged = await api.request("POST", "/cart/merge", {
			token: ada.token,
			body: { cartToken }
		});
		expect(merged.body.items).toMatchObject([{ productId: product.id, quantity: 3 }]);
		expect((await api.request("GET", "/cart", { headers: guest })).body.items).toEqual([]);
	});

	it("shows an order to its owner and to staff, and to nobody else", async () => {
		const [ada, eve] = [await api.newCustomer(), await api.newCustomer()];
		const product = await aProduct();
		await api.request("PUT", `/cart/items/${product.id}`, {
			token: ada.token,
			body: { quantity: 1 }
		});
		const { body: order } = await api.checkOut(ada.token);
		expect((await api.get(`/orders/${order.id}`, eve.token)).body.code).toBe("NOT_FOUND");
		expect((await api.get(`/orders/${order.id}/timeline`, eve.token)).status).toBe(404);
		expect((await api.get(`/orders/${order.id}`)).status).toBe(401);
		const staff = await api.login("staff@valence.test");
		expect((await api.get(`/orders/${order.id}`, staff)).status).toBe(200);
		expect((await api.get(`/inventory/${product.id}`, ada.token)).status).toBe(403);
	});
});

describe(`sessions (${shape})`, () => {
	it("refresh rotates; log-out ends the session on every gateway", async () => {
		const ada = await api.newCustomer();
		const refreshed = await api.request("POST", "/auth/refresh", {
			body: { refreshToken: ada.refreshToken }
		});
		expect(refreshed.status).toBe(200);
		expect(refreshed.body.refreshToken).not.toBe(ada.refreshToken);
		const token = refreshed.body.accessToken as string;
		expect((await api.request("POST", "/auth/logout", { token })).status).toBe(204);
		for (const url of urls)
			await eventually(
				`${url} refuses the session`,
				async () =>
					(await fetch(`${url}/api/v1/users/me`, { headers: { Authorization: `Bearer ${token}` } }))
						.status === 401
			);
		const dead = await api.request("POST", "/auth/refresh", {
			body: { refreshToken: refreshed.body.refreshToken }
		});
		expect(dead).toMatchObject({ status: 401, body: { code: "INVALID_REFRESH_TOKEN" } });
	});

	it("answers alike for a wrong password and an unknown user", async () => {
		const ada = await api.newCustomer();
		const wrong = await api.request("POST", "/auth/login", {
			body: { login: ada.email, password: "wrong password" }
		});
		const unknown = await api.request("POST", "/auth/login", {
			body: { login: "nobody@example.com", password: PASSWORD }
		});
		const essence = ({ status, body }: typeof wrong) => ({
			status,
			code: body.code,
			detail: body.detail
		});
		expect(essence(wrong)).toEqual(essence(unknown));
		expect(wrong.status).toBe(401);
	});
});

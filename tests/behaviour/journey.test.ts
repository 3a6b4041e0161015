import { randomUUID } from "node:crypto";
import { eventually } from "../support/process.ts";
import { ADDRESS, answerOf, PASSWORD } from "../support/api.ts";
import { mailsTo } from "../support/mail.ts";
import { api, dataDir, shape, urls } from "./shape.ts";

async function aProduct() {
	const { data } = await api.as().GET("/api/v1/products", {
		params: { query: { q: "lamp", inStock: true, sort: "-price", limit: 20 } }
	});
	return data!.items[Math.floor(Math.random() * data!.items.length)]!;
}

const putIntoCart = async (token: string, productId: string, quantity: number) =>
	answerOf(
		await api.as(token).PUT("/api/v1/cart/items/{productId}", {
			params: { path: { productId } },
			body: { quantity }
		})
	);

const readOrder = async (id: string, token?: string) =>
	answerOf(await api.as(token).GET("/api/v1/orders/{id}", { params: { path: { id } } }));

const cancelOrder = async (id: string, token: string) =>
	answerOf(
		await api.as(token).POST("/api/v1/orders/{id}/cancel", {
			params: { path: { id }, header: { "Idempotency-Key": randomUUID() } }
		})
	);

const readStock = async (productId: string, token: string) =>
	answerOf(
		await api.as(token).GET("/api/v1/inventory/{productId}", { params: { path: { productId } } })
	);

const mailArrives = (address: string, subject: RegExp) =>
	eventually(`a mail ${subject}`, () => mailsTo(dataDir, address).some(mail => subject.test(mail)));

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

		const me = answerOf(await api.as(ada.token).GET("/api/v1/users/me"));
		expect(me.body.email).toBe(ada.email);

		const product = await aProduct();
		const cart = await putIntoCart(ada.token, product.id, 2);
		expect(cart.status).toBe(200);
		expect(cart.body.total).toEqual({ amount: product.price.amount * 2, currency: "EUR" });

		const checkout = await api.checkOut(ada.token);
		expect(checkout.status).toBe(201);
		expect(checkout.body).toMatchObject({ status: "confirmed", payment: { status: "captured" } });
		expect(checkout.headers.get("location")).toBe(`/api/v1/orders/${checkout.body.id}`);

		const order = await readOrder(checkout.body.id, ada.token);
		expect(order.body).toEqual(checkout.body);
		const timeline = answerOf(
			await api.as(ada.token).GET("/api/v1/orders/{id}/timeline", {
				params: { path: { id: checkout.body.id } }
			})
		);
		expect(timeline.body.items.map(({ step }) => step)).toEqual([
			"order.created",
			"stock-reserved",
			"order.awaiting-payment",
			"payment-captured",
			"order.paid",
			"stock-committed",
			"order.confirmed"
		]);
		expect(timeline.body.remaining).toEqual([]);
		expect((await api.as(ada.token).GET("/api/v1/cart")).data!.items).toEqual([]);
		expect((await api.as(ada.token).GET("/api/v1/orders")).data!.items).toHaveLength(1);
		await mailArrives(ada.email, /Subject: .*confirmed/);
	});

	it("gives stock and money back when the payment is declined", async () => {
		const ada = await api.newCustomer();
		const staff = await api.login("staff@valence.test");
		const product = await aProduct();
		const before = await readStock(product.id, staff);
		await putIntoCart(ada.token, product.id, 1);
		const { status, body } = await api.checkOut(ada.token, { method: "tok_declined" });
		expect(status).toBe(201);
		expect(body).toMatchObject({
			status: "cancelled",
			reason: "PAYMENT_FAILED",
			payment: { status: "declined" }
		});
		const after = await readStock(product.id, staff);
		expect(after.body.holds.filter(({ orderId }) => orderId === body.id)).toEqual([]);
		expect(after.body.sold).toBe(before.body.sold);
		await mailArrives(ada.email, /Subject: .*cancelled/);
	});

	it("gives one order for one Idempotency-Key, however often it is sent", async () => {
		const ada = await api.newCustomer();
		const product = await aProduct();
		const cart = await putIntoCart(ada.token, product.id, 1);
		const send = (method = "tok_ok") =>
			api.request("POST", "/checkout", {
				token: ada.token,
				headers: { "Idempotency-Key": "the-same" },
				body: { shippingAddress: ADDRESS, paymentMethod: method, expectedTotal: cart.body.total }
			});
		const answers = await Promise.all(Array.from({ length: 10 }, () => send()));
		expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(202));
		expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
		expect((await api.as(ada.token).GET("/api/v1/orders")).data!.items).toHaveLength(1);
		const other = await send("tok_declined");
		expect(other).toMatchObject({ status: 422, body: { code: "IDEMPOTENCY_KEY_REUSED" } });
	});

	it("cancels before payment, and refuses afterwards", async () => {
		const ada = await api.newCustomer();
		const product = await aProduct();
		await putIntoCart(ada.token, product.id, 1);
		const { body: order } = await api.checkOut(ada.token, { method: "tok_slow", wait: 0 });
		const cancel = () => cancelOrder(order.id, ada.token);
		const settled = async () => (await readOrder(order.id, ada.token)).body;
		await eventually(
			"awaiting payment",
			async () => (await settled()).status === "awaiting_payment"
		);
		expect((await cancel()).body.status).toBe("cancelling");
		await eventually("cancelled", async () => (await settled()).status === "cancelled");
		expect(await settled()).toMatchObject({ reason: "CUSTOMER", payment: { status: "refunded" } });

		await putIntoCart(ada.token, product.id, 1);
		const paid = await api.checkOut(ada.token);
		const late = await cancelOrder(paid.body.id, ada.token);
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
		await putIntoCart(ada.token, product.id, 1);
		const { body: order } = await api.checkOut(ada.token);
		expect((await api.get(`/orders/${order.id}`, eve.token)).body.code).toBe("NOT_FOUND");
		expect((await api.get(`/orders/${order.id}/timeline`, eve.token)).status).toBe(404);
		expect((await readOrder(order.id)).status).toBe(401);
		const staff = await api.login("staff@valence.test");
		expect((await readOrder(order.id, staff)).status).toBe(200);
		expect((await readStock(product.id, ada.token)).status).toBe(403);
	});
});

describe(`sessions (${shape})`, () => {
	it("refresh rotates; log-out ends the session on every gateway", async () => {
		const ada = await api.newCustomer();
		const refreshed = answerOf(
			await api.as().POST("/api/v1/auth/refresh", { body: { refreshToken: ada.refreshToken } })
		);
		expect(refreshed.status).toBe(200);
		expect(refreshed.body.refreshToken).not.toBe(ada.refreshToken);
		const token = refreshed.body.accessToken;
		expect((await api.as(token).POST("/api/v1/auth/logout")).response.status).toBe(204);
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

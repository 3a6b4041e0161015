import { ADDRESS, answerOf, PASSWORD } from "../support/api.ts";
import { mailsTo } from "../support/mail.ts";
import { eventually } from "../support/process.ts";
import { api, dataDir, shape, urls } from "./shape.ts";

const hasMail = (address: string, subject: RegExp): boolean =>
	mailsTo(dataDir, address).some(mail => subject.test(mail));
const RECEIPT = /^Subject: Your account was deleted/m;

/** Somebody new who has put something into the cart. */
async function newBuyer() {
	const somebody = await api.newCustomer();
	const { data } = await api.as().GET("/api/v1/products", {
		params: { query: { q: "lamp", inStock: true, limit: 20 } }
	});
	const [product] = data!.items;
	await api.as(somebody.token).PUT("/api/v1/cart/items/{productId}", {
		params: { path: { productId: product!.id } },
		body: { quantity: 1 }
	});
	return somebody;
}

const leave = (token: string, password = PASSWORD) =>
	api.request("DELETE", "/users/me", { token, body: { password } });

const register = (email: string, username: string) =>
	api.request("POST", "/auth/register", { body: { email, username, password: PASSWORD } });

describe(`who leaves (${shape})`, () => {
	it("takes along what is known, and is forgotten; the order stays without the person", async () => {
		const ada = await newBuyer();
		const { body: order } = await api.checkOut(ada.token);
		expect(order.status).toBe("confirmed");

		const taken = answerOf(await api.as(ada.token).GET("/api/v1/users/me/export"));
		expect(taken.status).toBe(200);
		expect(taken.headers.get("content-disposition")).toBe(
			'attachment; filename="valence-export.json"'
		);
		expect(taken.body).toMatchObject({
			user: { email: ada.email, username: ada.username },
			parts: {
				users: { preferences: {}, sessions: [{}] },
				orders: { orders: [{ id: order.id, shippingAddress: ADDRESS }] },
				notifications: { recipient: { email: ada.email } }
			},
			nextCursor: null
		});

		expect(await leave(ada.token, "not the password")).toMatchObject({
			status: 403,
			body: { code: "WRONG_PASSWORD" }
		});
		expect(await api.request("DELETE", "/users/me", { token: ada.token })).toMatchObject({
			status: 422,
			body: { errors: [{ field: "password", code: "required" }] }
		});
		expect(await leave(ada.token)).toMatchObject({ status: 202, body: { status: "requested" } });

		for (const url of urls)
			await eventually(`${url} refuses the session`, async () => {
				const headers = { Authorization: `Bearer ${ada.token}` };
				return (await fetch(`${url}/api/v1/users/me`, { headers })).status === 401;
			});
		const login = { body: { login: ada.email, password: PASSWORD } };
		expect((await api.request("POST", "/auth/login", login)).status).toBe(401);
		const refresh = { body: { refreshToken: ada.refreshToken } };
		expect((await api.request("POST", "/auth/refresh", refresh)).status).toBe(401);

		await eventually("the receipt", () => hasMail(ada.email, RECEIPT));
		const staff = await api.login("staff@valence.test");
		expect((await api.get(`/orders/${order.id}`, staff)).body).toMatchObject({
			number: order.number,
			items: order.items,
			total: order.total,
			shippingAddress: { name: "erased", line1: "erased", country: ADDRESS.country }
		});

		const again = await register(ada.email, ada.username);
		expect(again.status).toBe(201);
		expect(again.body.id).not.toBe(ada.registered.body.id);
		const { accessToken } = (await api.request("POST", "/auth/login", login)).body;
		expect((await api.get("/orders", accessToken)).body.items).toEqual([]);
	});

	it("gets what was ordered before: the account goes when the order has come to rest", async () => {
		const ada = await newBuyer();
		const { body: order } = await api.checkOut(ada.token, { method: "tok_slow", wait: 0 });
		expect((await leave(ada.token)).status).toBe(202);
		const staff = await api.login("staff@valence.test");
		const now = async () => (await api.get(`/orders/${order.id}`, staff)).body;
		expect((await register(ada.email, ada.username)).status).toBe(409);
		await eventually("confirmed", async () => (await now()).status === "confirmed");
		await eventually("the receipt", () => hasMail(ada.email, RECEIPT));
		expect((await now()).shippingAddress.line1).toBe("erased");
		await eventually("a mail of it", () => hasMail(ada.email, /^Subject: .*confirmed/m));
	});
});

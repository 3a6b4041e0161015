import { randomUUID } from "node:crypto";
import { answerOf } from "../support/api.ts";
import { eventually } from "../support/process.ts";
import { api, shape } from "./shape.ts";

const EUROS = (amount: number) => ({ amount, currency: "EUR" as const });

let staff: string;
let categoryId: string;
beforeAll(async () => {
	staff = await api.login("staff@valence.test");
	const name = `Shelf ${randomUUID()}`;
	categoryId = (await asStaff("POST", "/categories", { name })).body.id;
});

const asStaff = (
	method: string,
	path: string,
	body?: unknown,
	headers: Record<string, string> = {}
) => api.request(method, path, { token: staff, headers, ...(body === undefined ? {} : { body }) });

const newProduct = async (given: object = {}) =>
	answerOf(
		await api.as(staff).POST("/api/v1/products", {
			body: {
				sku: `T-${randomUUID()}`,
				name: `Thing ${randomUUID()}`,
				price: EUROS(1_000),
				categoryId,
				initialStock: 5,
				...given
			}
		})
	);

const putIntoCart = (token: string, productId: string) =>
	api.request("PUT", `/cart/items/${productId}`, { token, body: { quantity: 1 } });

describe(`what staff do to the catalog (${shape})`, () => {
	it("adds a product, which is then found, bought and counted", async () => {
		const made = await newProduct({ attributes: { colour: "blue" } });
		expect(made.status).toBe(201);
		const { id, slug, version } = made.body;
		expect(made.headers.get("location")).toBe(`/api/v1/products/${id}`);
		expect(made.headers.get("etag")).toBe(`"${version}-5"`);
		expect((await api.get(`/products/${slug}`)).body).toEqual(made.body);
		expect((await api.get(`/products?category=${categoryId}`)).body.items).toContainEqual(
			made.body
		);
		expect((await api.get(`/categories/${categoryId}`)).body.productCount).toBeGreaterThan(0);

		const ada = await api.newCustomer();
		expect((await putIntoCart(ada.token, id)).status).toBe(200);
		expect((await api.checkOut(ada.token)).body).toMatchObject({
			status: "confirmed",
			total: EUROS(1_000)
		});
		await eventually("a unit less", async () => {
			const { body } = await api.get(`/inventory/${id}`, staff);
			return body.onHand === 4 && body.sold === 1;
		});
	});

	it("adds it once, however often the same command is sent", async () => {
		const body = { sku: `T-${randomUUID()}`, name: "Once", price: EUROS(1), categoryId };
		const key = { "Idempotency-Key": randomUUID() };
		const answers = [
			await asStaff("POST", "/products", body, key),
			await asStaff("POST", "/products", body, key)
		];
		expect(answers.map(({ status }) => status)).toEqual([201, 201]);
		expect(answers[1]!.body).toEqual(answers[0]!.body);
		expect(await asStaff("POST", "/products", body)).toMatchObject({
			status: 409,
			body: { code: "SKU_TAKEN" }
		});
	});

	it("changes the version that was read, and no other", async () => {
		const { body: product, headers } = await newProduct();
		const path = `/products/${product.id}`;
		const etag = headers.get("etag")!;
		expect(await asStaff("PATCH", path, { name: "New" })).toMatchObject({
			status: 428,
			body: { code: "PRECONDITION_REQUIRED" }
		});
		const changed = await asStaff("PATCH", path, { name: "New" }, { "If-Match": etag });
		expect(changed).toMatchObject({ status: 200, body: { name: "New", version: 2 } });
		expect(changed.headers.get("etag")).toBe('"2-5"');
		expect(await asStaff("PATCH", path, { name: "Lost" }, { "If-Match": etag })).toMatchObject({
			status: 412,
			body: { code: "VERSION_MISMATCH" }
		});
		const price = { price: EUROS(2_000) };
		expect((await asStaff("PATCH", path, price, { "If-Match": "*" })).status).toBe(200);
		const { body: prices } = await api.get(`${path}/prices`, staff);
		expect(prices.items.map((item: { price: object }) => item.price)).toEqual([
			EUROS(2_000),
			EUROS(1_000)
		]);
		expect(
			await asStaff("PATCH", path, { categoryId: randomUUID() }, { "If-Match": "*" })
		).toMatchObject({
			status: 422,
			body: { code: "VALIDATION_ERROR", errors: [{ field: "categoryId" }] }
		});
	});

	it("takes a product off sale, which no cart can be bought with then, and puts it back", async () => {
		const { body: product } = await newProduct();
		const path = `/products/${product.id}`;
		const ada = await api.newCustomer();
		await putIntoCart(ada.token, product.id);
		for (const status of [204, 204]) expect((await asStaff("DELETE", path)).status).toBe(status);

		expect((await api.get(`/products?category=${categoryId}`)).body.items).not.toContainEqual(
			expect.objectContaining({ id: product.id })
		);
		expect(await api.get(path)).toMatchObject({
			status: 200,
			body: { status: "archived", availability: { inStock: false, available: 0 } }
		});
		expect((await api.get("/cart", ada.token)).body.items).toMatchObject([
			{ productId: product.id, notice: "not_available" }
		]);
		expect(await api.checkOut(ada.token)).toMatchObject({
			status: 409,
			body: { code: "CART_NOT_AVAILABLE" }
		});
		expect(await putIntoCart((await api.newCustomer()).token, product.id)).toMatchObject({
			status: 409,
			body: { code: "PRODUCT_NOT_AVAILABLE" }
		});

		await asStaff("PATCH", path, { status: "active" }, { "If-Match": "*" });
		expect((await api.checkOut(ada.token)).body).toMatchObject({ status: "confirmed" });
	});

	it("moves a part of the tree, with the products in it", async () => {
		const [a, b] = [
			await asStaff("POST", "/categories", { name: `A ${randomUUID()}` }),
			await asStaff("POST", "/categories", { name: `B ${randomUUID()}` })
		];
		expect(a.status).toBe(201);
		const inner = await asStaff("POST", "/categories", {
			name: `Inner ${randomUUID()}`,
			parentId: a.body.id
		});
		expect(inner.headers.get("location")).toBe(`/api/v1/categories/${inner.body.id}`);
		expect(inner.headers.get("etag")).toBe('"1-0"');
		const { body: product } = await newProduct({ categoryId: inner.body.id });
		const path = `/categories/${inner.body.id}`;
		const move = { parentId: b.body.id };
		expect((await asStaff("PATCH", path, move, { "If-Match": '"7-0"' })).status).toBe(412);
		expect(await asStaff("PATCH", path, move, { "If-Match": '"1-1"' })).toMatchObject({
			status: 200,
			body: { path: [b.body.slug, inner.body.slug], version: 2, productCount: 1 }
		});
		const found = await api.get(`/products?category=${b.body.slug}`);
		expect(found.body.items).toEqual([product]);
		expect((await api.get("/categories")).body.items).toContainEqual(
			expect.objectContaining({ id: b.body.id, productCount: 1 })
		);
		expect(
			await asStaff("PATCH", `/categories/${b.body.id}`, { parentId: inner.body.id })
		).toMatchObject({ status: 409, body: { code: "CATEGORY_LOOP" } });
		expect(await asStaff("DELETE", `/categories/${b.body.id}`)).toMatchObject({
			status: 409,
			body: { code: "CATEGORY_IN_USE" }
		});
		expect((await asStaff("DELETE", `/categories/${a.body.id}`)).status).toBe(204);
		expect((await api.get(`/categories/${a.body.id}`)).status).toBe(404);
	});
});

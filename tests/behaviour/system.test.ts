import { api, shape, urls } from "./shape.ts";

describe(`the system's own pages (${shape})`, () => {
	it("is healthy and ready", async () => {
		for (const path of ["//health", "//ready", "//health/db", "//health/events"])
			expect({ path, status: (await api.get(path)).status }).toEqual({ path, status: 200 });
	});

	it("serves a document that names every route, and a page to try them", async () => {
		const { body } = await api.get("//openapi.json");
		expect(body.openapi).toMatch(/^3\.1/);
		expect(Object.keys(body.paths)).toEqual(
			expect.arrayContaining(["/api/v1/checkout", "/api/v1/products"])
		);
		const page = await api.get("//docs");
		expect(page.status).toBe(200);
		expect(page.body).not.toMatch(/https?:\/\/(?!127\.0\.0\.1)[^"' ]+\.(?:js|css)/);
	});

	it("lists the catalog in pages that do not overlap", async () => {
		const first = await api.get("/products?sort=price&limit=50");
		const second = await api.get(`/products?sort=price&limit=50&cursor=${first.body.nextCursor}`);
		const ids = [...first.body.items, ...second.body.items].map(({ id }: { id: string }) => id);
		expect(new Set(ids).size).toBe(100);
		const prices = [...first.body.items, ...second.body.items].map(
			(p: { price: { amount: number } }) => p.price.amount
		);
		expect(prices).toEqual([...prices].sort((a, b) => a - b));
	});

	it("answers mistakes with problem documents, and never with a value of the request", async () => {
		const mistakes: [number, string, string, unknown?][] = [
			[404, "GET", "/nowhere"],
			[404, "GET", "/products/no-such-product"],
			[405, "PUT", "/products"],
			[422, "GET", "/products?limit=secret-value"],
			[422, "GET", "/products?unknown=secret-value"],
			[422, "POST", "/auth/register", { email: "secret-value", password: "x" }],
			[401, "GET", "/users/me"],
			[400, "POST", "/checkout"]
		];
		for (const [status, method, path, body] of mistakes) {
			const token = path === "/checkout" ? (await api.newCustomer()).token : undefined;
			const answer = await api.request(method, path, {
				body: path === "/checkout" ? {} : body,
				token
			});
			expect({ path, status: answer.status }).toEqual({ path, status });
			expect(answer.headers.get("content-type")).toMatch("application/problem+json");
			expect(answer.body).toMatchObject({
				status,
				code: expect.any(String),
				requestId: expect.any(String)
			});
			expect(JSON.stringify({ ...answer.body, instance: "" })).not.toContain("secret-value");
		}
	});

	it("publishes the keys that verify its tokens, and nothing private", async () => {
		const { body } = await api.get("//.well-known/jwks.json");
		expect(body.keys.length).toBeGreaterThan(0);
		expect(body.keys[0]).not.toHaveProperty("d");
	});

	it("does not let internal actions out", async () => {
		for (const path of [
			"/inventory/reserve",
			"//~node/list",
			"/products/lookup?ids=1",
			"//users-events/status"
		])
			expect(
				(await fetch(urls[0]! + (path.startsWith("//") ? path.slice(1) : `/api/v1${path}`))).ok
			).toBe(false);
	});

	it("shows its topics to admins, and to nobody else", async () => {
		const admin = await api.login("admin@valence.test");
		const { status, body } = await api.get("/admin/events/topics", admin);
		expect(status).toBe(200);
		const user = body.items.find(({ topic }: { topic: string }) => topic === "user.events");
		expect(user.messages).toBeGreaterThan(0);
		expect(user.consumers.map(({ name }: { name: string }) => name)).toContain("recipients");
		const letters = await api.get("/admin/events/dead-letters", admin);
		expect(letters.body).toEqual({ items: [], nextCursor: null });

		const ada = await api.newCustomer();
		expect((await api.get("/admin/events/topics", ada.token)).status).toBe(403);
		expect((await api.get("/admin/events/topics")).status).toBe(401);
	});
});

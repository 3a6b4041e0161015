import { Type } from "typebox";
import { createCors } from "./cors.ts";
import { routesOf } from "./routes.ts";

const allowed = "https://app.example.com";

describe("CORS", () => {
	const cors = createCors(`${allowed},http://localhost:5173`, []);

	it("allows exactly the configured origins", () => {
		expect(cors.answer(allowed, "/")).toMatchObject({
			"Access-Control-Allow-Origin": allowed,
			Vary: "Origin"
		});
		expect(cors.answer("http://localhost:5173", "/")).toHaveProperty("Access-Control-Allow-Origin");
		for (const origin of [
			"https://app.example.co",
			"https://app.example.com:8443",
			"http://app.example.com",
			"example.com",
			",",
			"",
			undefined
		]) {
			expect(cors.answer(origin, "/")).toEqual({ Vary: "Origin" });
			expect(cors.preflight(origin, "GET")).toEqual({});
		}
	});

	it("lets cookies go to what sets one, and nowhere else", () => {
		const setCookie = { name: "x", field: "x", maxAge: 60 };
		const rest = { route: "POST /a", tag: "", setCookie } as const;
		const action = { summary: "", access: "public" as const, rest };
		const a = { ...action, params: Type.Object({}), result: Type.Object({ x: Type.String() }) };
		const routes = routesOf([{ name: "shop", failures: {}, events: {}, actions: { a } }]);
		const withCookie = createCors(allowed, routes);
		const credentials = "Access-Control-Allow-Credentials";
		expect(withCookie.answer(allowed, "/api/v1/a")).toHaveProperty(credentials, "true");
		expect(withCookie.answer(allowed, "/api/v1/b")).not.toHaveProperty(credentials);
		expect(withCookie.answer("https://evil.com", "/api/v1/a")).toEqual({ Vary: "Origin" });
	});

	it("allows nobody where nothing is configured", () => {
		expect(createCors("", []).answer("", "/")).toEqual({});
		expect(createCors("", []).preflight("", "GET")).toEqual({});
	});
});

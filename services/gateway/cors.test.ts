import { createCors } from "./cors.ts";

const allowed = "https://app.example.com";

describe("CORS", () => {
	const cors = createCors(`${allowed},http://localhost:5173`, []);

	it("allows exactly the configured origins", () => {
		expect(cors.answer(allowed)).toMatchObject({
			"Access-Control-Allow-Origin": allowed,
			Vary: "Origin"
		});
		expect(cors.answer("http://localhost:5173")).toHaveProperty("Access-Control-Allow-Origin");
		for (const origin of [
			"https://app.example.co",
			"https://app.example.com:8443",
			"http://app.example.com",
			"example.com",
			",",
			"",
			undefined
		]) {
			expect(cors.answer(origin)).toEqual({ Vary: "Origin" });
			expect(cors.preflight(origin, "GET")).toEqual({});
		}
	});

	it("allows nobody where nothing is configured", () => {
		expect(createCors("", []).answer("")).toEqual({});
		expect(createCors("", []).preflight("", "GET")).toEqual({});
	});
});

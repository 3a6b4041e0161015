import { Errors } from "moleculer";
import { allContracts } from "../../contracts/index.ts";
import { orders } from "../../contracts/orders.ts";
import { products } from "../../contracts/products.ts";
import { commonFailure, failure } from "../../lib/failure.ts";
import { gateway, problemHeaders, problemOf } from "./problem.ts";

const of = (error: unknown) => problemOf(error, "/a", "r");

describe("a problem", () => {
	it("tells a declared failure's own sentence, also where two services declare its code", () => {
		expect(of(failure(orders, "INVALID_CURSOR")).detail).toBe(
			orders.failures.INVALID_CURSOR.message
		);
		expect(of(failure(products, "INVALID_CURSOR")).detail).toBe(
			products.failures.INVALID_CURSOR.message
		);
	});

	it("knows each declared code by one status only, since the status is part of the promise", () => {
		const statuses = new Map<string, number>();
		for (const { failures } of [...allContracts, gateway])
			for (const [code, { status }] of Object.entries(failures)) {
				expect([code, statuses.get(code) ?? status]).toEqual([code, status]);
				statuses.set(code, status);
				expect(of(new Errors.MoleculerClientError("", status, code, {}))).toMatchObject({
					code,
					status
				});
			}
		expect(statuses.size).toBeGreaterThan(20);
	});

	it("tells at most 50 field errors, of short names and without other members", () => {
		const errors = Array.from({ length: 60 }, () => ({
			field: "f".repeat(500),
			code: "type",
			message: "m",
			actual: "secret"
		}));
		const problem = of(commonFailure("VALIDATION_ERROR", { errors }));
		expect(problem.errors).toHaveLength(50);
		expect(problem.errors![0]).toEqual({ field: "f".repeat(100), code: "type", message: "m" });
	});

	it("survives whatever is thrown", () => {
		for (const thrown of [
			undefined,
			null,
			0,
			"",
			{},
			[],
			{ data: { errors: "x" } },
			Object.create(null)
		])
			expect(of(thrown)).toMatchObject({ code: "INTERNAL", status: 500 });
		expect(of(new Errors.ValidationError("", "", null as never))).toMatchObject({
			code: "VALIDATION_ERROR",
			status: 422
		});
		const odd = new Errors.ValidationError("", "", [null, 5, { field: {} }] as never);
		expect(of(odd).errors).toEqual(
			[1, 2, 3].map(() => ({ field: "", code: "invalid", message: "is not valid" }))
		);
	});

	it("says of what the services call UNAVAILABLE what everybody is told, and of nothing alike", () => {
		const secret = "auth.login: connect ECONNREFUSED 10.0.3.7:5432";
		const away = of(new Errors.MoleculerRetryableError(secret, 503, "UNAVAILABLE"));
		expect(away).toMatchObject({ status: 503, code: "UNAVAILABLE" });
		expect(away.detail).toBe(gateway.failures.UNAVAILABLE.message);
		for (const like of [
			new Errors.MoleculerRetryableError(secret, 503, "AWAY"),
			new Errors.MoleculerError(secret, 503, "UNAVAILABLE"),
			Object.assign(new Error(secret), { code: "ECONNREFUSED" })
		])
			expect(of(like)).toMatchObject({
				code: "INTERNAL",
				detail: gateway.failures.INTERNAL.message
			});
	});

	it("names its instance as a proper reference", () => {
		expect(problemOf(null, '/a%20b/<script>"é', "r").instance).toBe("/a%20b/%3Cscript%3E%22%C3%A9");
		expect(problemOf(null, "/a%/%4/%zz/%c3%A9", "r").instance).toBe("/a%25/%254/%25zz/%c3%A9");
	});

	it("has the headers that its status asks for", () => {
		expect(problemHeaders(of(commonFailure("UNAUTHENTICATED")))).toHaveProperty(
			"WWW-Authenticate",
			"Bearer"
		);
		expect(problemHeaders(of(failure(gateway, "UNAVAILABLE")))).toHaveProperty("Retry-After");
		expect(problemHeaders(of(null))).toEqual({
			"Content-Type": "application/problem+json; charset=utf-8",
			"Cache-Control": "no-store"
		});
	});
});

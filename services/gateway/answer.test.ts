import { Type } from "typebox";
import type { Access, RestContract } from "../../lib/contract.ts";
import { answerOf, conditional, fixed, knownTag } from "./answer.ts";
import { routesOf } from "./routes.ts";

const routeOf = (rest: Partial<RestContract> = {}, access: Access = "public", service = "shop") =>
	routesOf([
		{
			name: service,
			failures: {},
			events: {},
			actions: {
				a: {
					summary: "",
					access,
					params: Type.Object({}),
					result: Type.Object({}),
					rest: { route: "GET /a", tag: "", ...rest }
				}
			}
		}
	])[0]!;

describe("an answer", () => {
	it("is 200 with the result as JSON", () => {
		expect(answerOf(routeOf(), { a: 1 })).toEqual({
			status: 200,
			headers: {
				"Content-Type": "application/json; charset=utf-8",
				"Cache-Control": "private, no-cache"
			},
			body: '{"a":1}'
		});
	});

	it("has the status that the result selects", () => {
		const status = { field: "order.state", map: { done: 201 }, otherwise: 202 };
		expect(answerOf(routeOf({ status }), { order: { state: "done" } }).status).toBe(201);
		expect(answerOf(routeOf({ status }), { order: { state: "new" } }).status).toBe(202);
		expect(answerOf(routeOf({ status: 201 }), {}).status).toBe(201);
	});

	it("is 204 without a body for null", () => {
		const { status, body } = answerOf(routeOf({ etag: ["version"] }), null);
		expect([status, body]).toEqual([204, undefined]);
	});

	it("leads on where the result names an address, and is as ever where it does not", () => {
		const route = routeOf({ redirect: "to.url" });
		expect(answerOf(route, { to: { url: "https://example.com/a" } })).toEqual({
			status: 303,
			headers: { "Cache-Control": "no-store", Location: "https://example.com/a" }
		});
		expect(answerOf(route, { a: 1 })).toMatchObject({ status: 200, body: '{"a":1}' });
		expect(answerOf(route, null)).toMatchObject({ status: 204 });
	});

	it("sets a cookie from a field that is not in the body", () => {
		const route = routeOf({ setCookie: { name: "x", field: "secret", maxAge: 60 } });
		const answer = answerOf(route, { a: 1, secret: "s" });
		expect(answer).toMatchObject({ status: 200, body: '{"a":1}' });
		expect(answer.headers).toMatchObject({
			"Cache-Control": "no-store",
			"Set-Cookie": expect.stringMatching(/^x=s; /)
		});
		const secure = answerOf(route, { secret: "s" }, {}, true);
		expect(secure.headers["Set-Cookie"]).toMatch(/^__Host-x=s; .*; Secure$/);
		expect(answerOf(route, { a: 1 }).headers).not.toHaveProperty("Set-Cookie");
		expect(answerOf(route, null).headers).not.toHaveProperty("Set-Cookie");
	});

	it("leads on with a cookie, and shows neither in a body", () => {
		const setCookie = { name: "x", field: "secret", maxAge: 60 };
		const answer = answerOf(routeOf({ redirect: "url", setCookie }), { url: "/", secret: "s" });
		expect(answer).toMatchObject({ status: 303, headers: { "Set-Cookie": expect.any(String) } });
		expect(answer).not.toHaveProperty("body");
	});

	it("fills Location and headers from the result", () => {
		const { headers } = answerOf(
			routeOf({
				location: "/a/{id}/{owner.id}",
				responseHeaders: { "X-Token": "token", "X-None": "none" }
			}),
			{ id: "x/y", owner: { id: 1 }, token: "t" }
		);
		expect(headers).toMatchObject({ Location: "/a/x%2Fy/1", "X-Token": "t" });
		expect(headers).not.toHaveProperty("X-None");
	});

	it("is saved under a name, in which nothing is that could end it", () => {
		const nameOf = (attachment: string) =>
			answerOf(routeOf({ attachment }), {}).headers["Content-Disposition"];
		expect(nameOf("my-data.json")).toBe('attachment; filename="my-data.json"');
		expect(nameOf('x"\r\nSet-Cookie: y')).toBe('attachment; filename="x___Set-Cookie__y"');
	});

	it("has a strong ETag of the declared fields, and is 304 to who has it", () => {
		const route = routeOf({ etag: ["version", "total.amount"] });
		expect(answerOf(route, { version: 3, total: { amount: 5 } }).headers["ETag"]).toBe('"3-5"');
		const unchanged = answerOf(
			route,
			{ version: 3, total: { amount: 5 } },
			{ "if-none-match": '"3-5"' }
		);
		expect(unchanged).toEqual({
			status: 304,
			headers: { ETag: '"3-5"', "Cache-Control": "private, no-cache" }
		});
	});

	it.each<[string, Access, string, string]>([
		["public data", "public", "shop", "private, no-cache"],
		["keys", "public", "auth", "no-store"],
		["a user's own", "user", "shop", "no-store"],
		["staff's", "staff", "shop", "no-store"]
	])("says how %s may be kept", (_, access, service, expected) => {
		expect(answerOf(routeOf({}, access, service), {}).headers["Cache-Control"]).toBe(expected);
	});

	it("that is a secret is not kept", () => {
		const { headers } = answerOf(routeOf({ idempotencyKey: "refused" }), {});
		expect(headers["Cache-Control"]).toBe("no-store");
	});

	it("that is fixed is 304 to who has it", () => {
		const answer = fixed("text/plain", "hello", {});
		expect(conditional(answer, {})).toBe(answer);
		expect(conditional(answer, { "if-none-match": '"other"' })).toBe(answer);
		expect(conditional(answer, { "if-none-match": answer.headers["ETag"]! })).toEqual({
			status: 304,
			headers: { ETag: answer.headers["ETag"] }
		});
	});

	it.each([
		['"a"', '"a"'],
		['W/"a"', '"a"'],
		['"b", "a"', '"a"'],
		["*", '"a"'],
		['"b"', undefined],
		["a", undefined],
		['"a+br"', '"a+br"'],
		['W/"a+gzip"', '"a+gzip"'],
		['"b+br"', undefined],
		['"a+zstd"', undefined]
	])("knows If-None-Match: %s", (header, expected) => {
		const condition = { "if-none-match": header, "accept-encoding": "gzip, br" };
		expect(knownTag('"a"', condition)).toBe(expected);
	});

	it("is not known to who has it in a coding that is not read any more", () => {
		for (const accepted of [undefined, "gzip", "gzip, br;q=0"])
			expect(
				knownTag('"a"', { "if-none-match": '"a+br"', "accept-encoding": accepted })
			).toBeUndefined();
	});
});

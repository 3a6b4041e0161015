import { Type } from "typebox";
import type { ActionContract } from "../../lib/contract.ts";
import { parameterReader, type RequestParts } from "./parameters.ts";
import { routesOf } from "./routes.ts";

const action = {
	summary: "",
	access: "public",
	rest: {
		route: "POST /a/:id",
		tag: "",
		headers: { "idempotency-key": "key", "if-match": "version" },
		query: ["limit", "price", "dry", "q"],
		required: ["idempotency-key"]
	},
	params: Type.Object(
		{
			id: Type.Integer(),
			key: Type.String({ pattern: "^k" }),
			version: Type.Optional(Type.Array(Type.Integer())),
			limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
			price: Type.Optional(Type.Number()),
			dry: Type.Optional(Type.Boolean()),
			q: Type.Optional(Type.String()),
			note: Type.Optional(Type.String())
		},
		{ additionalProperties: false }
	),
	result: Type.Null()
} satisfies ActionContract;
const readerOf = (contract: ActionContract) =>
	parameterReader(
		routesOf([{ name: "shop", failures: {}, events: {}, actions: { a: contract } }])[0]!
	);
const read = readerOf(action);
const parts = (some: Partial<RequestParts> = {}): RequestParts => ({
	path: { id: "7" },
	query: "",
	headers: { "idempotency-key": ["k1"] },
	body: {},
	...some
});
const thrownBy = (some: Partial<RequestParts>): any => {
	try {
		read(parts(some));
	} catch (error) {
		return error;
	}
	throw new Error("Nothing was thrown.");
};

describe("parameters", () => {
	it("come from path, header, query and body, with defaults", () => {
		expect(
			read(
				parts({
					query: "dry=true&q=a+b%26c&&price=1.5",
					body: { note: "n" },
					headers: { "idempotency-key": ["k1"], "if-match": ['"3-1999"'] }
				})
			)
		).toEqual({
			id: 7,
			key: "k1",
			version: [3],
			limit: 20,
			price: 1.5,
			dry: true,
			q: "a b&c",
			note: "n"
		});
	});

	it.each([
		"limit=",
		"limit=%20",
		"limit=0x10",
		"limit=1e1",
		"limit=01",
		"limit=%2B5",
		"limit=1.0",
		"limit=5%20",
		"limit",
		"limit=9999999999999999999999",
		"dry=1",
		"dry=TRUE",
		"dry=",
		"price=.5",
		"price=1e3",
		"price=NaN"
	])("of a query are written plainly or refused (V1): %s", query => {
		expect(thrownBy({ query })).toMatchObject({
			type: "VALIDATION_ERROR",
			code: 422,
			data: { errors: [{ code: "type" }] }
		});
	});

	it.each([5, true, [], ["n"], {}])("of a body are never converted (V1): %j", note => {
		expect(thrownBy({ body: { note } })).toMatchObject({
			data: { errors: [{ field: "note", code: "type" }] }
		});
	});

	it("in the wrong place are unknown", () => {
		expect(
			thrownBy({ query: "note=1&id=9&nonsense=2", body: { limit: 3, key: "k2" } }).data.errors
		).toEqual(
			["note", "id", "nonsense", "limit", "key"].map(field => ({
				field,
				code: "unknown",
				message: "is not known"
			}))
		);
	});

	it("named like parts of an object's prototype are unknown too", () => {
		for (const name of ["__proto__", "constructor", "toString"])
			expect(thrownBy({ query: `${name}=1` })).toMatchObject({
				data: { errors: [{ field: name, code: "unknown" }] }
			});
	});

	it("that are wrong are all told, by the names that the client knows", () => {
		const error = thrownBy({
			path: { id: "x" },
			query: "limit=0&other=1",
			headers: { "idempotency-key": ["z"] }
		});
		expect(error.data.errors.map(({ field, code }: any) => `${field} ${code}`)).toEqual([
			"other unknown",
			"id type",
			"idempotency-key pattern",
			"limit minimum"
		]);
	});

	it("cannot be given twice", () => {
		expect(thrownBy({ query: "q=1&q=2" })).toMatchObject({ type: "REPEATED_PARAMETER", code: 400 });
		expect(
			thrownBy({ headers: { "idempotency-key": ["k1"], "if-match": ["1", "2"] } })
		).toMatchObject({ type: "REPEATED_HEADER", code: 400 });
	});

	it("must have the required headers", () => {
		expect(thrownBy({ headers: {} })).toMatchObject({ type: "HEADER_REQUIRED", code: 400 });
		expect(thrownBy({ headers: { "idempotency-key": [" "] } })).toMatchObject({
			type: "HEADER_REQUIRED"
		});
		const strict = readerOf({ ...action, rest: { ...action.rest, required: ["if-match"] } });
		expect(() => strict(parts())).toThrow(
			expect.objectContaining({ type: "PRECONDITION_REQUIRED", code: 428 })
		);
	});

	it.each<[string, number[] | undefined]>([
		['"4"', [4]],
		['"4-2026-01-02T03%3A04%3A05.000Z"', [4]],
		['"4-7+br" , "5-7+gzip"', [4, 5]],
		["*", undefined],
		['W/"4"', []],
		['4, "04", "x", "", "-4", "4+zip", "99999999999999999999"', []],
		['"4""5"', []]
	])("have the versions that If-Match names: %s", (tags, versions) => {
		const { version } = read(parts({ headers: { "idempotency-key": ["k1"], "if-match": [tags] } }));
		expect(version).toEqual(versions);
	});

	it("must be properly encoded", () => {
		expect(thrownBy({ query: "q=%e0%a4" })).toMatchObject({ type: "MALFORMED_URL", code: 400 });
	});

	describe("with names of the client's own behind a prefix", () => {
		const search = readerOf({
			summary: "",
			access: "public",
			rest: { route: "GET /a", tag: "", queryPrefix: { "attr.": "attributes" } },
			params: Type.Object(
				{
					q: Type.Optional(Type.String()),
					attributes: Type.Optional(
						Type.Record(Type.String({ pattern: "^[a-z]{1,9}$" }), Type.String({ maxLength: 9 }), {
							additionalProperties: false,
							maxProperties: 2
						})
					)
				},
				{ additionalProperties: false }
			),
			result: Type.Null()
		});
		const request = (query: string) => search({ path: {}, query, headers: {}, body: {} });
		const refused = (query: string) => {
			try {
				return request(query);
			} catch (error) {
				const { errors } = (error as { data: { errors: { field: string; code: string }[] } }).data;
				return errors.map(({ field, code }) => `${field} ${code}`);
			}
		};

		it("become a record of texts, whatever they look like", () => {
			expect(request("q=lamp&attr.colour=dark+red&attr.size=10")).toEqual({
				q: "lamp",
				attributes: { colour: "dark red", size: "10" }
			});
			expect(request("attr.toString=true".toLowerCase())).toEqual({
				attributes: { tostring: "true" }
			});
			expect(request("q=attr.colour")).toEqual({ q: "attr.colour" });
		});

		it.each([
			["attributes=x", ["attributes unknown"]],
			["attr=x", ["attr unknown"]],
			["attr.=x", ["attr. unknown"]],
			["attr.__proto__=x", ["attr.__proto__ unknown"]],
			["attr.a.b=x", ["attr.a.b unknown"]],
			["attr.a[]=x", ["attr.a[] unknown"]],
			["attr.a=toolongtext", ["attr.a maxLength"]],
			["attr.a=1&attr.b=2&attr.c=3", ["attr. maxProperties"]],
			["ATTR.a=x", ["ATTR.a unknown"]]
		])("are refused by the names that the client knows: %s", (query, errors) => {
			expect(refused(query)).toEqual(errors);
		});

		it("cannot be given twice", () => {
			expect(() => request("attr.a=1&attr.a=2")).toThrow(
				expect.objectContaining({ type: "REPEATED_PARAMETER" })
			);
		});
	});

	describe("of a route that others lead to", () => {
		const foreign = readerOf({
			summary: "",
			access: "public",
			rest: { route: "GET /a", tag: "", foreign: true, cookies: { "known-by": "browser" } },
			params: Type.Object(
				{ state: Type.String(), browser: Type.Optional(Type.String()) },
				{ additionalProperties: false }
			),
			result: Type.Null()
		});
		const request = (query: string, cookie: string[] = [], isSecure = false) =>
			foreign({ path: {}, query, headers: { cookie }, body: {}, isSecure });

		it("are passed over where nobody declared them", () => {
			expect(request("state=s&authuser=0&scope=openid+email")).toEqual({ state: "s" });
			expect(() => request("authuser=0")).toThrow(expect.objectContaining({ code: 422 }));
			expect(() => request("state=s&state=t")).toThrow(
				expect.objectContaining({ type: "REPEATED_PARAMETER" })
			);
		});

		it("come from a cookie, and from nowhere else", () => {
			expect(request("state=s&browser=q", ["known-by=c"])).toEqual({ state: "s", browser: "c" });
			expect(request("state=s&browser=q")).toEqual({ state: "s" });
			expect(request("state=s", ["known-by=c"], true)).toEqual({ state: "s" });
			expect(request("state=s", ["__Host-known-by=c; known-by=d"], true)).toEqual({
				state: "s",
				browser: "c"
			});
		});
	});
});

import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import { Type } from "typebox";
import { allContracts } from "../../contracts/index.ts";
import { openApiDocument } from "./openapi.ts";
import { routesOf } from "./routes.ts";

type Json = Record<string, any>;
const document: Json = openApiDocument(allContracts, { serverUrl: "https://api.example.com" });
const operations = Object.entries<Json>(document["paths"]).flatMap(([path, methods]) =>
	Object.entries<Json>(methods).map(([method, operation]) => ({ path, method, operation }))
);
const operationOf = (id: string): Json =>
	operations.find(({ operation }) => operation["operationId"] === id)!.operation;
const refsIn = (node: unknown): string[] => {
	if (typeof node !== "object" || node === null) return [];
	const own = (node as Json)["$ref"];
	return [...(typeof own === "string" ? [own] : []), ...Object.values(node).flatMap(refsIn)];
};
const resolve = (ref: string) =>
	ref
		.slice(2)
		.split("/")
		.reduce<any>((node, key) => node?.[key], document);

describe("the OpenAPI document", () => {
	it("is plain JSON of version 3.1", () => {
		expect(JSON.parse(JSON.stringify(document))).toEqual(document);
		expect(document["openapi"]).toBe("3.1.0");
		expect(document["servers"]).toEqual([{ url: "https://api.example.com" }]);
	});

	it("has every route, under the path that it has", () => {
		const found = operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`);
		for (const { method, path } of routesOf(allContracts))
			expect(found).toContain(`${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
	});

	it("has the pages of the gateway itself", () => {
		expect(Object.keys(document["paths"])).toEqual(
			expect.arrayContaining(["/health", "/ready", "/openapi.json", "/asyncapi.json"])
		);
	});

	it("refers to nothing that is not there", () => {
		const refs = new Set(refsIn(document));
		expect(refs.size).toBeGreaterThan(5);
		for (const ref of refs) expect([ref, typeof resolve(ref)]).toEqual([ref, "object"]);
	});

	it("names each operation once", () => {
		const ids = operations.map(({ operation }) => operation["operationId"]);
		expect(new Set(ids).size).toBe(ids.length);
	});

	it("declares each parameter of a path, and uses declared tags only", () => {
		const tags = document["tags"].map(({ name }: Json) => name);
		for (const { path, operation } of operations) {
			const declared = (operation["parameters"] ?? []).filter(
				(parameter: Json) => parameter["in"] === "path"
			);
			expect(declared.map(({ name }: Json) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
			for (const parameter of declared) expect(parameter["required"]).toBe(true);
			expect(tags).toEqual(expect.arrayContaining(operation["tags"]));
		}
	});

	it("has schemas that are proper JSON Schema", () => {
		const ajv = new Ajv({ strict: false });
		for (const format of ["uuid", "date-time", "email", "uri", "uri-reference"])
			ajv.addFormat(format, true);
		ajv.addSchema({ $id: "document", components: document["components"] });
		for (const name of Object.keys(document["components"]["schemas"]))
			expect(ajv.getSchema(`document#/components/schemas/${name}`)).toBeInstanceOf(Function);
	});

	it("names what is shared between operations", () => {
		expect(Object.keys(document["components"]["schemas"])).toEqual(
			expect.arrayContaining(["Problem", "User", "Product", "Cart", "Order", "Money", "Address"])
		);
	});

	it("tells where each part of a request goes", () => {
		const place = operationOf("orders.place");
		expect(place["parameters"]).toMatchObject([
			{ name: "Idempotency-Key", in: "header", required: true },
			{ name: "Prefer", in: "header" }
		]);
		const { schema } = place["requestBody"]["content"]["application/json"];
		expect(Object.keys(schema.properties)).toEqual([
			"shippingAddress",
			"paymentMethod",
			"expectedTotal"
		]);
		expect(schema.required).toEqual(["shippingAddress", "paymentMethod", "expectedTotal"]);
	});

	it("describes names of the client's own as fields of an object, each a parameter", () => {
		const attributes = operationOf("products.list").parameters.find(
			({ name }: Json) => name === "attributes"
		);
		expect(attributes).toMatchObject({
			in: "query",
			style: "form",
			explode: true,
			schema: { type: "object", maxProperties: 10, additionalProperties: { type: "string" } },
			example: { "attr.colour": "Black" }
		});
		const names = new RegExp(attributes.schema.propertyNames.pattern, "u");
		expect(
			["attr.colour", "colour", "attrxcolour", "attr.__proto__"].map(name => names.test(name))
		).toEqual([true, false, false, false]);
	});

	it("tells what a stream is made of", () => {
		const { responses, parameters } = operationOf("orders.follow");
		expect(responses[200].content).toEqual({
			"text/event-stream": {
				schema: { $ref: "#/components/schemas/TimelineStep" },
				example: expect.objectContaining({ step: "order.created" })
			}
		});
		expect(Object.keys(responses)).toEqual(expect.arrayContaining(["204", "429"]));
		expect(parameters.map(({ name }: Json) => name)).toEqual(["id", "Last-Event-Id"]);
	});

	it("has the Idempotency-Key wherever it is kept, and says where it is refused", () => {
		const takes = operations
			.filter(({ operation }) =>
				operation["parameters"]?.some(({ name }: Json) => name === "Idempotency-Key")
			)
			.map(({ operation }) => operation["operationId"]);
		expect(takes).toEqual(
			expect.arrayContaining(["auth.register", "carts.setItem", "orders.place", "orders.cancel"])
		);
		expect(takes).not.toContain("auth.login");
		expect(takes).not.toContain("carts.get");
		expect(JSON.stringify(operationOf("auth.login").responses[400])).toContain(
			"IDEMPOTENCY_KEY_REFUSED"
		);
	});

	it("tells each way in which it may end", () => {
		const { responses } = operationOf("orders.place");
		expect(Object.keys(responses)).toEqual([
			"201",
			"202",
			"400",
			"401",
			"406",
			"408",
			"409",
			"413",
			"414",
			"415",
			"422",
			"429",
			"431",
			"500",
			"503"
		]);
		expect(responses[202].headers).toHaveProperty("Location");
		expect(Object.keys(responses[409].content["application/problem+json"].examples)).toEqual([
			"CART_EMPTY",
			"CART_NOT_AVAILABLE",
			"TOTAL_CHANGED",
			"IDEMPOTENCY_IN_PROGRESS"
		]);
		expect(responses[409].headers).toHaveProperty("Retry-After");
		expect(responses[401]).toEqual({ $ref: "#/components/responses/UNAUTHENTICATED" });
		expect(responses[429]).toEqual({ $ref: "#/components/responses/RATE_LIMITED" });
		expect(responses[503]).toEqual({ $ref: "#/components/responses/UNAVAILABLE" });
		const shared = document["components"].responses;
		expect(Object.keys(shared["UNAVAILABLE"].content["application/problem+json"].examples)).toEqual(
			["UNAVAILABLE", "OVERLOADED"]
		);
		expect(Object.keys(shared["RATE_LIMITED"].headers)).toEqual([
			"Retry-After",
			"RateLimit-Policy",
			"RateLimit"
		]);
		expect(Object.keys(shared["UNAVAILABLE"].headers)).toEqual(["Retry-After"]);
		expect(operationOf("auth.logout")["responses"]).toHaveProperty("204");
		expect(operationOf("products.get")["responses"]).toHaveProperty("304");
		expect(operationOf("inventory.get")["responses"]).toHaveProperty("403");
	});

	it("has an example of each body and each answer, and they are what the schemas say", () => {
		const ajv = new Ajv2020({ strict: false });
		(ajvFormats as unknown as (ajv: Ajv2020) => void)(ajv);
		ajv.addSchema(document, "document");
		const examples = operations.flatMap(({ operation }) => {
			const bodies = [operation["requestBody"], ...Object.values<Json>(operation["responses"])];
			const media = bodies.flatMap(body =>
				Object.entries<Json>((body?.["$ref"] ? resolve(body["$ref"]) : body)?.["content"] ?? {})
			);
			return media
				.filter(([type]) => type.endsWith("json"))
				.flatMap(([, { schema, example, examples: several = { it: { value: example } } }]) =>
					Object.values<Json>(several).map(({ value }) => ({ schema, value }))
				);
		});
		expect(examples.length).toBeGreaterThan(2 * operations.length);
		for (const { schema, value } of examples) {
			const text = JSON.stringify(schema).replaceAll('"$ref":"#', '"$ref":"document#');
			expect([value, ajv.validate(JSON.parse(text) as object, value), ajv.errorsText()]).toEqual([
				value,
				true,
				"No errors"
			]);
		}
		expect(operationOf("auth.register")["requestBody"].content["application/json"].example).toEqual(
			{
				email: "ada@example.com",
				username: "ada",
				password: "correct horse battery",
				name: "Ada Lovelace"
			}
		);
		const { responses } = operationOf("orders.place");
		expect(responses[201].content["application/json"].example.status).toBe("confirmed");
		expect(responses[202].content["application/json"].example.status).toBe("placed");
	});

	it("gives an example of each parameter that is needed", () => {
		for (const { operation } of operations)
			for (const parameter of (operation["parameters"] ?? []) as Json[])
				expect([parameter["name"], !parameter["required"] || "example" in parameter]).toEqual([
					parameter["name"],
					true
				]);
	});

	it("tells where an answer leads on, what it sets, and what it may be otherwise", () => {
		const begin = operationOf("google.begin");
		expect(Object.keys(begin["responses"]).filter(status => status < "400")).toEqual(["303"]);
		expect(begin["responses"][303].headers).toEqual({
			Location: { schema: { type: "string", format: "uri" } },
			"Set-Cookie": { schema: { type: "string" } }
		});
		expect(
			begin["parameters"].map((parameter: Json) => [parameter["in"], parameter["name"]])
		).toEqual([
			["query", "returnTo"],
			["query", "codeChallenge"],
			["cookie", "valence-google"]
		]);
		const link = operationOf("google.beginLink")["responses"][200];
		expect(Object.keys(link.content["application/json"].schema.properties)).toEqual(["url"]);
		expect(Object.keys(link.content["application/json"].example)).toEqual(["url"]);
		const finish = operationOf("google.finish")["responses"];
		expect(Object.keys(finish).filter(status => status < "400")).toEqual(["200", "204", "303"]);
		expect(finish[200].content["application/json"].schema).toEqual({
			$ref: "#/components/schemas/Tokens"
		});
	});

	it("says what each of its tags is about", () => {
		for (const tag of document["tags"]) expect(tag).toMatchObject({ description: /\w/ });
	});

	it("says who must sign in", () => {
		expect(operationOf("orders.place")["security"]).toEqual([{ bearer: [] }]);
		expect(operationOf("carts.get")["security"]).toEqual([{}, { bearer: [] }]);
		expect(operationOf("auth.refresh")["security"]).toEqual([]);
	});

	it("refuses two schemas with one title", () => {
		const action = (title: string, schema: object) => ({
			summary: "",
			access: "public" as const,
			rest: { route: `GET /${title}` as const, tag: "" },
			params: Type.Object({}),
			result: Type.Object({}, { title: "Same", ...schema })
		});
		const actions = { a: action("a", {}), b: action("b", { description: "another" }) };
		const contracts = [{ name: "shop", failures: {}, events: {}, actions }];
		expect(() => openApiDocument(contracts, { serverUrl: "/" })).toThrow(
			"Two schemas are called 'Same'."
		);
	});
});

import { Type } from "typebox";
import { createAjv } from "../../lib/validator.ts";
import { exampleOf } from "./openapi-examples.ts";

describe("an example", () => {
	it.each([
		["its schema's own", Type.String({ pattern: "^x{3}$", examples: ["xxx", "yyy"] }), "xxx"],
		["the only value", Type.Literal(7), 7],
		["the first of a choice", Type.Enum(["b", "a"]), "b"],
		["what is taken where nothing is given", Type.Integer({ default: 20, minimum: 1 }), 20],
		["the smallest number", Type.Integer({ minimum: 3 }), 3],
		["what is there where there may be nothing", Type.Union([Type.Null(), Type.Boolean()]), true],
		["nothing where there is nothing", Type.Null(), null],
		["of its format", Type.String({ format: "date-time" }), "2026-01-02T03:04:05.000Z"],
		["long enough", Type.String({ minLength: 6 }), "text.."],
		["a list of one", Type.Array(Type.Boolean(), { minItems: 1 }), [true]],
		["anything", Type.Unknown(), {}],
		[
			"an object with what it needs, and what somebody thought of",
			Type.Object({
				id: Type.String({ format: "uuid" }),
				name: Type.Optional(Type.String({ examples: ["Ada"] })),
				note: Type.Optional(Type.String())
			}),
			{ id: "0199c0de-0000-7000-8000-000000000001", name: "Ada" }
		]
	])("is %s", (_, schema, example) => {
		expect(exampleOf(schema)).toEqual(example);
		expect(exampleOf(schema)).toEqual(exampleOf(schema));
		// Ajv takes defaults in fields only.
		const whole = { type: "object", properties: { it: JSON.parse(JSON.stringify(schema)) } };
		expect(createAjv().validate(whole, { it: example })).toBe(true);
	});

	it("is asked for where a pattern allows none that could be thought of", () => {
		expect(() => exampleOf(Type.Object({ id: Type.String({ pattern: "^[0-9]+$" }) }))).toThrow(
			"A text of the pattern ^[0-9]+$ needs 'examples' in its schema."
		);
	});
});

import { ServiceBroker } from "moleculer";
import { Type } from "typebox";
import { LongText, Money, Nullable, Params, Text } from "../contracts/common.ts";
import { createAjv, fieldErrors, JsonSchemaValidator, type FieldError } from "./validator.ts";

function errorsOf(schema: object, value: unknown): FieldError[] {
	const check = createAjv().compile(schema);
	return check(value) ? [] : fieldErrors(check.errors);
}

const SECRET = "hunter2-hunter2";

describe("what is wrong with a value", () => {
	const schema = Params({
		id: Type.String({ format: "uuid" }),
		address: Type.Object({ lines: Type.Array(Type.String({ maxLength: 3 })) }),
		"a/b~c": Type.Optional(Type.Integer()),
		at: Type.Optional(Type.String({ format: "date-time" }))
	});

	it("is told by field, code and message", () => {
		expect(errorsOf(schema, { address: { lines: ["ok", "long"] }, "a/b~c": 1.5, rest: 1 })).toEqual(
			expect.arrayContaining([
				{ field: "id", code: "required", message: "is required" },
				{ field: "rest", code: "unknown", message: "is not known" },
				{
					field: "address.lines.1",
					code: "maxLength",
					message: "must NOT have more than 3 characters"
				},
				{ field: "a/b~c", code: "type", message: "must be integer" }
			])
		);
	});

	it.each([
		[Type.Integer({ minimum: 0 })],
		[Type.String({ pattern: "^[a-z]$" })],
		[Type.String({ format: "uuid" })],
		[Type.String({ format: "email" })],
		[Type.String({ format: "date-time" })],
		[Type.String({ format: "uri" })],
		[Type.String({ maxLength: 3 })],
		[Type.Enum(["a", "b"])],
		[Type.Literal("a")],
		[Type.Boolean()],
		[Type.Null()],
		[Type.Array(Type.String())],
		[Nullable(Type.Integer())],
		[Type.Union([Type.Integer(), Type.Object({ a: Type.String() })])],
		[Money]
	])("never tells the value: %j", field => {
		const errors = errorsOf(Params({ field: field as typeof Money }), { field: SECRET });
		expect(errors.length).toBeGreaterThan(0);
		expect(JSON.stringify(errors)).not.toContain(SECRET);
	});

	it("is told in the words of the field where it is a pattern that people would have to read", () => {
		const words = "3 small letters";
		const small = Type.String({ pattern: "^[a-z]{3}$", description: words });
		const worded = Params({
			name: Type.Optional(small),
			names: Type.Optional(Type.Array(Nullable(small))),
			bare: Type.Optional(Type.String({ pattern: "^[a-z]{3}$" })),
			title: Type.Optional(Text(1, 5, { description: "What it is called" })),
			text: Type.Optional(LongText(5, { description: "What it is" }))
		});
		const told = (value: object) =>
			errorsOf(worded, value).map(({ field, code, message }) => [field, code, message]);
		expect(told({ name: SECRET })).toEqual([["name", "pattern", `must be: ${words}`]]);
		expect(told({ names: ["abc", SECRET] })).toEqual([["names.1", "pattern", `must be: ${words}`]]);
		expect(told({ bare: SECRET })).toEqual([
			["bare", "pattern", 'must match pattern "^[a-z]{3}$"']
		]);
		expect(told({ title: "a\nb", text: "a\0b" })).toEqual([
			["title", "pattern", "must not contain control characters"],
			["text", "pattern", "must not contain control characters"]
		]);
		expect(told({ title: "too long" })).toEqual([
			["title", "maxLength", "must NOT have more than 5 characters"]
		]);
		const asItIs = createAjv({ words: false }).compile(worded);
		expect(asItIs({ name: SECRET })).toBe(false);
		expect(fieldErrors(asItIs.errors)[0]!.message).toBe('must match pattern "^[a-z]{3}$"');
	});

	it("is told of a thing that may be null as if it had to be there", () => {
		const price = Params({ price: Nullable(Money) });
		expect(errorsOf(price, { price: null })).toEqual([]);
		expect(errorsOf(price, { price: { amount: "1", currency: "EUR" } })).toEqual([
			{ field: "price.amount", code: "type", message: "must be integer" }
		]);
		expect(errorsOf(price, { price: 1 })).toEqual([
			{ field: "price", code: "type", message: "must be object" }
		]);
		expect(errorsOf(Params({ none: Type.Null() }), { none: 1 })).toEqual([
			{ field: "none", code: "type", message: "must be null" }
		]);
	});

	it("is told of each branch where there are several", () => {
		const either = Params({ it: Type.Union([Type.Integer(), Type.Boolean()]) });
		expect(errorsOf(either, { it: "x" }).map(({ message }) => message)).toEqual([
			"must be integer",
			"must be boolean"
		]);
	});

	it("is nothing where there is nothing", () => {
		expect(fieldErrors(null)).toEqual([]);
	});
});

describe("formats", () => {
	const accepts = (format: string, text: string) =>
		errorsOf(Type.String({ format }), text).length === 0;

	it("take an id as PostgreSQL does, with no prefix", () => {
		expect(accepts("uuid", "01890A5D-AC96-774B-BCCE-B302099A8057")).toBe(true);
		expect(accepts("uuid", "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057")).toBe(false);
		expect(accepts("uuid", "01890a5dac96774bbcceb302099a8057")).toBe(false);
	});

	it("refuse what only looks like one (V1)", () => {
		expect(accepts("email", "ada@example.com")).toBe(true);
		// The first letter is Cyrillic.
		for (const text of [
			"ada@",
			"",
			" ",
			"\u0430da@example.com",
			"a\0@example.com",
			"ada@example.com\n"
		])
			expect([text, accepts("email", text)]).toEqual([text, false]);
		expect(accepts("date-time", "2026-01-01T00:00:00Z")).toBe(true);
		expect(accepts("date-time", "2026-13-01T00:00:00Z")).toBe(false);
	});
});

describe("numbers", () => {
	it("are numbers, and nothing that could be made one (V1)", () => {
		const schema = Params({ size: Type.Integer({ minimum: 0 }) });
		for (const size of ["", " ", "5", "1e3", [], [5], true, null, 1.5])
			expect(errorsOf(schema, { size })).toMatchObject([{ field: "size", code: "type" }]);
		expect(errorsOf(schema, { size: 0 })).toEqual([]);
	});
});

describe("texts of the contracts", () => {
	it("are neither empty, nor endless, nor of characters that no database keeps (V1)", () => {
		const schema = Params({ name: Text(1, 200) });
		for (const name of ["", "a".repeat(201), "a\0", "a\nb", "\ud800", "\u0085"])
			expect(errorsOf(schema, { name })).toHaveLength(1);
		for (const name of ["a", "\u{1F937}".repeat(200)])
			expect(errorsOf(schema, { name })).toEqual([]);
	});
});

describe("strings of a URL", () => {
	it("become numbers and booleans only where asked for", () => {
		const schema = Params({ limit: Type.Integer(), all: Type.Boolean() });
		const given = { limit: "5", all: "true" };
		expect(createAjv({ coerce: true }).compile(schema)(given)).toBe(true);
		expect(given).toEqual({ limit: 5, all: true });
		expect(errorsOf(schema, { limit: "5", all: "true" })).toHaveLength(2);
	});
});

describe("a broker with this validator", () => {
	const broker = new ServiceBroker({ logger: false, validator: new JsonSchemaValidator() });
	beforeAll(() => {
		broker.createService({
			name: "box",
			actions: {
				json: {
					params: Params({
						size: Type.Integer({ minimum: 1 }),
						colour: Type.Optional(Type.String({ default: "red" }))
					}) as never,
					handler: ctx => ctx.params
				},
				fastest: { params: { size: "number|min:1" }, handler: ctx => ctx.params }
			}
		});
		return broker.start();
	});
	afterAll(() => broker.stop());

	it("checks JSON Schema and fills in defaults", async () => {
		expect(await broker.call("box.json", { size: 1 })).toEqual({ size: 1, colour: "red" });
		await expect(broker.call("box.json", { size: SECRET })).rejects.toMatchObject({
			code: 422,
			type: "VALIDATION_ERROR",
			data: [{ field: "size", code: "type", message: "must be integer" }]
		});
	});

	it("checks the rules that Moleculer's own services speak", async () => {
		expect(await broker.call("box.fastest", { size: 1 })).toEqual({ size: 1 });
		await expect(broker.call("box.fastest", { size: 0 })).rejects.toMatchObject({ code: 422 });
		await expect(broker.call("$node.list", { withServices: "x" })).rejects.toMatchObject({
			code: 422
		});
	});

	it("validates a value by itself", () => {
		const validator = broker.validator as unknown as JsonSchemaValidator;
		const schema = Params({ size: Type.Integer() }) as never;
		expect(validator.validate({ size: 1 }, schema)).toBe(true);
		expect(() => validator.validate({ size: "1" }, schema)).toThrow("validation");
	});
});

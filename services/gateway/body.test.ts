import { parseBody } from "./body.ts";

const parse = (text: string) => parseBody(Buffer.from(text));
const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;

describe("a body", () => {
	it("is an object of JSON in UTF-8", () => {
		expect(parse('{"name":"Æ€😀","constructor":"a builder"}')).toEqual({
			name: "Æ€😀",
			constructor: "a builder"
		});
		expect(parse("\ufeff{}")).toEqual({});
		expect(parse("")).toEqual({});
	});

	it("may be nested 32 levels deep and not 33", () => {
		expect(() => parse(nested(32))).not.toThrow();
		expect(() => parse(nested(33))).toThrow(
			expect.objectContaining({ type: "MALFORMED_BODY", code: 400 })
		);
	});

	it.each([
		'{"__proto__":1}',
		'{"a":[{"__proto__":{}}]}',
		'{"constructor":{"prototype":{}}}',
		'{"\\u005f_proto__":{}}'
	])("has no key that reaches a prototype: %s", text => {
		expect(() => parse(text)).toThrow(expect.objectContaining({ type: "MALFORMED_BODY" }));
	});

	it("is properly encoded", () => {
		expect(() => parseBody(Uint8Array.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(
			expect.objectContaining({ type: "MALFORMED_BODY" })
		);
	});

	it.each(["[]", "null", "1", '"a"'])("is no other JSON: %s", text => {
		expect(() => parse(text)).toThrow(
			expect.objectContaining({ type: "VALIDATION_ERROR", code: 422 })
		);
	});
});

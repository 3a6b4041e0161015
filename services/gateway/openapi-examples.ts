/** Examples made of schemas, so that what the document shows is what the contracts take. */
import type { TSchema } from "typebox";

interface Schema {
	readonly type?: string;
	readonly const?: unknown;
	readonly enum?: readonly unknown[];
	readonly examples?: readonly unknown[];
	readonly default?: unknown;
	readonly format?: string;
	readonly pattern?: string;
	readonly minLength?: number;
	readonly minimum?: number;
	readonly anyOf?: readonly Schema[];
	readonly items?: Schema;
	readonly required?: readonly string[];
	readonly properties?: Readonly<Record<string, Schema>>;
}

const FORMATS: Readonly<Record<string, string>> = {
	uuid: "0199c0de-0000-7000-8000-000000000001",
	"date-time": "2026-01-02T03:04:05.000Z",
	email: "ada@example.com",
	uri: "https://example.com/"
};

/**
 * A value that the schema allows, always the same one: its own first example, else one made of its
 * parts. An optional field is in it where the field's schema has an example of its own. Throws where
 * a pattern leaves no value that could be thought of: such a schema needs `examples`.
 */
export function exampleOf(schema: TSchema): unknown {
	return make(schema);
}

/** Whether somebody who wrote the schema thought of an example. */
export const hasExample = (schema: TSchema): boolean => "examples" in schema;

function make(schema: Schema): unknown {
	if (schema.examples) return schema.examples[0];
	if ("const" in schema) return schema.const;
	if (schema.enum) return schema.enum[0];
	if ("default" in schema) return schema.default;
	// What may be null is shown as it is when it is not.
	if (schema.anyOf) return make(schema.anyOf.find(({ type }) => type !== "null")!);
	switch (schema.type) {
		case "object":
			return makeObject(schema);
		case "array":
			return [make(schema.items!)];
		case "string":
			return makeText(schema);
		case "integer":
		case "number":
			return schema.minimum ?? 0;
		case "boolean":
			return true;
		case "null":
			return null;
		default:
			return {};
	}
}

const makeObject = ({ properties = {}, required = [] }: Schema): Record<string, unknown> =>
	Object.fromEntries(
		Object.entries(properties)
			.filter(([name, property]) => required.includes(name) || property.examples)
			.map(([name, property]) => [name, make(property)])
	);

function makeText({ format, pattern, minLength = 0 }: Schema): string {
	const text = FORMATS[format ?? ""] ?? "text".padEnd(minLength, ".");
	if (pattern !== undefined && !new RegExp(pattern, "u").test(text))
		throw new Error(`A text of the pattern ${pattern} needs 'examples' in its schema.`);
	return text;
}

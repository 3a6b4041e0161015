import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import ajvFormats from "ajv-formats";
import { Errors, Validators } from "moleculer";

export interface FieldError {
	/** Dotted path of the field. */
	readonly field: string;
	readonly code: string;
	readonly message: string;
}

const addFormats = ajvFormats as unknown as (ajv: Ajv, formats: string[]) => Ajv;

/**
 * An Ajv that speaks the formats the contracts use. `coerce` turns strings of a URL into numbers
 * and booleans; `defaults` fills in what is left out; without `words` a pattern is told as it is, where the
 * description of its field is not.
 */
export function createAjv({ coerce = false, defaults = true, words = true } = {}): Ajv {
	const ajv = new Ajv({
		allErrors: true,
		useDefaults: defaults,
		coerceTypes: coerce,
		strict: true,
		allowUnionTypes: true,
		// Its errors then know the schema, and the value as well: fieldErrors() hands on neither.
		verbose: words
	});
	addFormats(ajv, ["date-time", "email", "uri"]);
	// Not as ajv-formats has it: PostgreSQL refuses the form with `urn:uuid:` before it.
	return ajv.addFormat("uuid", /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i);
}

/** Says which fields are wrong and how, and never what they contain. */
export const fieldErrors = (errors: readonly ErrorObject[] | null | undefined): FieldError[] =>
	(errors ?? [])
		.filter(error => !saysLittle(error))
		.map(error => {
			const { instancePath, keyword, params } = error;
			const missing = keyword === "required" ? (params["missingProperty"] as string) : undefined;
			const unknown =
				keyword === "additionalProperties" ? (params["additionalProperty"] as string) : undefined;
			const path = instancePath.slice(1).split("/").filter(Boolean);
			const field = [...path, ...[missing ?? unknown].filter(name => name !== undefined)];
			return {
				field: field.map(part => part.replaceAll("~1", "/").replaceAll("~0", "~")).join("."),
				...(missing !== undefined
					? { code: "required", message: "is required" }
					: unknown !== undefined
						? { code: "unknown", message: "is not known" }
						: { code: keyword, message: inWords(error) })
			};
		});

/** Of a pattern that only says what must not be in a text. */
const FORBIDS = /^\^(?:\(\?:)?\[\^/;

/** People do not read patterns: what the field is says more, where its schema tells that. */
function inWords({ keyword, params, message = "is not valid", parentSchema }: ErrorObject): string {
	if (keyword !== "pattern" || !parentSchema) return message;
	if (FORBIDS.test(params["pattern"] as string)) return "must not contain control characters";
	const { description } = parentSchema as { description?: string };
	return description === undefined ? message : `must be: ${description}`;
}

/** A union reports each of its branches and then itself; that it might have been null is no help either. */
const saysLittle = ({ keyword, params, schemaPath }: ErrorObject): boolean =>
	keyword === "anyOf" || (params["type"] === "null" && schemaPath.includes("/anyOf/"));

/** Lets the broker check JSON Schema (what contracts are made of) instead of fastest-validator rules. */
export class JsonSchemaValidator extends Validators.Base {
	readonly #ajv = createAjv();
	readonly #internal = new Validators.Fastest({});

	constructor() {
		super({});
	}

	// Moleculer's own services ($node, …) and moleculer-web still speak fastest-validator.
	override compile(schema: Record<string, unknown>): any {
		if (schema["type"] !== "object" || typeof schema["properties"] !== "object")
			return this.#internal.compile(schema);
		const check: ValidateFunction = this.#ajv.compile(schema);
		return (params: unknown) => check(params) || fieldErrors(check.errors);
	}

	override validate(params: Record<string, unknown>, schema: Record<string, unknown>): boolean {
		const result = this.compile(schema)(params);
		if (result !== true)
			throw new Errors.ValidationError("Parameters validation error!", "VALIDATION_ERROR", result);
		return true;
	}

	override convertSchemaToMoleculer(schema: Record<string, unknown>): Record<string, unknown> {
		return schema;
	}
}

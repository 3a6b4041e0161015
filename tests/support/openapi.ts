/** An OpenAPI document as a judge: which requests there are, and whether an answer is one of those that it tells. */
import type { IncomingHttpHeaders } from "node:http";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";

type Json = Record<string, any>;

/** An operation of the document, with its shared parts filled in. */
export interface Operation {
	readonly method: string;
	/** With `{name}` for parameters. */
	readonly path: string;
	readonly parameters: readonly Parameter[];
	/** The example of its body, and the names that its schema has. */
	readonly body?: { readonly example: Json; readonly names: readonly string[] };
	/** By status. */
	readonly responses: Readonly<Record<string, Json>>;
}
export interface Parameter {
	readonly name: string;
	readonly in: "path" | "query" | "header" | "cookie";
	readonly required?: boolean;
	readonly schema: Json;
	readonly example?: unknown;
}

export interface Received {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly body: string;
}

/** Every operation of the document. */
export function operationsOf(document: Json): Operation[] {
	return Object.entries<Json>(document["paths"]).flatMap(([path, methods]) =>
		Object.entries<Json>(methods).map(([method, operation]) => {
			const body = operation["requestBody"]?.content["application/json"];
			return {
				method: method.toUpperCase(),
				path,
				parameters: operation["parameters"] ?? [],
				...(body
					? { body: { example: body.example, names: Object.keys(body.schema.properties) } }
					: {}),
				responses: Object.fromEntries(
					Object.entries<Json>(operation["responses"]).map(([status, response]) => [
						status,
						response["$ref"]
							? document["components"].responses[response["$ref"].split("/").at(-1)]
							: response
					])
				)
			};
		})
	);
}

/** Compares answers with the document. */
export class Judge {
	readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
	readonly #checks = new Map<string, ValidateFunction>();

	constructor(document: Json) {
		(ajvFormats as unknown as (ajv: Ajv2020) => void)(this.#ajv);
		this.#ajv.addSchema(closed(document) as object, "document");
	}

	/** What of the answer is not documented; undefined where all is. */
	fault({ responses }: Operation, received: Received): string | undefined {
		const { status, headers, body } = received;
		const documented = responses[status];
		if (!documented) return `${status} is not documented.`;
		if (!documented["content"]) return body === "" ? undefined : "A body is not documented.";
		const type = headers["content-type"]?.split(";")[0] ?? "";
		const media = documented["content"][type] as Json | undefined;
		if (!media) return `${type} is not documented.`;
		if (!type.endsWith("json")) return undefined;
		const parsed = JSON.parse(body) as Json;
		const check = this.#checkOf(media["schema"]);
		if (!check(parsed))
			return `The body is not as documented: ${this.#ajv.errorsText(check.errors)}`;
		if (type !== "application/problem+json") return undefined;
		if (parsed["status"] !== status) return "Status and body differ.";
		return parsed["code"] in media["examples"] ? undefined : `${parsed["code"]} is not documented.`;
	}

	#checkOf(schema: Json): ValidateFunction {
		const text = JSON.stringify(closed(schema)).replaceAll('"$ref":"#', '"$ref":"document#');
		const check = this.#checks.get(text) ?? this.#ajv.compile(JSON.parse(text) as object);
		this.#checks.set(text, check);
		return check;
	}
}

/** The same schemas without room for what they do not name: an answer shall not tell more than is documented. */
function closed(node: unknown): unknown {
	if (typeof node !== "object" || node === null) return node;
	if (Array.isArray(node)) return node.map(closed);
	const copy = Object.fromEntries(Object.entries(node).map(([key, inner]) => [key, closed(inner)]));
	return copy["type"] === "object" && copy["properties"] && !("additionalProperties" in copy)
		? { ...copy, additionalProperties: false }
		: copy;
}

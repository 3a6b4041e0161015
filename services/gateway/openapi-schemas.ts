/** The schemas of an OpenAPI or AsyncAPI document. */
import type { TSchema } from "typebox";

export type Json = Record<string, unknown>;

/** Schemas with a title stand once in the document, under that name, and are referred to elsewhere. */
export class Components {
	readonly schemas: Record<string, Json> = {};
	readonly #known = new Map<string, string>();

	/** The schema as it stands in the document. Throws where two different schemas have the same title. */
	refer(schema: TSchema): Json {
		return this.#visit(JSON.parse(JSON.stringify(schema))) as Json;
	}

	#visit(node: unknown): unknown {
		if (Array.isArray(node)) return node.map(item => this.#visit(item));
		if (typeof node !== "object" || node === null) return node;
		const { title } = node as { title?: unknown };
		if (typeof title !== "string") return this.#inside(node);
		const whole = JSON.stringify(node);
		if ((this.#known.get(title) ?? whole) !== whole)
			throw new Error(`Two schemas are called '${title}'.`);
		if (!this.#known.has(title)) {
			this.#known.set(title, whole);
			this.schemas[title] = this.#inside(node);
		}
		return { $ref: `#/components/schemas/${title}` };
	}

	#inside(node: object): Json {
		return Object.fromEntries(
			Object.entries(node).map(([key, value]) => [key, this.#visit(value)])
		);
	}
}

/** A request's parts as the parameters of an action: each from its one source, all mistakes at once. */
import type { TSchema } from "typebox";
import { commonFailure, failure } from "../../lib/failure.ts";
import { createAjv, fieldErrors, type FieldError } from "../../lib/validator.ts";
import { versionsOf } from "./answer.ts";
import { cookieName, cookieOf } from "./cookies.ts";
import { gateway } from "./problem.ts";
import type { Route, Source } from "./routes.ts";

export interface RequestParts {
	/** Decoded. */
	readonly path: Readonly<Record<string, string>>;
	/** Raw, without the question mark. */
	readonly query: string;
	/** Every value of each header, as `IncomingMessage.headersDistinct` has them. */
	readonly headers: Readonly<Record<string, readonly string[] | undefined>>;
	readonly body: Readonly<Record<string, unknown>>;
	/** Whether clients reach us by https, by which cookies are named otherwise. */
	readonly isSecure?: boolean;
}
export type ReadParameters = (parts: RequestParts) => Record<string, unknown>;

const ajv = createAjv();

/**
 * Compiles how a route's parameters are read. The reader throws REPEATED_PARAMETER, REPEATED_HEADER,
 * HEADER_REQUIRED, PRECONDITION_REQUIRED, MALFORMED_URL or VALIDATION_ERROR.
 */
export function parameterReader({ contract, rest, sources }: Route): ReadParameters {
	const check = ajv.compile(contract.params);
	const schemas = contract.params.properties;
	const prefixes = [...sources].filter(([, source]) => source.in === "prefix");
	return ({ path, query, headers, body, isSecure = false }) => {
		const params: Record<string, unknown> = {};
		const errors: FieldError[] = [];
		const take = (from: "query" | "body", name: string, value: unknown) => {
			// What belongs elsewhere is as unknown here as what belongs nowhere.
			if (sources.get(name)?.in === from) params[name] = value;
			else if (from === "query" && rest.foreign) return;
			else errors.push({ field: name, code: "unknown", message: "is not known" });
		};
		for (const name of rest.required ?? []) requireHeader(name, headers);
		for (const [name, source] of sources) {
			const text =
				source.in === "path"
					? path[source.name]
					: source.in === "header"
						? onlyHeader(source.name, headers)
						: source.in === "cookie"
							? cookieOf(headers["cookie"], cookieName(source.name, isSecure))
							: undefined;
			if (text === undefined) continue;
			const value = isIfMatch(source) ? versionsOf(text) : fromText(schemas[name], text);
			if (value !== undefined) params[name] = value;
		}
		const asked = parseQuery(query);
		for (const [name, source] of prefixes) {
			const found = takePrefixed(asked, source.name);
			if (found) params[name] = found;
		}
		for (const [name, text] of asked) take("query", name, fromText(schemas[name], text));
		for (const [name, value] of Object.entries(body)) take("body", name, value);
		if (!check(params))
			errors.push(...fieldErrors(check.errors).map(error => inTermsOfRequest(error, sources)));
		if (errors.length > 0) throw commonFailure("VALIDATION_ERROR", { errors });
		return params;
	};
}

/** A header's value; undefined where it is missing or empty. Throws REPEATED_HEADER. */
export function onlyHeader(name: string, headers: RequestParts["headers"]): string | undefined {
	const values = headers[name] ?? [];
	if (values.length > 1)
		throw failure(gateway, "REPEATED_HEADER", {
			detail: `The header '${name}' was given more than once.`
		});
	return values[0]?.trim() || undefined;
}

function requireHeader(name: string, headers: RequestParts["headers"]): void {
	if (onlyHeader(name, headers) !== undefined) return;
	if (name === "if-match") throw failure(gateway, "PRECONDITION_REQUIRED");
	throw failure(gateway, "HEADER_REQUIRED", { detail: `The header '${name}' is required.` });
}

function parseQuery(query: string): Map<string, string> {
	const found = new Map<string, string>();
	for (const piece of query.split("&")) {
		if (piece === "") continue;
		const [name, value] = decodePair(piece);
		if (found.has(name)) throw failure(gateway, "REPEATED_PARAMETER");
		found.set(name, value);
	}
	return found;
}

/** Takes what begins with the prefix out of the query; undefined where nothing does. */
function takePrefixed(
	query: Map<string, string>,
	prefix: string
): Record<string, string> | undefined {
	const found = [...query].filter(([name]) => name.startsWith(prefix));
	for (const [name] of found) query.delete(name);
	// Own fields, whatever their names are.
	return found.length > 0
		? Object.fromEntries(found.map(([name, text]) => [name.slice(prefix.length), text]))
		: undefined;
}

function decodePair(piece: string): [name: string, value: string] {
	const text = piece.replaceAll("+", " ");
	const end = text.includes("=") ? text.indexOf("=") : text.length;
	try {
		return [decodeURIComponent(text.slice(0, end)), decodeURIComponent(text.slice(end + 1))];
	} catch {
		throw failure(gateway, "MALFORMED_URL");
	}
}

const INTEGER = /^(?:0|-?[1-9]\d{0,15})$/;
const DECIMAL = /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?$/;

/**
 * Text of a URL or header as its schema wants it. What is not written plainly stays text, which
 * the schema then refuses: Ajv's own coercion would take `""`, `0x10` and `1e3` for numbers.
 */
function fromText(schema: TSchema | undefined, text: string): unknown {
	const { type } = (schema ?? {}) as { type?: string };
	if (type === "integer" && INTEGER.test(text)) return Number(text);
	if (type === "number" && DECIMAL.test(text)) return Number(text);
	if (type === "boolean" && (text === "true" || text === "false")) return text === "true";
	return text;
}

/** Whether it is the header whose tags are read as versions. */
export const isIfMatch = (source: Source): boolean =>
	source.in === "header" && source.name === "if-match";

/** Clients know a header by its own name and not by the parameter's, and so a name behind a prefix. */
function inTermsOfRequest(error: FieldError, sources: Route["sources"]): FieldError {
	const [name = ""] = error.field.split(".", 1);
	const source = sources.get(name);
	if (source?.in === "prefix")
		return { ...error, field: source.name + error.field.slice(name.length + 1) };
	return source?.in === "header" ? { ...error, field: source.name } : error;
}

/** Requests to an operation of an OpenAPI document: proper ones, with wrong, huge, odd and hostile values in them. */
import fc from "fast-check";
import {
	contentType,
	headerText,
	JSON_TYPE,
	oddHeaders,
	oddQuery,
	rawBody,
	rawPiece,
	text,
	value
} from "./hostile-values.ts";
import type { Operation, Parameter } from "./openapi.ts";

type Json = Record<string, any>;

/** A request as it goes over the wire. */
export interface Sent {
	readonly method: string;
	readonly target: string;
	/** Names and values in turn, as Node takes them. */
	readonly headers: readonly string[];
	readonly body?: Buffer;
}

/** Values that exist in the system, by the name of a parameter or a field. */
export type Known = Readonly<Record<string, readonly any[]>>;

/** Requests to the operation; one in four has nothing wrong. */
export function requestsTo(operation: Operation, known: Known): fc.Arbitrary<Sent> {
	const { method, path, parameters, body } = operation;
	const of = (place: Parameter["in"]) =>
		parameters.filter(parameter => parameter.in === place).flatMap(eachOf);
	const proper = fc.record({
		parts: fc.tuple(...of("path").map(parameter => plausible(parameter, known).map(percent))),
		query: properPairs(of("query"), known).map(pairs => pairs.map(both => pair(...both)).join("&")),
		headers: properPairs(of("header"), known).map(pairs => pairs.flat()),
		type: fc.constant(JSON_TYPE),
		body: body ? properBody(body, known).map(toBytes) : fc.constant(undefined)
	});
	const hostile = fc.record({
		parts: fc.tuple(...of("path").map(parameter => pathPart(parameter, known))),
		query: queryOf(of("query"), known),
		headers: headersOf(of("header"), known),
		type: contentType,
		body: body ? bodyOf(body, known) : rarely(rawBody)
	});
	return fc
		.oneof({ weight: 1, arbitrary: proper }, { weight: 3, arbitrary: hostile })
		.map(({ parts, query, headers, type, body: bytes }) => {
			const next = [...parts];
			const filled = path.replaceAll(/\{\w+\}/g, () => next.shift()!);
			const length = ["Content-Length", String(bytes?.length ?? 0)];
			return {
				method,
				target: query ? `${filled}?${query}` : filled,
				headers: [...headers, ...(bytes ? type : []), ...length],
				...(bytes ? { body: bytes } : {})
			};
		});
}

/** Of an object in the form style each field is a parameter of its own. */
const eachOf = (parameter: Parameter): Parameter[] =>
	parameter.schema["type"] === "object"
		? Object.entries<unknown>(parameter.example as Json).map(([name, example]) => ({
				...parameter,
				name,
				example,
				schema: parameter.schema["additionalProperties"] as Json
			}))
		: [parameter];

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
	fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** Text of a URL or a header that the parameter's schema might allow. */
function plausible({ name, schema, example }: Parameter, known: Known): fc.Arbitrary<string> {
	const candidates: unknown[] = [
		...(known[name] ?? []),
		...(example === undefined ? [] : [example]),
		...((schema["enum"] as unknown[] | undefined) ?? [])
	];
	const ways: fc.Arbitrary<unknown>[] = [
		...(candidates.length > 0 ? [fc.constantFrom(...candidates)] : []),
		...(schema["type"] === "integer" ? [fc.integer({ min: 0, max: 120 })] : []),
		...(schema["type"] === "boolean" ? [fc.boolean()] : []),
		...(schema["format"] === "uuid" ? [fc.uuid()] : []),
		...(name === "cursor" ? [forgedCursor(known["cursor"]!)] : [])
	];
	return fc.oneof(...(ways.length > 0 ? ways : [fc.constant("lamp")])).map(String);
}

/** Cursors that name their list as one of these does, and anything as the place in it. */
const forgedCursor = (real: readonly string[]): fc.Arbitrary<string> =>
	fc.tuple(fc.constantFrom(...real), value).map(([cursor, place]) => {
		const [list] = JSON.parse(Buffer.from(cursor, "base64url").toString()) as unknown[];
		return Buffer.from(JSON.stringify([list, place])).toString("base64url");
	});

/** Names and proper values of the parameters, of which the optional ones may be left out. */
const properPairs = (
	parameters: readonly Parameter[],
	known: Known
): fc.Arbitrary<[name: string, given: string][]> =>
	fc
		.tuple(
			...parameters.map(parameter =>
				fc.tuple(
					fc.nat(3).map(chance => parameter.required === true || chance === 0),
					plausible(parameter, known).map((chosen): [string, string] => [parameter.name, chosen])
				)
			)
		)
		.map(all => all.filter(([isThere]) => isThere).map(([, both]) => both));

const pathPart = (parameter: Parameter, known: Known): fc.Arbitrary<string> =>
	fc.oneof(
		{ weight: 5, arbitrary: plausible(parameter, known).map(percent) },
		{ weight: 3, arbitrary: text.filter(part => part !== "").map(percent) },
		{ weight: 1, arbitrary: rawPiece }
	);

const queryOf = (parameters: readonly Parameter[], known: Known): fc.Arbitrary<string> =>
	fc
		.tuple(
			fc.oneof(
				{ weight: 10, arbitrary: fc.constant<string[]>([]) },
				{ weight: 1, arbitrary: fc.tuple(text, text).map(([name, given]) => [pair(name, given)]) },
				{ weight: 1, arbitrary: oddQuery.map(piece => [piece]) }
			),
			...parameters.map(parameter => queryPart(parameter, known))
		)
		.map(pieces => pieces.flat().join("&"));

/** The parameter left out, given well, given badly, given twice, or as other servers take lists and objects. */
function queryPart(parameter: Parameter, known: Known): fc.Arbitrary<string[]> {
	const { name } = parameter;
	const proper = plausible(parameter, known);
	const suffix = fc.constantFrom("[]", "[$gt]", "[__proto__]", ".x");
	return fc.oneof(
		{ weight: 8, arbitrary: fc.constant<string[]>([]) },
		{ weight: 6, arbitrary: proper.map(given => [pair(name, given)]) },
		{ weight: 2, arbitrary: text.map(given => [pair(name, given)]) },
		fc.tuple(proper, text).map(all => all.map(given => pair(name, given))),
		fc.tuple(suffix, text).map(([behind, given]) => [pair(name + behind, given)]),
		rawPiece.map(piece => [`${name}=${piece}`])
	);
}

const pair = (name: string, given: string): string => `${percent(name)}=${percent(given)}`;

/** UTF-8, all that is not plain as `%xx`; halves of surrogate pairs as some encoders write them. */
const percent = (plain: string): string =>
	plain.replaceAll(/[^\w.~-]/gu, character =>
		/\p{Cs}/u.test(character)
			? "%ED%A0%80"
			: Buffer.from(character).toString("hex").replaceAll(/../g, "%$&")
	);

const headersOf = (parameters: readonly Parameter[], known: Known): fc.Arbitrary<string[]> =>
	fc
		.tuple(
			fc.oneof(
				{ weight: 2, arbitrary: fc.constant<string[]>([]) },
				{ weight: 1, arbitrary: oddHeaders }
			),
			...parameters.map(parameter => headerPart(parameter, known))
		)
		.map(all => all.flat());

function headerPart(parameter: Parameter, known: Known): fc.Arbitrary<string[]> {
	const { name, required = false } = parameter;
	const proper = plausible(parameter, known);
	return fc.oneof(
		{ weight: 8, arbitrary: proper.map(given => [name, given]) },
		{ weight: required ? 1 : 6, arbitrary: fc.constant<string[]>([]) },
		{ weight: 2, arbitrary: headerText.map(given => [name, given]) },
		proper.map(given => [name, given, name, given])
	);
}

const bodyOf = (
	body: NonNullable<Operation["body"]>,
	known: Known
): fc.Arbitrary<Buffer | undefined> =>
	fc.oneof(
		{ weight: 12, arbitrary: changedBody(body, known) },
		{ weight: 2, arbitrary: value.map(toBytes) },
		{ weight: 1, arbitrary: rawBody },
		{ weight: 1, arbitrary: fc.constant(undefined) }
	);

const toBytes = (body: unknown): Buffer => Buffer.from(JSON.stringify(body));

/** The example, with what is known instead of what it has. */
const properBody = (
	{ example, names }: NonNullable<Operation["body"]>,
	known: Known
): fc.Arbitrary<Json> =>
	fc
		.tuple(
			...names
				.filter(name => name in example || known[name])
				.map(name =>
					fc
						.constantFrom<unknown>(...(known[name] ?? [example[name]]))
						.map(chosen => [name, chosen] as const)
				)
		)
		.map(entries => Object.fromEntries(entries));

/** A proper body in which up to three fields are changed, left out or added. */
function changedBody(body: NonNullable<Operation["body"]>, known: Known): fc.Arbitrary<Buffer> {
	const name = fc.constantFrom(...body.names);
	const change = fc.oneof(
		fc.record({ kind: fc.constant("set" as const), name, value }),
		fc.record({ kind: fc.constant("inside" as const), name, at: fc.nat(), value }),
		fc.record({ kind: fc.constant("drop" as const), name }),
		fc.record({ kind: fc.constant("add" as const), name: text, value })
	);
	return fc
		.tuple(properBody(body, known), fc.array(change, { maxLength: 3 }))
		.map(([proper, changes]) => {
			const entries = new Map<string, unknown>(Object.entries(proper));
			for (const step of changes)
				if (step.kind === "drop") entries.delete(step.name);
				else if (step.kind === "inside")
					entries.set(step.name, changedInside(entries.get(step.name), step.at, step.value));
				else entries.set(step.name, step.value);
			return toBytes(withOwn([...entries]));
		});
}

function changedInside(outer: unknown, at: number, inner: unknown): unknown {
	const fields = Object.entries(typeof outer === "object" && outer !== null ? outer : { "": 0 });
	return withOwn(
		fields.map(([name, given], index) => [name, index === at % fields.length ? inner : given])
	);
}

/** An object with these fields, where `__proto__` too is a name like any other. */
function withOwn(entries: readonly (readonly [string, unknown])[]): Json {
	const object: Json = {};
	for (const [name, given] of entries)
		Object.defineProperty(object, name, { value: given, enumerable: true, configurable: true });
	return object;
}

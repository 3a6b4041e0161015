/**
 * What has become of a JSON Schema: for what was promised to be there, and for what is there now.
 * Paths are for people: `orders.place params.shippingAddress.city maxLength`.
 */
import { isDeepStrictEqual } from "node:util";

export type Json =
	null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject =>
	typeof value === "object" && value !== null && !Array.isArray(value);
const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/**
 * What breaks those who rely on a schema, or on any other value, as sentences: every difference but
 * an optional property that was added.
 */
export function changes(before: Json | undefined, after: Json | undefined, path: string): string[] {
	if (isObject(before) && isObject(after)) {
		const { properties, required, ...rest } = before;
		const { properties: nextProperties, required: nextRequired, ...nextRest } = after;
		const keys = [...new Set([...Object.keys(rest), ...Object.keys(nextRest)])];
		return [
			...(isObject(properties) && isObject(nextProperties)
				? changedProperties(
						{ fields: properties, required: namesIn(required) },
						{ fields: nextProperties, required: namesIn(nextRequired) },
						path
					)
				: [
						...changes(properties, nextProperties, `${path} properties`),
						...changes(required, nextRequired, `${path} required`)
					]),
			...keys.flatMap(key => changes(rest[key], nextRest[key], `${path} ${key}`))
		];
	}
	if (isArray(before) && isArray(after) && before.length === after.length && !path.endsWith("enum"))
		return before.flatMap((item, index) => changes(item, after[index], `${path}[${index}]`));
	return isDeepStrictEqual(sorted(before), sorted(after))
		? []
		: [`${path} was ${show(before)} and is ${show(after)}`];
}

interface Fields {
	readonly fields: JsonObject;
	readonly required: readonly string[];
}

function changedProperties(before: Fields, after: Fields, path: string): string[] {
	const old = Object.entries(before.fields).flatMap(([name, schema]) => {
		if (!Object.hasOwn(after.fields, name)) return [`${path}.${name} has been removed`];
		const was = before.required.includes(name);
		const is = after.required.includes(name);
		return [
			...(was && !is ? [`${path}.${name} is not required any more`] : []),
			...(is && !was ? [`${path}.${name} is required by now`] : []),
			...changes(schema, after.fields[name], `${path}.${name}`)
		];
	});
	const added = Object.keys(after.fields)
		.filter(name => !Object.hasOwn(before.fields, name) && after.required.includes(name))
		.map(name => `${path}.${name} is new and not optional`);
	return [...old, ...added];
}

/** The optional properties that were added to a schema, by their paths. */
export function addedFields(
	before: Json | undefined,
	after: Json | undefined,
	path: string
): string[] {
	if (isArray(before) && isArray(after))
		return after.flatMap((item, index) => addedFields(before[index], item, `${path}[${index}]`));
	if (!isObject(before) || !isObject(after)) return [];
	const { properties, ...rest } = after;
	const known = before["properties"];
	const fields = isObject(properties) && isObject(known) ? Object.entries(properties) : [];
	return [
		...fields.flatMap(([name, schema]) => {
			if (Object.hasOwn(known as JsonObject, name))
				return addedFields((known as JsonObject)[name], schema, `${path}.${name}`);
			return namesIn(after["required"]).includes(name) ? [] : [`${path}.${name}`];
		}),
		...Object.entries(rest).flatMap(([key, value]) =>
			addedFields(before[key], value, `${path} ${key}`)
		)
	];
}

const namesIn = (required: Json | undefined): readonly string[] =>
	isArray(required) ? (required as readonly string[]) : [];
/** The order of an enum's values means nothing. */
const sorted = (value: Json | undefined): Json | undefined =>
	isArray(value) ? value.map(show).sort() : value;
const show = (value: Json | undefined): string =>
	value === undefined ? "absent" : JSON.stringify(value);

/** A value as it stands in a file. */
export const toJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

const DOCUMENTATION = new Set(["title", "description", "examples", "writeOnly"]);

/** The schema as JSON, without what only explains it. */
export function withoutDocumentation(schema: object): JsonObject {
	return strip(toJson(schema)) as JsonObject;
}

function strip(schema: Json): Json {
	if (isArray(schema)) return schema.map(strip);
	if (!isObject(schema)) return schema;
	return Object.fromEntries(
		Object.entries(schema)
			.filter(([key]) => !DOCUMENTATION.has(key))
			.map(([key, value]) => [
				key,
				// The names in here are those of fields, whatever they are called.
				key === "properties" && isObject(value)
					? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, strip(field)]))
					: strip(value)
			])
	);
}

/**
 * What was published once is frozen: other versions of our services, stored events and clients rely
 * on it. A new action, event or failure may be added, and an optional field; anything else needs a
 * new version beside the old one.
 */
import { isDeepStrictEqual } from "node:util";
import type { ActionContract, ServiceContract } from "./contract.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

interface PublishedAction {
	readonly access: string;
	readonly idempotent: boolean;
	readonly rest?: JsonObject;
	readonly params: JsonObject;
	readonly result: JsonObject;
	readonly failures: readonly string[];
}

/** Everything that others rely on, as plain JSON without documentation. */
interface Published {
	/** `orders.place` */
	readonly actions: Readonly<Record<string, PublishedAction>>;
	/** `order.created.v1`: the schema of its data. */
	readonly events: Readonly<Record<string, JsonObject>>;
	/** `orders.CART_EMPTY`: its HTTP status. */
	readonly failures: Readonly<Record<string, number>>;
}

function publishedBy(contracts: readonly ServiceContract[]): Published {
	const entriesOf = <T, R>(
		of: (contract: ServiceContract) => Readonly<Record<string, T>>,
		key: (contract: ServiceContract, name: string) => string,
		value: (thing: T) => R
	): Record<string, R> =>
		Object.fromEntries(
			contracts.flatMap(contract =>
				Object.entries(of(contract)).map(([name, thing]) => [key(contract, name), value(thing)])
			)
		);
	return {
		actions: entriesOf(
			({ actions }) => actions,
			({ name }, action) => `${name}.${action}`,
			publishedAction
		),
		events: entriesOf(
			({ events }) => events,
			(_, type) => type,
			({ data }) => withoutDocumentation(data)
		),
		failures: entriesOf(
			({ failures }) => failures,
			({ name }, code) => `${name}.${code}`,
			({ status }) => status
		)
	};
}

function publishedAction(contract: ActionContract): PublishedAction {
	const { access, idempotent = false, rest, params, result, failures = [] } = contract;
	const { tag: _, ...route } = rest ?? { tag: "" };
	return {
		access,
		idempotent,
		...(rest ? { rest: toJson(route) as JsonObject } : {}),
		params: withoutDocumentation(params),
		result: withoutDocumentation(result),
		failures
	};
}

/**
 * Each promise of these contracts that their successors do not keep, as a sentence; empty when all
 * are kept. What was promised may as well be the JSON that was written of it.
 */
export function breakingChanges(
	promised: readonly ServiceContract[],
	contracts: readonly ServiceContract[]
): string[] {
	const [before, after] = [publishedBy(promised), publishedBy(contracts)];
	return [
		...kept(before.actions, after.actions, brokenAction),
		...kept(before.events, after.events, changes),
		...kept(before.failures, after.failures, changes)
	];
}

function kept<T>(
	before: Readonly<Record<string, T>>,
	after: Readonly<Record<string, T>>,
	compare: (before: T, after: T, path: string) => string[]
): string[] {
	return Object.entries(before).flatMap(([name, promise]) =>
		Object.hasOwn(after, name) ? compare(promise, after[name]!, name) : [`${name} has been removed`]
	);
}

const brokenAction = (before: PublishedAction, after: PublishedAction, path: string): string[] => [
	...changes(before.access, after.access, `${path} access`),
	// One that may be repeated by now breaks nothing.
	...(before.idempotent && !after.idempotent ? [`${path} is not idempotent any more`] : []),
	// One that had no route may get one.
	...(before.rest ? changes(before.rest, after.rest ?? null, `${path} rest`) : []),
	...changes(before.params, after.params, `${path} params`),
	...changes(before.result, after.result, `${path} result`),
	...before.failures
		.filter(code => !after.failures.includes(code))
		.map(code => `${path} failure ${code} has been removed`)
];

const isObject = (value: Json | undefined): value is JsonObject =>
	typeof value === "object" && value !== null && !Array.isArray(value);
const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** Differences of two schemas, but for optional properties that were added. */
function changes(before: Json | undefined, after: Json | undefined, path: string): string[] {
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

const namesIn = (required: Json | undefined): readonly string[] =>
	isArray(required) ? (required as readonly string[]) : [];
/** The order of an enum's values means nothing. */
const sorted = (value: Json | undefined): Json | undefined =>
	isArray(value) ? value.map(show).sort() : value;
const show = (value: Json | undefined): string =>
	value === undefined ? "absent" : JSON.stringify(value);

const toJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

const DOCUMENTATION = new Set(["title", "description", "examples"]);

/** The schema as JSON, without what only explains it. */
function withoutDocumentation(schema: object): JsonObject {
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

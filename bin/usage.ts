/** Who uses what the contracts promise, read from the services themselves. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ServiceSchema } from "moleculer";
import type { Change } from "../lib/compatibility.ts";
import { UNITS, type Unit } from "../lib/config.ts";
import type { ServiceContract } from "../lib/contract.ts";
import { loadServices } from "../lib/node.ts";
import { routesOf } from "../services/gateway/routes.ts";

/** A unit with all that it does. */
export interface UnitCode {
	readonly unit: Unit;
	readonly schemas: readonly Schema[];
	/** Its sources, without its tests. */
	readonly source: string;
}
type Schema = Pick<ServiceSchema, "name" | "events"> & { readonly durable?: object };

export const loadUnits = (): Promise<UnitCode[]> =>
	Promise.all(
		UNITS.map(async unit => ({ unit, schemas: await loadServices(unit), source: sourceOf(unit) }))
	);

function sourceOf(unit: Unit): string {
	const folder = join(import.meta.dirname, "..", "services", unit);
	return readdirSync(folder, { recursive: true, encoding: "utf8" })
		.filter(file => file.endsWith(".ts") && !/\.(?:test|fixtures)\.ts$/.test(file))
		.map(file => readFileSync(join(folder, file), "utf8"))
		.join("\n");
}

/** A name as a value: neither as a key, nor in a type, nor as the key under which an answer is kept. */
const asValue = (name: string): RegExp =>
	new RegExp(`(?<!\\w\\[|\\baction: )"${name.replaceAll(".", "\\.")}"(?!\\s*[(:])`);

/** The units that record a fact. One that is named as a key (or in a type) is handled. */
export const recordersOf = (units: readonly UnitCode[], type: string): Unit[] =>
	units.filter(({ source }) => asValue(type).test(source)).map(({ unit }) => unit);

/** The services that do something about a fact, as `orders: payments`. */
export const handlersOf = (units: readonly UnitCode[], type: string): string[] =>
	servicesWith(units, type, ({ durable }) => durable);

/** The services that only look on, as `gateway: gateway`. */
export const watchersOf = (units: readonly UnitCode[], type: string): string[] =>
	servicesWith(units, type, ({ events }) => events);

const servicesWith = (
	units: readonly UnitCode[],
	type: string,
	wanted: (schema: Schema) => object | undefined
): string[] =>
	units.flatMap(({ unit, schemas }) =>
		schemas
			.filter(schema => Object.hasOwn(wanted(schema) ?? {}, type))
			.map(({ name }) => `${unit}: ${name}`)
	);

/** The units that call an action: by its name, or by the end of it, as in `${group}-events.status`. */
export const callersOf = (units: readonly UnitCode[], action: string): Unit[] =>
	units
		.filter(
			({ source }) =>
				asValue(action).test(source) ||
				[...source.matchAll(/`\$\{\w+\}([\w-]*\.\w+)`/g)].some(([, end]) => action.endsWith(end!))
		)
		.map(({ unit }) => unit);

/** Somebody who relies on a promise, and what for. */
export interface Affected {
	/** `orders`, `orders: payments`, `REST clients` */
	readonly who: string;
	/** `calls orders.place`, `handles it`, `POST /api/v1/checkout` */
	readonly how: string;
}

/** Whom it concerns that one of these promises is not kept. */
export function affectedBy(
	{ kind, subject }: Change,
	promised: readonly ServiceContract[],
	units: readonly UnitCode[]
): Affected[] {
	if (kind === "event")
		return [
			...handlersOf(units, subject).map(who => ({ who, how: "handles it" })),
			...watchersOf(units, subject).map(who => ({ who, how: "watches it" })),
			...recordersOf(units, subject).map(who => ({ who, how: "records it" }))
		];
	const actions = kind === "action" ? [subject] : actionsWith(subject, promised);
	return [
		...routesOf(promised)
			.filter(({ action }) => actions.includes(action))
			.map(({ method, path }) => ({ who: "REST clients", how: `${method} ${path}` })),
		...actions.flatMap(action =>
			callersOf(units, action).map(who => ({ who, how: `calls ${action}` }))
		)
	];
}

/** The actions that may answer with a failure, such as `orders.CART_EMPTY`. */
const actionsWith = (failure: string, promised: readonly ServiceContract[]): string[] =>
	promised.flatMap(({ name, actions }) =>
		Object.entries(actions)
			.filter(([, { failures = [] }]) => failures.some(code => `${name}.${code}` === failure))
			.map(([action]) => `${name}.${action}`)
	);

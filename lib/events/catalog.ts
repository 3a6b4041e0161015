/** What this code knows of events: the schema of each version, and how an old version becomes a newer one. */
import type { ValidateFunction } from "ajv";
import { allContracts } from "../../contracts/index.ts";
import type { EventContract, ServiceContract } from "../contract.ts";
import { createAjv, fieldErrors, type FieldError } from "../validator.ts";

// An event is judged as it is: nothing is filled in that another reader would lack.
const ajv = createAjv({ defaults: false });
const known = new Map<string, { contract: EventContract; check?: ValidateFunction }>();

/** Makes the events of a contract known; for contracts that do not stand in the registry, as those of tests and tools. */
export function declareEvents({ events }: Pick<ServiceContract, "events">): void {
	for (const [type, contract] of Object.entries(events)) {
		if (contract.upcasts && !isOlder(contract.upcasts.from, type))
			throw new Error(
				`${type} says that it is made from ${contract.upcasts.from}, which is no older version of it.`
			);
		known.set(type, { contract });
	}
}
for (const contract of allContracts) declareEvents(contract);

/** `order.paid.v1` → `order.paid.v`, 1 */
const split = (type: string): [name: string, version: number] => {
	const [, name = type, version = "0"] = /^(.+\.v)(\d+)$/.exec(type) ?? [];
	return [name, Number(version)];
};

function isOlder(before: string, after: string): boolean {
	const [[oldName, old], [newName, young]] = [split(before), split(after)];
	return oldName === newName && old < young;
}

/** Whether this version of this fact stands in a contract that this code knows. */
export const isKnown = (type: string): boolean => known.has(type);

/** What is wrong with the data of an event; empty where nothing is, or where nobody here knows the type. */
export function problemsOf(type: string, data: unknown): FieldError[] {
	const entry = known.get(type);
	if (!entry) return [];
	entry.check ??= ajv.compile(entry.contract.data);
	return entry.check(data) ? [] : fieldErrors(entry.check.errors);
}

/** An event that breaks its contract. It tells which fields are wrong and never what they contain. */
export class InvalidEventError extends Error {
	constructor(type: string, problems: readonly FieldError[]) {
		super(
			`The data of ${type} breaks its contract: ${problems.map(({ field, message }) => `${field || "it"} ${message}`).join("; ")}.`
		);
		this.name = "InvalidEventError";
	}
}

/** How an event of an older type is given to a handler of `type`. */
export interface Upcast {
	readonly type: string;
	readonly data: (data: unknown) => unknown;
}

/**
 * The older types that a handler of `type` can be given, each with the way there: a v3 that is made
 * from v2, which is made from v1, takes all three.
 */
export function olderTypes(type: string): Map<string, Upcast> {
	const older = new Map<string, Upcast>();
	let convert = (data: unknown): unknown => data;
	for (let step = known.get(type)?.contract.upcasts; step;) {
		const { from, upcast } = step;
		const next = convert;
		convert = data => next(upcast(data));
		older.set(from, { type, data: convert });
		step = known.get(from)?.contract.upcasts;
	}
	return older;
}

/**
 * What was published once is frozen: other versions of our services, stored events and clients rely
 * on it. A new action, event or failure may be added, and an optional field; anything else needs a
 * new version beside the old one.
 */
import type { ActionContract, ServiceContract } from "./contract.ts";
import {
	addedFields,
	changes,
	toJson,
	withoutDocumentation,
	type JsonObject
} from "./schema-changes.ts";

/** What the contracts promised when this was last written, from the root of the repository. */
export const FROZEN = "docs/contracts.json";

/** A promise that is not kept. */
export interface Change {
	readonly kind: "action" | "event" | "failure";
	/** `orders.place`, `order.created.v1`, `orders.CART_EMPTY` */
	readonly subject: string;
	/** What has become of it, as a sentence. */
	readonly text: string;
}

/** Something new that breaks nothing. */
export interface Addition {
	readonly kind: "action" | "event" | "failure" | "field" | "route";
	/** What is new: a name as that of a change, or the path to it: `order.created.v1.items items.gift`. */
	readonly subject: string;
}

type Route = JsonObject & { readonly route: string };
interface PublishedAction {
	readonly access: string;
	readonly idempotent: boolean;
	readonly rest?: Route;
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
	// How much may be asked, and who comes first, may change with the load; and a key or a token that comes
	// with a request is heeded or not, as the version before would have it.
	const {
		tag: _,
		limit: _limit,
		priority: _priority,
		idempotencyKey: _key,
		bearer: _bearer,
		...route
	} = rest ?? { tag: "" };
	return {
		access,
		idempotent,
		...(rest ? { rest: toJson(route) as Route } : {}),
		params: withoutDocumentation(params),
		result: withoutDocumentation(result),
		failures
	};
}

/**
 * Each promise of these contracts that their successors do not keep; empty when all are kept. What
 * was promised may as well be the JSON that was written of it.
 */
export function breakingChanges(
	promised: readonly ServiceContract[],
	contracts: readonly ServiceContract[]
): Change[] {
	const [before, after] = [publishedBy(promised), publishedBy(contracts)];
	return [
		...broken("action", before.actions, after.actions, brokenAction),
		...broken("event", before.events, after.events, changes),
		...broken("failure", before.failures, after.failures, changes)
	];
}

function broken<T>(
	kind: Change["kind"],
	before: Readonly<Record<string, T>>,
	after: Readonly<Record<string, T>>,
	compare: (before: T, after: T, path: string) => string[]
): Change[] {
	return Object.entries(before).flatMap(([subject, promise]) =>
		(Object.hasOwn(after, subject)
			? compare(promise, after[subject]!, subject)
			: [`${subject} has been removed`]
		).map(text => ({ kind, subject, text }))
	);
}

const brokenAction = (before: PublishedAction, after: PublishedAction, path: string): string[] => [
	...changes(before.access, after.access, `${path} access`),
	// One that may be repeated by now breaks nothing.
	...(before.idempotent && !after.idempotent ? [`${path} is not idempotent any more`] : []),
	// One that had no route may get one.
	...(before.rest ? changedRoute(before.rest, after.rest, `${path} rest`) : []),
	...changes(before.params, after.params, `${path} params`),
	...changes(before.result, after.result, `${path} result`),
	...before.failures
		.filter(code => !after.failures.includes(code))
		.map(code => `${path} failure ${code} has been removed`)
];

/** A header or a prefix that may be left away is as a parameter that may be: it breaks nobody. A tag where none was does not either. */
function changedRoute(before: Route, after: Route | undefined, path: string): string[] {
	if (!after) return changes(before, null, path);
	const [rest, old] = withoutNames(before);
	const [restNow, now] = withoutNames(after);
	const { etag: _, ...untagged } = restNow;
	return [
		...changes(rest, rest["etag"] ? restNow : untagged, path),
		...NAMES.flatMap(kind => {
			const kept = Object.entries(now[kind]).filter(([name]) => Object.hasOwn(old[kind], name));
			return changes(old[kind], Object.fromEntries(kept), `${path} ${kind}`);
		})
	];
}

/** Parameters by names that they have in a request. */
const NAMES = ["headers", "queryPrefix"] as const;
function withoutNames(
	route: Route
): [rest: Route, names: Record<(typeof NAMES)[number], JsonObject>] {
	const {
		headers = {},
		queryPrefix = {},
		...rest
	} = route as Route & { headers?: JsonObject; queryPrefix?: JsonObject };
	return [rest, { headers, queryPrefix }];
}

/** What these contracts promise beyond what was promised before, and break nobody by. */
export function additions(
	promised: readonly ServiceContract[],
	contracts: readonly ServiceContract[]
): Addition[] {
	const [before, after] = [publishedBy(promised), publishedBy(contracts)];
	return [
		...added("action", before.actions, after.actions, addedToAction),
		...added("event", before.events, after.events, (old, now, path) =>
			addedFields(old, now, path).map(field)
		),
		...added("failure", before.failures, after.failures, () => [])
	];
}

function added<T>(
	kind: Addition["kind"],
	before: Readonly<Record<string, T>>,
	after: Readonly<Record<string, T>>,
	within: (before: T, after: T, path: string) => Addition[]
): Addition[] {
	return Object.entries(after).flatMap(([subject, now]) =>
		Object.hasOwn(before, subject) ? within(before[subject]!, now, subject) : [{ kind, subject }]
	);
}

const field = (subject: string): Addition => ({ kind: "field", subject });

const addedToAction = (
	before: PublishedAction,
	after: PublishedAction,
	path: string
): Addition[] => [
	...(after.rest && !before.rest
		? [{ kind: "route" as const, subject: `${path} ${after.rest.route}` }]
		: []),
	...addedFields(before.params, after.params, `${path} params`).map(field),
	...addedFields(before.result, after.result, `${path} result`).map(field),
	...after.failures
		.filter(code => !before.failures.includes(code))
		.map(code => ({ kind: "failure" as const, subject: `${path} ${code}` }))
];

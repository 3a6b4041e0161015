/**
 * What can be reached through this gateway: the routes of its own contracts, and of services that have
 * joined since. What was routed once is published: it stays in the table when the service leaves, and
 * nobody may come back with something else under its name.
 */
import type { ServiceBroker } from "moleculer";
import { breakingChanges } from "../../lib/compatibility.ts";
import {
	PRIORITIES,
	type Access,
	type ActionContract,
	type FailureContract,
	type RestContract,
	type ServiceContract
} from "../../lib/contract.ts";
import { ATTEMPTS } from "./limits.ts";
import { openApiDocument } from "./openapi.ts";
import { parameterReader } from "./parameters.ts";
import { DECLARED } from "./problem.ts";
import { routesOf, type Route } from "./routes.ts";

/** An action as the registry knows it, from whatever version of whatever code. */
export interface Announced {
	readonly service: string;
	/** Without the service's name. */
	readonly name: string;
	readonly node: string;
	readonly schema: Readonly<Record<string, unknown>>;
}

/** An action that some node announces and that is not called, and why. */
export interface Refusal {
	readonly action: string;
	readonly node: string;
	readonly reasons: readonly string[];
}

/** What we use of Moleculer's registry, which its types do not tell. */
interface Registered {
	readonly registry: {
		readonly services: {
			readonly services: readonly {
				readonly name: string;
				readonly node: { readonly id: string };
				readonly actions: Readonly<Record<string, Record<string, unknown>>>;
			}[];
		};
	};
}

/** Every action of every node. */
export const announcedBy = (broker: ServiceBroker): Announced[] =>
	(broker as unknown as Registered).registry.services.services.flatMap(({ name, node, actions }) =>
		Object.entries(actions).map(([fullName, schema]) => ({
			service: name,
			name: fullName.slice(name.length + 1),
			node: node.id,
			schema
		}))
	);

const ACCESS: readonly unknown[] = ["public", "user", "staff", "admin"] satisfies Access[];
const ROUTE = /^(?:GET|POST|PUT|PATCH|DELETE) \/\/?[\w\-.~/:]*$/;

type Joined = ActionContract & { readonly table: Readonly<Record<string, FailureContract>> };

export class LiveContracts {
	readonly #own: readonly ServiceContract[];
	readonly #joined = new Map<string, Map<string, Joined>>();
	#refused: readonly Refusal[] = [];
	#present: ReadonlySet<string> = new Set();

	constructor(own: readonly ServiceContract[]) {
		this.#own = own;
	}

	/** Looks at what is announced now. True where there are other contracts than before. */
	update(announced: readonly Announced[]): boolean {
		const before = JSON.stringify([...this.#joined].map(([name, actions]) => [name, [...actions]]));
		const refused: Refusal[] = [];
		for (const action of announced) {
			const reasons = this.#judge(action);
			if (reasons.length > 0) refused.push({ action: nameOf(action), node: action.node, reasons });
		}
		this.#refused = refused;
		this.#present = new Set(announced.map(nameOf));
		return (
			before !== JSON.stringify([...this.#joined].map(([name, actions]) => [name, [...actions]]))
		);
	}

	/** All contracts that are published here. */
	get contracts(): readonly ServiceContract[] {
		return this.#with(this.#joined);
	}

	get routes(): readonly Route[] {
		return routesOf(this.contracts);
	}

	get refused(): readonly Refusal[] {
		return this.#refused;
	}

	/** Whether a node announces this action as something else than what is published. */
	isRefused(action: string): boolean {
		return this.#refused.some(refusal => refusal.action === action);
	}

	/** Whether some node has it. */
	isPresent(action: string): boolean {
		return this.#present.has(action);
	}

	/** The failures that joined services have declared. */
	get failures(): ReadonlyMap<string, FailureContract> {
		return new Map(
			[...this.#joined.values()].flatMap(actions => Object.entries(tablesOf(actions)))
		);
	}

	/** Why it cannot be called. One that is new and good is published by this. */
	#judge(action: Announced): string[] {
		const { service, name } = action;
		const own = this.#own.find(contract => contract.name === service)?.actions[name];
		const published = own ?? this.#joined.get(service)?.get(name);
		if (published) return this.#compare(action, published, own === undefined);
		// What has no route is none of ours.
		return action.schema["route"] === undefined ? [] : this.#publish(action);
	}

	#compare(action: Announced, published: ActionContract, isJoined: boolean): string[] {
		if (!published.rest) return [];
		// Nodes that do not tell failures yet tell only part of their schemas as well: they cannot be judged.
		if (action.schema["failures"] === undefined) return [];
		const found = read(action, published);
		if (typeof found === "string") return [found];
		const was = [only(action, published)];
		const is = [only(action, found)];
		const changed = breakingChanges(was, is);
		if (changed.length === 0) return isJoined ? this.#publish(action) : [];
		// While versions change, one side is older than the other for a while.
		return breakingChanges(is, was).length === 0 ? [] : changed.map(({ text }) => text);
	}

	#publish(action: Announced): string[] {
		const found = read(action);
		if (typeof found === "string") return [found];
		const joined = new Map(this.#joined);
		joined.set(action.service, new Map(joined.get(action.service)).set(action.name, found));
		const reason = whyUnfit(found, this.#with(joined));
		if (reason) return [reason];
		this.#joined.set(action.service, joined.get(action.service)!);
		return [];
	}

	#with(joined: ReadonlyMap<string, ReadonlyMap<string, Joined>>): ServiceContract[] {
		const known = this.#own.map(contract => {
			const actions = joined.get(contract.name);
			if (!actions) return contract;
			return {
				...contract,
				failures: { ...tablesOf(actions), ...contract.failures },
				actions: { ...contract.actions, ...Object.fromEntries(actions) }
			};
		});
		const fresh = [...joined].filter(([name]) => !this.#own.some(own => own.name === name));
		return [
			...known,
			...fresh.map(([name, actions]) => ({
				name,
				events: {},
				failures: tablesOf(actions),
				actions: Object.fromEntries(actions)
			}))
		];
	}
}

const tablesOf = (actions: ReadonlyMap<string, Joined>): Record<string, FailureContract> =>
	Object.assign({}, ...[...actions.values()].map(({ table }) => table)) as Record<
		string,
		FailureContract
	>;

const nameOf = ({ service, name }: Announced): string => `${service}.${name}`;

/** A contract of this action alone. */
const only = ({ service, name }: Announced, action: ActionContract): ServiceContract => ({
	name: service,
	events: {},
	failures: {},
	actions: { [name]: action }
});

/** The contract that an announced action has; or what is wrong with it. */
function read({ schema }: Announced, published?: ActionContract): Joined | string {
	const { access, route, params, result, failures, summary, description, timeout } = schema;
	if (access === "internal") return "It is internal, and has a route.";
	if (!ACCESS.includes(access)) return "It does not say who may call it.";
	// One of an earlier version may have had none yet.
	const isRouted = route !== undefined || !published;
	if (isRouted && !(isObject(route) && ROUTE.test(String(route["route"]))))
		return "Its route is no method with a path.";
	if (isObject(route) && typeof route["tag"] !== "string") return "Its route has no tag.";
	if (!isObject(params) || params["type"] !== "object" || !isObject(params["properties"]))
		return "Its parameters are not described by a JSON Schema of an object.";
	if (!isObject(result)) return "Its result is not described.";
	if (!isFailureTable(failures)) return "Its failures are no table of statuses and messages.";
	return {
		summary: typeof summary === "string" ? summary : "",
		...(typeof description === "string" ? { description } : {}),
		access: access as Access,
		...(isRouted ? { rest: route as unknown as RestContract } : {}),
		params: params as unknown as ActionContract["params"],
		result,
		failures: Object.keys(failures),
		idempotent: schema["idempotent"] === true,
		...(typeof timeout === "number" ? { timeout } : {}),
		table: failures
	};
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

const isFailureTable = (value: unknown): value is Record<string, FailureContract> =>
	isObject(value) &&
	Object.entries(value).every(
		([code, failure]) =>
			/^[A-Z][A-Z0-9_]{0,63}$/.test(code) &&
			isObject(failure) &&
			Number.isInteger(failure["status"]) &&
			Number(failure["status"]) >= 400 &&
			Number(failure["status"]) < 600 &&
			typeof failure["message"] === "string"
	);

/** Whether what it says of its cost and priority means something here. */
function isLimited({ limit, priority }: RestContract, params: ActionContract["params"]): boolean {
	const { cost, attempt, account } = limit ?? {};
	return (
		(priority === undefined || PRIORITIES.includes(priority)) &&
		(cost === undefined || (Number.isSafeInteger(cost) && cost >= 0)) &&
		(attempt === undefined || Object.hasOwn(ATTEMPTS, attempt)) &&
		(account === undefined || Object.hasOwn(params.properties, account))
	);
}

/** Whatever would go wrong with it later goes wrong here first. */
function whyUnfit(action: Joined, all: readonly ServiceContract[]): string | undefined {
	for (const [code, { status }] of Object.entries(action.table))
		if ((DECLARED.get(code)?.status ?? status) !== status)
			return `Its failure ${code} has another status elsewhere.`;
	if (action.rest && !isLimited(action.rest, action.params))
		return "Its route has a limit or a priority that is not known here.";
	try {
		for (const route of routesOf(all)) if (route.contract === action) parameterReader(route);
		openApiDocument(all, { serverUrl: "/" });
		return undefined;
	} catch (error) {
		return (error as Error).message;
	}
}

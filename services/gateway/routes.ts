/** The contracts as routes: which action answers a method and a path, and where each parameter comes from. */
import type { ActionContract, RestContract, ServiceContract } from "../../lib/contract.ts";

export const PREFIX = "/api/v1";

/** The one place in a request that a parameter is taken from. */
export interface Source {
	readonly in: "path" | "header" | "cookie" | "query" | "prefix" | "body";
	/** Its name there; headers are in lower case. Of a `prefix`, what the names in the query begin with. */
	readonly name: string;
}

export interface Route {
	/** Full name, as in `orders.place`. */
	readonly action: string;
	readonly service: string;
	readonly contract: ActionContract;
	readonly rest: RestContract;
	readonly method: string;
	/** Full path with `:name` for parameters. */
	readonly path: string;
	/** By the name of the parameter. A map, since clients choose the names that are looked up. */
	readonly sources: ReadonlyMap<string, Source>;
}

const PATH_PARAMETER = /:(\w+)/g;
const COOKIE_NAME = /^[a-z][a-z-]*$/;

/**
 * The routes of all actions that declare one. Throws for what would otherwise surprise at the first
 * request: a route of an internal action, two actions with one route, a source without a parameter,
 * a cookie that no browser would take, a prefix of queries before anything.
 */
export function routesOf(contracts: readonly ServiceContract[]): Route[] {
	const routes = contracts.flatMap(service =>
		Object.entries(service.actions).flatMap(([name, contract]) =>
			contract.rest ? [routeOf(service.name, name, contract, contract.rest)] : []
		)
	);
	const taken = new Map<string, string>();
	for (const { action, method, path } of routes) {
		const key = `${method} ${path.replaceAll(PATH_PARAMETER, ":")}`;
		const other = taken.get(key);
		if (other) throw new Error(`${action} and ${other} have the same route.`);
		taken.set(key, action);
	}
	return routes;
}

function routeOf(
	service: string,
	name: string,
	contract: ActionContract,
	rest: RestContract
): Route {
	const action = `${service}.${name}`;
	if (contract.access === "internal")
		throw new Error(`${action} is internal and cannot have a route.`);
	if (rest.bearer === "ignored" && contract.access !== "public")
		throw new Error(`${action} needs to know who asks and cannot ignore the token.`);
	for (const cookie of [...Object.keys(rest.cookies ?? {}), rest.setCookie?.name ?? "none"])
		if (!COOKIE_NAME.test(cookie))
			throw new Error(`The route of ${action} names the cookie '${cookie}', which cannot be.`);
	const [method, declared] = rest.route.split(" ") as [string, string];
	const path = declared.startsWith("//") ? declared.slice(1) : PREFIX + declared;
	return {
		action,
		service,
		contract,
		rest,
		method,
		path,
		sources: sourcesOf(action, contract, rest, method, path)
	};
}

function sourcesOf(
	action: string,
	{ params }: ActionContract,
	rest: RestContract,
	method: string,
	path: string
): Map<string, Source> {
	const otherwise = method === "GET" || method === "DELETE" ? "query" : "body";
	const sources = new Map<string, Source>(
		Object.keys(params.properties).map(name => [name, { in: otherwise, name }])
	);
	const place = (name: string, source: Source) => {
		if (!sources.has(name))
			throw new Error(`The route of ${action} names '${name}', which is no parameter.`);
		sources.set(name, source);
	};
	for (const name of rest.query ?? []) place(name, { in: "query", name });
	for (const [prefix, name] of Object.entries(rest.queryPrefix ?? {})) {
		place(name, { in: "prefix", name: prefix });
		if (!isBounded(params.properties[name]!))
			throw new Error(`The route of ${action} takes any names for '${name}', and any number.`);
	}
	for (const name of rest.body ?? []) place(name, { in: "body", name });
	for (const [header, name] of Object.entries(rest.headers ?? {}))
		place(name, { in: "header", name: header });
	for (const [cookie, name] of Object.entries(rest.cookies ?? {}))
		place(name, { in: "cookie", name: cookie });
	for (const [, name] of path.matchAll(PATH_PARAMETER)) place(name!, { in: "path", name: name! });
	return sources;
}

/** Whether a record says which names it takes, and how many. */
const isBounded = (schema: {
	readonly additionalProperties?: unknown;
	readonly maxProperties?: unknown;
}): boolean => schema.additionalProperties === false && typeof schema.maxProperties === "number";

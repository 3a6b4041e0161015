/**
 * moleculer-web made into a door that is shut by default. It keeps the aliases and its life cycle;
 * what its defaults get wrong is overridden here, each for the reason it says.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "helmet";
import type { ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import { failure } from "../../lib/failure.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { mixin, type Mixin } from "../../lib/service.ts";
import type { Answer } from "./answer.ts";
import { createCors, type Cors } from "./cors.ts";
import { Exchange } from "./exchange.ts";
import { Gate } from "./gate.ts";
import { HttpServer } from "./http-server.ts";
import type { LiveContracts } from "./live-contracts.ts";
import { gateway, problemHeaders, problemOf } from "./problem.ts";
import type { Route } from "./routes.ts";
import { write } from "./writing.ts";

/** An alias is the name of an action, or answers by itself. */
export type Responder = (this: any, exchange: Exchange) => Promise<Answer>;
interface Alias {
	readonly action: string | null;
	readonly handler: Responder | null;
	readonly method: string;
	readonly re: RegExp;
	match(path: string): Record<string, string> | false;
}

export interface Door {
	/** The port that is listened on. */
	readonly port: number;
	/** Requests that are worked on, and that wait. */
	readonly gate: Gate;
	/** True from the moment that the node was asked to stop. */
	isDraining(): boolean;
	/** Leads to these routes from now on. */
	setRoutes(routes: readonly Route[]): void;
}

export interface DoorOptions<Admitted> {
	readonly routes: readonly Route[];
	/** Answers of the gateway itself, by path; for GET and HEAD. They wait for no turn. */
	readonly responders: Readonly<Record<string, Responder>>;
	/** Paths of responders that everybody may ask as often as they like. */
	readonly probes: readonly string[];
	/**
	 * Lets a request in or throws, before anything of its body is read. `route` is undefined where none
	 * of the actions' was asked for.
	 */
	readonly admit: (service: any, exchange: Exchange, route: Route | undefined) => Promise<Admitted>;
	/** Calls the action of a route. */
	readonly respond: (
		service: any,
		exchange: Exchange,
		route: Route,
		admitted: Admitted
	) => Promise<Answer>;
}

const MAX_URL_LENGTH = 4_096;
/** Who has not got a turn by then is told to come back. */
const QUEUE_PATIENCE_MS = 5_000;
/** Who is turned away for these might have been served at another time. */
const REFUSALS = new Set(["RATE_LIMITED", "TOO_MANY_STREAMS", "OVERLOADED", "UNAVAILABLE"]);
const ALL_METHODS = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE";

export const door = <Admitted>({
	routes,
	responders,
	probes,
	admit,
	respond
}: DoorOptions<Admitted>): Mixin<Door> =>
	mixin<Door>({
		mixins: [ApiGateway],
		settings: {
			// We make the server: moleculer-web's would end the process where the port is taken.
			server: false,
			// Never empty: that would expose every action (H1).
			routes: [optionsOf(routes, responders)],
			logRouteRegistration: null
		},
		actions: {
			// These would list, add and remove routes for whoever may call actions (H3).
			listAliases: false,
			addRoute: false,
			removeRoute: false,
			// A call around each call: it pins a request to a node, and costs as much as the call itself.
			rest: false
		},
		methods: {
			/** All that happens to a request. */
			async httpHandler(this: any, req: IncomingMessage, res: ServerResponse) {
				const exchange = new Exchange(req, res, this.trustedProxies);
				const { headers } = exchange;
				headers["X-Request-Id"] = exchange.requestId;
				Object.assign(headers, (this.cors as Cors).answer(req.headers.origin, exchange.path));
				if (this.isDraining()) headers["Connection"] = "close";
				try {
					refuseImproper(req);
					write(exchange, SECURE, await this.answer(exchange));
				} catch (error) {
					this.errorHandler(exchange, error);
				}
			},

			async answer(this: any, exchange: Exchange): Promise<Answer> {
				const { req, path } = exchange;
				// Before any alias is looked up: moleculer-web would call the action that is asked about (H4).
				if (req.method === "OPTIONS") {
					await admit(this, exchange, undefined);
					return this.optionsAnswer(exchange);
				}
				const alias: Alias | undefined = this.findAlias(req.method, path);
				if (alias?.handler) {
					if (!probes.includes(path)) await admit(this, exchange, undefined);
					exchange.parameters = alias.match(path) || {};
					return alias.handler.call(this, exchange);
				}
				const route: Route | undefined = this.byAction.get(alias?.action ?? "");
				const admitted = await admit(this, exchange, route);
				if (!route) throw this.notFound(exchange);
				exchange.parameters = alias!.match(path) || {};
				return this.inTurn(exchange, route, () => respond(this, exchange, route, admitted));
			},

			async inTurn(
				this: any,
				exchange: Exchange,
				{ rest }: Route,
				work: () => Promise<Answer>
			): Promise<Answer> {
				const gate: Gate = this.gate;
				exchange.signal.throwIfAborted();
				const turn = gate.enter(rest.priority ?? "normal", exchange.signal);
				if (turn) await turn;
				let isInside = true;
				const leave = () => {
					if (isInside) gate.leave();
					isInside = false;
				};
				// The place of whoever has gone is free, although the work may still go on.
				exchange.onClose = leave;
				try {
					return await work();
				} finally {
					leave();
				}
			},

			optionsAnswer(this: any, { req, path }: Exchange): Answer {
				const allow = path === "*" ? ALL_METHODS : this.allowOf(path);
				if (!allow) throw failure(gateway, "ROUTE_NOT_FOUND");
				const cors = (this.cors as Cors).preflight(req.headers.origin, allow);
				return { status: 204, headers: { Allow: allow, ...cors } };
			},

			notFound(this: any, { path, headers }: Exchange): Error {
				const allow = this.allowOf(path);
				if (!allow) return failure(gateway, "ROUTE_NOT_FOUND");
				headers["Allow"] = allow;
				return failure(gateway, "METHOD_NOT_ALLOWED");
			},

			// All in one turn of the event loop: no request meets half a table.
			setRoutes(this: any, next: readonly Route[]) {
				this.addRoute(optionsOf(next, responders));
				this.indexRoutes(next);
			},

			indexRoutes(this: any, all: readonly Route[]) {
				this.byAction = new Map(all.map(route => [route.action, route]));
				this.cors = createCors(runtimeOf(this.broker).config.CORS_ORIGINS, all);
				// In moleculer-web's order, the most specific first.
				this.aliasIndex = Map.groupBy(
					this.aliases as (Alias & { readonly fullPath: string })[],
					({ method, fullPath }) => indexKey(method, fullPath)
				);
			},

			/** The methods that a path knows, or undefined for a path that nobody knows. */
			allowOf(this: any, path: string): string | undefined {
				const methods = (this.aliases as Alias[])
					.filter(alias => alias.re.test(path))
					.map(alias => alias.method);
				return methods.length > 0 ? [...new Set(methods), "OPTIONS"].join(", ") : undefined;
			},

			/** As moleculer-web's own, which tries one alias after the other, all there are. */
			findAlias(this: any, method: string, path: string): Alias | undefined {
				const candidates: Alias[] | undefined = this.aliasIndex.get(indexKey(method, path));
				return candidates?.find(alias => alias.re.test(path));
			},

			/** The only way out for errors (H9). */
			errorHandler(this: any, exchange: Exchange, error: unknown) {
				const { res, path, requestId, headers, isGone } = exchange;
				// Too late to tell; and what is thrown here would end the process.
				if (res.headersSent || isGone) return;
				const { failures } = (this.live as LiveContracts | undefined) ?? {};
				const problem = problemOf(error, path, requestId, failures);
				const { stack = error, name, message } = error as Partial<Error>;
				if (problem.code === "INTERNAL")
					this.logger.error(`Request ${problem.requestId} failed:`, stack);
				if (REFUSALS.has(problem.code))
					runtimeOf(this.broker).metrics.door.refused.inc({ code: problem.code });
				if (problem.code === "UNAVAILABLE")
					this.logger.warn(`Request ${problem.requestId}: ${name}: ${message}`);
				// Whatever of the body is still under way shall not be waited for.
				if (problem.status === 413) headers["Connection"] = "close";
				write(exchange, SECURE, {
					status: problem.status,
					headers: problemHeaders(problem),
					body: JSON.stringify(problem)
				});
			},

			isDraining(this: any): boolean {
				return this.hasStarted && !this.broker.started;
			}
		},
		events: {
			"$broker.started"(this: any) {
				this.hasStarted = true;
			}
		},
		created(this: any) {
			const { config, metrics } = runtimeOf(this.broker);
			this.hasStarted = false;
			this.trustedProxies = config.TRUST_PROXY;
			this.indexRoutes(routes);
			this.gate = new Gate({
				concurrency: config.REQUEST_CONCURRENCY,
				queue: config.REQUEST_QUEUE,
				patienceMs: QUEUE_PATIENCE_MS
			});
			metrics.onRead(async () => {
				const { inside, waiting } = this.gate as Gate;
				metrics.door.underWay.set({ state: "inside" }, inside);
				metrics.door.underWay.set({ state: "waiting" }, waiting);
			});
			this.http = new HttpServer((req, res) => void this.httpHandler(req, res));
		},
		async started(this: any) {
			const { PORT, HOST } = runtimeOf(this.broker).config;
			this.port = await (this.http as HttpServer).listen(PORT, HOST);
			// For whoever started the broker and wants to tell where it listens.
			this.broker.metadata.gatewayPort = this.port;
		},
		async stopped(this: any) {
			await (this.http as HttpServer).close(runtimeOf(this.broker).config.DRAIN_MS);
		}
	} as unknown as Partial<ServiceSchema>);

/** What helmet would put on every answer: the same each time, so it is asked once. */
const SECURE: Readonly<Record<string, string>> = (() => {
	const headers: Record<string, string> = {};
	const secure = helmet({
		contentSecurityPolicy: {
			useDefaults: false,
			directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] }
		}
	});
	const answer = {
		setHeader: (name: string, value: string) => void (headers[name] = value),
		removeHeader: () => {}
	};
	secure({} as IncomingMessage, answer as unknown as ServerResponse, () => {});
	return headers;
})();

/** Aliases that could match: of the method, with as many parts. */
function indexKey(method: string, path: string): string {
	let parts = 0;
	// As split("/") would count them, without making them.
	for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) parts++;
	return `${method} ${parts}`;
}

/** The one route of moleculer-web that holds all of ours. */
const optionsOf = (routes: readonly Route[], responders: DoorOptions<unknown>["responders"]) => ({
	path: "/",
	mappingPolicy: "restrict",
	mergeParams: false,
	bodyParsers: false,
	pathToRegexpOptions: { sensitive: true },
	aliases: aliasesOf(routes, responders)
});

function aliasesOf(
	routes: readonly Route[],
	responders: DoorOptions<unknown>["responders"]
): Record<string, string | Responder> {
	const all = [
		...routes.map(({ method, path, action }) => [method, path, action] as const),
		...Object.entries(responders).map(([path, responder]) => ["GET", path, responder] as const)
	];
	return Object.fromEntries(
		all.flatMap(([method, path, target]) =>
			// Node leaves the body of an answer to HEAD away by itself.
			(method === "GET" ? ["GET", "HEAD"] : [method]).map(name => [`${name} ${path}`, target])
		)
	);
}

function refuseImproper({ url, httpVersion, headers }: IncomingMessage): void {
	if (httpVersion === "1.1" && headers.host === undefined)
		throw failure(gateway, "BAD_REQUEST", { detail: "The header 'host' is missing." });
	if (url!.length > MAX_URL_LENGTH) throw failure(gateway, "URL_TOO_LONG");
}

/**
 * moleculer-web made into a door that is shut by default. It keeps the aliases, the root action and
 * its life cycle; what its defaults get wrong is overridden here, each for the reason it says.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "helmet";
import type { Context, ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import { failure } from "../../lib/failure.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { mixin, type Mixin } from "../../lib/service.ts";
import type { Answer } from "./answer.ts";
import { createCors, type Cors } from "./cors.ts";
import { HttpServer } from "./http-server.ts";
import { gateway, problemHeaders, problemOf } from "./problem.ts";
import { requestIdOf, targetOf } from "./request.ts";
import type { Route } from "./routes.ts";

/** A request as moleculer-web hands it on. */
export interface Incoming extends IncomingMessage {
	readonly $ctx: Context;
	/** With `mergeParams: false`; `query` is ours: raw. */
	readonly $params: { readonly params: Record<string, string>; readonly query: string };
	readonly originalUrl: string;
	readonly parsedUrl: string;
}

/** An alias is the name of an action, or answers by itself. */
export type Responder = (this: any, req: Incoming) => Promise<Answer>;
interface Alias {
	readonly action: string | null;
	readonly handler: Responder | null;
	readonly method: string;
	match(path: string): object | false;
}

export interface Door {
	/** The port that is listened on. */
	readonly port: number;
	/** True from the moment that the node was asked to stop. */
	isDraining(): boolean;
}

export interface DoorOptions {
	readonly routes: readonly Route[];
	/** Answers of the gateway itself, by path; for GET and HEAD. */
	readonly responders: Readonly<Record<string, Responder>>;
	/** Calls the action of a route. */
	readonly respond: (service: any, action: string, req: Incoming) => Promise<Answer>;
}

const MAX_URL_LENGTH = 4_096;
const ANSWER_WITHIN_MS = 15_000;

const secure = helmet({
	contentSecurityPolicy: {
		useDefaults: false,
		directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] }
	}
});

const web = (ApiGateway as ServiceSchema & { methods: Record<string, (...args: any[]) => any> })
	.methods;

export const door = ({ routes, responders, respond }: DoorOptions): Mixin<Door> =>
	mixin<Door>({
		mixins: [ApiGateway],
		settings: {
			// We make the server: moleculer-web's would end the process where the port is taken.
			server: false,
			// Never empty: that would expose every action (H1).
			routes: [
				{
					path: "/",
					mappingPolicy: "restrict",
					mergeParams: false,
					bodyParsers: false,
					pathToRegexpOptions: { sensitive: true },
					aliases: aliasesOf(routes, responders)
				}
			],
			// The services' own drain counts; moleculer's would wait while new requests still come in.
			rootCallOptions: { tracking: false },
			logRequest: null,
			logRequestParams: null,
			logResponse: null,
			logRouteRegistration: null
		},
		actions: {
			// These would list, add and remove routes for whoever may call actions (H3).
			listAliases: false,
			addRoute: false,
			removeRoute: false,
			// Each request is one call of it: the limits of ordinary actions would be those of the whole gateway.
			rest: {
				visibility: "private",
				bulkhead: { enabled: false },
				// Retries of one call add up; the client shall not wait for all of them.
				timeout: ANSWER_WITHIN_MS,
				circuitBreaker: { enabled: false }
			}
		},
		methods: {
			/** The first thing that happens to a request. */
			async httpHandler(this: any, req: IncomingMessage, res: ServerResponse) {
				const requestId = requestIdOf(req.headers["x-request-id"]);
				// moleculer-web takes these two as they are (H11).
				req.headers["x-request-id"] = requestId;
				delete req.headers["x-correlation-id"];
				res.setHeader("X-Request-Id", requestId);
				secure(req, res, () => {});
				setHeaders(res, (this.cors as Cors).answer(req.headers.origin));
				if (this.isDraining()) res.setHeader("Connection", "close");
				try {
					refuseImproper(req);
					// Before any alias is looked up: moleculer-web would call the action that is asked about (H4).
					if (req.method === "OPTIONS") this.answerOptions(req, res);
					else await web["httpHandler"]!.call(this, req, res);
				} catch (error) {
					this.errorHandler(req, res, error);
				}
			},

			answerOptions(this: any, req: IncomingMessage, res: ServerResponse) {
				const { path } = targetOf(req.url!);
				const allow =
					path === "*" ? "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE" : this.allowOf(path);
				if (!allow) throw failure(gateway, "ROUTE_NOT_FOUND");
				setHeaders(res, (this.cors as Cors).preflight(req.headers.origin, allow));
				res.writeHead(204, { Allow: allow }).end();
			},

			/** The methods that a path knows, or undefined for a path that nobody knows. */
			allowOf(this: any, path: string): string | undefined {
				const methods = (this.aliases as Alias[])
					.filter(alias => alias.match(path))
					.map(alias => alias.method);
				return methods.length > 0 ? [...new Set(methods), "OPTIONS"].join(", ") : undefined;
			},

			// The query stays as it came: moleculer-web's parser would make objects and lists of it (H7).
			parseQueryString: (req: IncomingMessage) => {
				const { path, query } = targetOf(req.url!);
				return { url: path, query };
			},

			// Without moleculer-web's look at an endpoint: that would pin the request to a node, and take
			// every other turn from a round of two.
			async aliasHandler(this: any, req: Incoming, res: ServerResponse, alias: Alias) {
				send(
					res,
					alias.handler
						? await alias.handler.call(this, req)
						: await respond(this, alias.action!, req)
				);
				return true;
			},

			send404(this: any, req: Incoming, res: ServerResponse) {
				const allow = this.allowOf(req.parsedUrl);
				if (allow) res.setHeader("Allow", allow);
				this.errorHandler(
					req,
					res,
					failure(gateway, allow ? "METHOD_NOT_ALLOWED" : "ROUTE_NOT_FOUND")
				);
			},

			/** The only way out for errors (H9). */
			errorHandler(
				this: any,
				req: IncomingMessage & { originalUrl?: string },
				res: ServerResponse,
				error: unknown
			) {
				// Too late to tell; and what is thrown here would end the process.
				if (res.headersSent) return;
				const { path } = targetOf(req.originalUrl ?? req.url!);
				const problem = problemOf(error, path, String(req.headers["x-request-id"]));
				const { stack = error, name, message } = error as Partial<Error>;
				if (problem.code === "INTERNAL")
					this.logger.error(`Request ${problem.requestId} failed:`, stack);
				if (problem.code === "UNAVAILABLE")
					this.logger.warn(`Request ${problem.requestId}: ${name}: ${message}`);
				// Whatever of the body is still under way shall not be waited for.
				if (problem.status === 413) res.setHeader("Connection", "close");
				send(res, {
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
			this.hasStarted = false;
			this.cors = createCors(runtimeOf(this.broker).config.CORS_ORIGINS, routes);
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

function aliasesOf(
	routes: readonly Route[],
	responders: DoorOptions["responders"]
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

function send(res: ServerResponse, { status, headers, body }: Answer): void {
	setHeaders(res, headers);
	if (body !== undefined) res.setHeader("Content-Length", Buffer.byteLength(body));
	res.statusCode = status;
	res.end(body);
}

function setHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
	for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
}

/** The operators' port of every node: is it alive, is it ready, how does it fare? Never open to the public. */
import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { text } from "node:stream/consumers";
import type { Config } from "./config.ts";
import type { ClientInfo } from "./identity.ts";
import { listenError } from "./startup-error.ts";

export interface OpsServer {
	readonly port: number;
	close(): Promise<void>;
}

/** What keeps a node from being given work; empty when it is ready. */
export type Readiness = () => Promise<readonly string[]>;

export interface OpsOptions {
	readonly readiness: Readiness;
	/** The node's figures in Prometheus' text format; undefined while it starts. */
	readonly metrics: () => Promise<string> | undefined;
	/** Where the node is no part of a cluster that an operator's command could join. */
	readonly operate?: Operate;
}

/** Lets whoever can read the token call any action, as the commands of the one-process shape do. */
export interface Operate {
	readonly token: string;
	readonly call: (action: string, params: unknown, client?: ClientInfo) => Promise<unknown>;
}

/**
 * Serves `/health` (200 while the process runs), `/ready` (200, or 503 with what is missing),
 * `/metrics`, and `POST /call` to whoever has the token. Throws a StartupError where the port is taken.
 */
export async function startOps(
	{ HOST, OPS_PORT }: Pick<Config, "HOST" | "OPS_PORT">,
	{ readiness, metrics, operate }: OpsOptions
): Promise<OpsServer> {
	const server = createServer((request, response) => {
		const answer = (status: number, body: object) => {
			response.writeHead(status, {
				"Content-Type": "application/json",
				"Cache-Control": "no-store"
			});
			response.end(request.method === "HEAD" ? undefined : JSON.stringify(body));
		};
		const path = request.url?.split("?", 1)[0];
		if (path === "/health") return answer(200, { status: "up" });
		if (path === "/call" && operate && request.method === "POST")
			return void answerCall(request, operate).then(([status, body]) => answer(status, body));
		if (path === "/metrics") {
			const figures = metrics() ?? Promise.resolve("");
			return void figures.then(
				shown => {
					response.writeHead(200, { "Content-Type": METRICS_TYPE, "Cache-Control": "no-store" });
					response.end(request.method === "HEAD" ? undefined : shown);
				},
				(error: unknown) => answer(500, { error: String(error) })
			);
		}
		if (path !== "/ready") return answer(404, { status: "unknown" });
		void readiness().then(
			missing =>
				answer(
					missing.length === 0 ? 200 : 503,
					missing.length === 0 ? { status: "ready" } : { status: "not ready", missing }
				),
			(error: unknown) => answer(503, { status: "not ready", missing: [String(error)] })
		);
	});
	server.requestTimeout = 5_000;
	await listen(server, HOST, OPS_PORT);
	return {
		port: (server.address() as { port: number }).port,
		close: () =>
			new Promise(done => {
				server.close(() => done());
				server.closeAllConnections();
			})
	};
}

/** `{ action, params, client }` → `{ result }`, or `{ error }` as the action threw it. */
async function answerCall(request: IncomingMessage, operate: Operate): Promise<[number, object]> {
	const given = Buffer.from(request.headers.authorization ?? "");
	const wanted = Buffer.from(`Bearer ${operate.token}`);
	if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
		return [401, { error: { message: "The token is wrong." } }];
	try {
		const { action, params, client } = JSON.parse(await text(request)) as {
			action: string;
			params: unknown;
			client?: ClientInfo;
		};
		return [200, { result: await operate.call(action, params, client) }];
	} catch (error) {
		const { message, code, type, data } = error as Error & Record<string, unknown>;
		return [200, { error: { message, code, type, data } }];
	}
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const listen = (server: Server, host: string, port: number): Promise<void> =>
	new Promise((done, fail) => {
		server.once("error", error => fail(listenError(error, "OPS_PORT", port)));
		server.listen(port, host, done);
	});

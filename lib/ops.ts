/** The operators' port of every node: is it alive, is it ready? Never open to the public. */
import { createServer, type Server } from "node:http";
import type { Config } from "./config.ts";
import { listenError } from "./startup-error.ts";

export interface OpsServer {
	readonly port: number;
	close(): Promise<void>;
}

/** What keeps a node from being given work; empty when it is ready. */
export type Readiness = () => Promise<readonly string[]>;

/**
 * Serves `/health` (200 while the process runs) and `/ready` (200, or 503 with what is missing).
 * Throws a StartupError where the port is taken.
 */
export async function startOps(
	{ HOST, OPS_PORT }: Pick<Config, "HOST" | "OPS_PORT">,
	readiness: Readiness
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

const listen = (server: Server, host: string, port: number): Promise<void> =>
	new Promise((done, fail) => {
		server.once("error", error => fail(listenError(error, "OPS_PORT", port)));
		server.listen(port, host, done);
	});

/** The socket side of the door: limits, answers to what is not HTTP, an orderly end. */
import { setTimeout as sleep } from "node:timers/promises";
import {
	createServer,
	STATUS_CODES,
	type IncomingMessage,
	type Server,
	type ServerOptions,
	type ServerResponse
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { failure } from "../../lib/failure.ts";
import { listenError, StartupError } from "../../lib/startup-error.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { gateway, problemHeaders, problemOf, type GatewayFailure } from "./problem.ts";

/** In milliseconds. */
export const LIMITS = {
	requestTimeout: 15_000,
	headersTimeout: 10_000,
	keepAliveTimeout: 5_000,
	// How often the two above are looked at; every 30 s by default, which would double them.
	connectionsCheckingInterval: 1_000,
	// Answered by the handler, as a problem.
	requireHostHeader: false
} as const satisfies ServerOptions;
const MAX_REQUESTS_PER_SOCKET = 10_000;
const MAX_CONNECTIONS = 10_000;
/** A connection on which nothing moves, as with a client that does not read its answer. */
const IDLE_MS = 60_000;
/** What is on its way when the server closes may still arrive. */
const GRACE_MS = 100;

export type Handler = (req: IncomingMessage, res: ServerResponse) => void;

export class HttpServer {
	readonly server: Server;
	#underWay = 0;

	/** `idleMs`: after so long without a byte either way a connection is ended. */
	constructor(handler: Handler, limits: ServerOptions = LIMITS, idleMs = IDLE_MS) {
		const count: Handler = (req, res) => {
			this.#underWay++;
			res.once("close", () => this.#underWay--);
			handler(req, res);
		};
		this.server = createServer(limits, count);
		this.server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
		this.server.maxConnections = MAX_CONNECTIONS;
		this.server.setTimeout(idleMs);
		// An expectation that we do not know may be left alone (RFC 9110, 10.1.1).
		this.server.on("checkExpectation", count);
		this.server.on("clientError", answerClientError);
	}

	/** Listens; resolves with the real port, which matters where 0 was asked for. Throws a StartupError. */
	listen(port: number, host: string): Promise<number> {
		const { server } = this;
		return new Promise((done, fail) => {
			const refused = (error: NodeJS.ErrnoException) => fail(explain(error, port, host));
			server.once("error", refused);
			server.listen(port, host, () => {
				server.off("error", refused);
				done((server.address() as AddressInfo).port);
			});
		});
	}

	/**
	 * Lets clients go: for a while still answers, each time with `Connection: close`, then takes no new
	 * connections, ends the idle ones, and waits until each request under way is answered, but not
	 * longer than `limitMs`.
	 */
	async close(limitMs: number): Promise<void> {
		// Ended at once, a kept connection may just carry the next request, which would be lost.
		for (
			const until = Date.now() + Math.min(LINGER_MS, limitMs);
			Date.now() < until && (await this.#connections()) > 0;
		)
			await sleep(20);
		const closed = new Promise<void>(done => this.server.close(() => done()));
		const started = Date.now();
		const timer = setInterval(() => {
			const waited = Date.now() - started;
			// To Node, a connection that never sent anything is a request that is still to come.
			if (waited > limitMs || (waited > GRACE_MS && this.#underWay === 0))
				this.server.closeAllConnections();
			else this.server.closeIdleConnections();
		}, 20);
		await closed;
		clearInterval(timer);
	}

	#connections(): Promise<number> {
		return new Promise(done => this.server.getConnections((_, count) => done(count)));
	}
}

/** How long connections are given to end with an answer of their own. */
export const LINGER_MS = 2_000;

const CLIENT_ERRORS: Record<string, GatewayFailure> = {
	ERR_HTTP_REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
	HPE_HEADER_OVERFLOW: "HEADERS_TOO_LARGE"
};

/** Node gives up before there is a request: the answer has to be written by hand. */
function answerClientError(error: Error & { code?: string }, stream: unknown): void {
	const socket = stream as Socket & { _httpMessage?: ServerResponse | null };
	// The same condition as Node's own handler has: nothing may be put into the middle of an answer.
	if (error.code === "ECONNRESET" || !socket.writable || socket._httpMessage?.headersSent) {
		socket.destroy();
		return;
	}
	const requestId = uuidv7();
	const problem = problemOf(
		failure(gateway, CLIENT_ERRORS[error.code ?? ""] ?? "BAD_REQUEST"),
		"/",
		requestId
	);
	const body = JSON.stringify(problem);
	const headers = {
		...problemHeaders(problem),
		"Content-Length": Buffer.byteLength(body),
		"X-Request-Id": requestId,
		"X-Content-Type-Options": "nosniff",
		Connection: "close"
	};
	const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
	socket.end(
		`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join("")}\r\n${body}`
	);
}

function explain(error: NodeJS.ErrnoException, port: number, host: string): Error {
	if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
		return new StartupError(`${host} is no address of this machine. Set HOST to one that is.`);
	return listenError(error, "PORT", port);
}

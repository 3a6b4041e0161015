/** One request, from its arrival to its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ClientInfo } from "../../lib/identity.ts";
import { addressOf } from "./client-address.ts";
import { requestIdOf, targetOf } from "./request.ts";

/** How long an answer may take; retries and waiting for one's turn add up. */
export const ANSWER_WITHIN_MS = 15_000;

export class Exchange {
	readonly req: IncomingMessage;
	readonly res: ServerResponse;
	readonly requestId: string;
	readonly path: string;
	/** Raw, without the question mark. */
	readonly query: string;
	/** Those of the path, decoded. */
	parameters: Readonly<Record<string, string>> = {};
	/** What the answer bears, whatever it will be. */
	readonly headers: Record<string, string> = {};
	/** When an answer comes too late, in milliseconds since 1970. */
	readonly deadline = Date.now() + ANSWER_WITHIN_MS;
	isAnswered = false;
	/** Called when the answer is on its way, or there is nobody left to be answered. */
	onClose: (() => void) | undefined;
	readonly #client = new AbortController();
	readonly #trustedProxies: number;
	#info: ClientInfo | undefined;

	constructor(req: IncomingMessage, res: ServerResponse, trustedProxies: number) {
		this.req = req;
		this.res = res;
		this.requestId = requestIdOf(req.headers["x-request-id"]);
		({ path: this.path, query: this.query } = targetOf(req.url!));
		this.#trustedProxies = trustedProxies;
		res.once("close", () => {
			if (!this.isAnswered) this.#client.abort();
			this.onClose?.();
		});
	}

	/** Aborted once the client has gone away without an answer. */
	get signal(): AbortSignal {
		return this.#client.signal;
	}

	/** Whether there is nobody any more who could be answered. */
	get isGone(): boolean {
		return this.signal.aborted || this.req.socket.destroyed;
	}

	get client(): ClientInfo {
		return (this.#info ??= {
			address: addressOf(this.req, this.#trustedProxies),
			device: (this.req.headers["user-agent"] ?? "").trim().slice(0, 200)
		});
	}
}

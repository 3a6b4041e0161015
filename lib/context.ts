/**
 * What work is done on behalf of: carried beside the code, so that a transaction knows which
 * request or event caused it without every function handing it on.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

export interface WorkContext {
	/** The request at the gateway that all of this began with. */
	readonly requestId?: string | undefined;
	/** Names the whole story, for example the order's id. */
	readonly correlationId?: string | undefined;
	/** The event that made us do this. */
	readonly causationId?: string | undefined;
	readonly traceparent?: string | undefined;
	/**
	 * Aborted when nobody waits for the outcome any more, as a client that has gone away. Only within
	 * the process that was asked: what waits should stop, what is under way may be finished.
	 */
	readonly signal?: AbortSignal | undefined;
}

const storage = new AsyncLocalStorage<WorkContext>();

export const currentContext = (): WorkContext => storage.getStore() ?? {};

export const runInContext = <T>(context: WorkContext, work: () => T): T =>
	storage.run(context, work);

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's trace where it is one, else a new one that nobody has asked to be sampled. */
export function traceparentOf(header: string | string[] | undefined): string {
	if (typeof header === "string" && TRACEPARENT.test(header)) return header;
	// Both ids of one draw: each request needs them, and nobody has to be kept from guessing.
	const id = randomUUID().replaceAll("-", "");
	return `00-${id}-${id.slice(16)}-00`;
}

/** What a call to another service bears of the work that it is made for. */
interface CallHeaders {
	readonly correlationId?: string;
	readonly causationId?: string;
	readonly traceparent?: string;
}
interface CallOptions {
	readonly headers?: CallHeaders;
	readonly parentCtx?: unknown;
	readonly requestID?: string;
	readonly signal?: AbortSignal;
}
interface CalledContext {
	readonly requestID?: string | null;
	readonly headers: CallHeaders;
	readonly options: { readonly signal?: AbortSignal };
}

/** Moleculer's middleware that carries the context of work through calls, to other nodes as well. */
export const contextMiddleware = {
	name: "Context",
	call: (next: (action: string, params: unknown, options: CallOptions) => unknown) =>
		function (this: unknown, action: string, params: unknown, options: CallOptions = {}) {
			const { requestId, signal, ...carried } = currentContext();
			return next.call(this, action, params, {
				...(requestId !== undefined && !options.parentCtx ? { requestID: requestId } : {}),
				...(signal ? { signal } : {}),
				...options,
				// In headers and not in meta, which the callee could change and which comes back.
				headers: { ...(carried as CallHeaders), ...options.headers }
			});
		},
	localAction:
		(next: (ctx: CalledContext) => Promise<unknown>) =>
		(ctx: CalledContext): Promise<unknown> => {
			const { correlationId, causationId, traceparent } = ctx.headers;
			const requestId = ctx.requestID ?? undefined;
			const { signal } = ctx.options;
			return runInContext({ requestId, correlationId, causationId, traceparent, signal }, () =>
				next(ctx)
			);
		}
};

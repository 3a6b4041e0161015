/**
 * What work is done on behalf of: carried beside the code, so that a transaction knows which
 * request or event caused it without every function handing it on.
 */
import { AsyncLocalStorage } from "node:async_hooks";

export interface WorkContext {
	/** The request at the gateway that all of this began with. */
	readonly requestId?: string | undefined;
	/** Names the whole story, for example the order's id. */
	readonly correlationId?: string | undefined;
	/** The event that made us do this. */
	readonly causationId?: string | undefined;
	readonly traceparent?: string | undefined;
}

const storage = new AsyncLocalStorage<WorkContext>();

export const currentContext = (): WorkContext => storage.getStore() ?? {};

export const runInContext = <T>(context: WorkContext, work: () => T): T =>
	storage.run(context, work);

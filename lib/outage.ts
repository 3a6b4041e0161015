/** Trouble of a service's database, or of the network, told to its callers as what it is. */
import { Errors } from "moleculer";
import { isRetryable } from "./database.ts";

/** The type of an error that says: nobody can do it now, and nothing is wrong with what was asked. */
export const UNAVAILABLE = "UNAVAILABLE";

/**
 * Moleculer's middleware that has actions throw UNAVAILABLE (503) for what may well succeed later: a lock
 * that was waited for in vain, a database that is away. `retryable` stays true, for those who try again by
 * themselves. It is plain, since a subclass would arrive at a remote caller as a bare `Error`.
 */
export const outageMiddleware = {
	name: "Outages",
	localAction:
		(next: (ctx: unknown) => Promise<unknown>, { name }: { readonly name: string }) =>
		async (ctx: unknown): Promise<unknown> => {
			try {
				return await next(ctx);
			} catch (error) {
				// Moleculer's own say themselves what they are.
				if (!isRetryable(error) || error instanceof Errors.MoleculerError) throw error;
				const told = `${name}: ${(error as Error).message}`;
				throw new Errors.MoleculerRetryableError(told, 503, UNAVAILABLE);
			}
		}
};

/** Whether the broker may repeat the call of an idempotent action: not to have the same database asked at once by everybody. */
export const isWorthRepeating = (error: Error & { retryable?: boolean; type?: string }): boolean =>
	error.retryable === true && error.type !== UNAVAILABLE;

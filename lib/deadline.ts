/** Calls that must have ended by a time, with all that is tried again for them. */
import { Errors } from "moleculer";

interface Options {
	/** In milliseconds since 1970. */
	readonly deadline?: number;
	timeout?: number;
	/** The call before, where this one is its repetition. */
	readonly ctx?: { readonly options: Options };
}

/**
 * Moleculer's middleware that lets no call take longer than its `deadline` leaves. The callee is told
 * as `timeout` what is left, which Moleculer hands on to what it calls in turn; a repetition would
 * begin with all of the time again.
 */
export const deadlineMiddleware = {
	name: "Deadline",
	call: (next: (action: string, params: unknown, options: Options) => Promise<unknown>) =>
		function (this: unknown, action: string, params: unknown, options: Options = {}) {
			const limited = options.ctx?.options ?? options;
			if (limited.deadline === undefined) return next.call(this, action, params, options);
			const left = limited.deadline - Date.now();
			if (left <= 0) return Promise.reject(new Errors.RequestTimeoutError({ action }));
			limited.timeout = Math.min(limited.timeout ?? left, left);
			return next.call(this, action, params, options);
		}
};

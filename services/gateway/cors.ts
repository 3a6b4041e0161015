/** Which pages of other origins may call the API from a browser. */
import type { Route } from "./routes.ts";

export type CorsHeaders = Record<string, string>;

export interface Cors {
	/** Headers of every answer for a path. */
	answer(origin: string | undefined, path: string): CorsHeaders;
	/** Headers of the answer to a preflight for a path with these methods. */
	preflight(origin: string | undefined, methods: string): CorsHeaders;
}

const REQUEST_HEADERS = [
	"Authorization",
	"Content-Type",
	"Idempotency-Key",
	"If-Match",
	"If-None-Match",
	"Last-Event-ID",
	"X-Request-Id"
];
const RESPONSE_HEADERS = [
	"ETag",
	"Location",
	"RateLimit",
	"RateLimit-Policy",
	"Retry-After",
	"X-Request-Id"
];

/**
 * `origins` as CORS_ORIGINS has them. An origin is allowed when it is equal to one of them, never
 * when it is merely contained. Cookies go with no request but to what sets one, and prove nothing by
 * themselves.
 */
export function createCors(origins: string, routes: readonly Route[]): Cors {
	const allowed = new Set(origins.split(",").filter(Boolean));
	const allowedHeaders = list(
		REQUEST_HEADERS,
		routes.flatMap(({ rest }) => Object.keys(rest.headers ?? {}))
	);
	const exposedHeaders = list(
		RESPONSE_HEADERS,
		routes.flatMap(({ rest }) => Object.keys(rest.responseHeaders ?? {}))
	);
	const withCookies = new Set(routes.filter(({ rest }) => rest.setCookie).map(({ path }) => path));
	const isAllowed = (origin: string | undefined): origin is string =>
		origin !== undefined && allowed.has(origin);
	return {
		answer(origin, path) {
			if (allowed.size === 0) return {};
			if (!isAllowed(origin)) return { Vary: "Origin" };
			return {
				Vary: "Origin",
				"Access-Control-Allow-Origin": origin,
				"Access-Control-Expose-Headers": exposedHeaders,
				...(withCookies.has(path) ? { "Access-Control-Allow-Credentials": "true" } : {})
			};
		},
		preflight(origin, methods) {
			if (!isAllowed(origin)) return {};
			return {
				"Access-Control-Allow-Methods": methods,
				"Access-Control-Allow-Headers": allowedHeaders,
				"Access-Control-Max-Age": "600"
			};
		}
	};
}

/** Contracts have headers in lower case, and their own names are better known. */
const list = (own: readonly string[], declared: readonly string[]): string =>
	[
		...own,
		...new Set(
			declared.filter(name => !own.some(each => each.toLowerCase() === name.toLowerCase()))
		)
	].join(", ");

/** What a client is told when something fails: RFC 9457 documents, from an allow-list, in this one place. */
import { allContracts } from "../../contracts/index.ts";
import { commonFailures, contract, type FailureContract } from "../../lib/contract.ts";
import { UNAVAILABLE } from "../../lib/outage.ts";

/** The gateway's own failures, beside those that the actions declare. */
export const gateway = contract({
	name: "gateway",
	actions: {},
	events: {},
	failures: {
		BAD_REQUEST: { status: 400, message: "The request is not proper HTTP." },
		MALFORMED_URL: { status: 400, message: "The address is not properly encoded." },
		MALFORMED_BODY: { status: 400, message: "The body is not proper JSON." },
		REPEATED_PARAMETER: { status: 400, message: "A query parameter was given more than once." },
		REPEATED_HEADER: { status: 400, message: "A header was given more than once." },
		HEADER_REQUIRED: { status: 400, message: "A required header is missing." },
		IDEMPOTENCY_KEY_REFUSED: {
			status: 400,
			message: "This route keeps no answers, so it takes no Idempotency-Key."
		},
		ROUTE_NOT_FOUND: { status: 404, message: "There is nothing at this address." },
		METHOD_NOT_ALLOWED: {
			status: 405,
			message: "This address does not know that method. `Allow` names those it knows."
		},
		NOT_ACCEPTABLE: { status: 406, message: "`Accept` rules out what the answer would be." },
		REQUEST_TIMEOUT: { status: 408, message: "The request took too long to arrive." },
		BODY_TOO_LARGE: { status: 413, message: "The body is larger than 100 kB." },
		URL_TOO_LONG: { status: 414, message: "The address is too long." },
		UNSUPPORTED_MEDIA_TYPE: {
			status: 415,
			message: "The body must be `application/json` in UTF-8, and not compressed."
		},
		PRECONDITION_REQUIRED: {
			status: 428,
			message: "Name the version that you want to change in `If-Match`."
		},
		RATE_LIMITED: {
			status: 429,
			message: "That was too much in a short time. `Retry-After` says when to go on."
		},
		TOO_MANY_STREAMS: {
			status: 429,
			message: "You follow too much at once. Close another stream first."
		},
		HEADERS_TOO_LARGE: { status: 431, message: "The headers are too large." },
		INTERNAL: { status: 500, message: "Something went wrong on our side." },
		OVERLOADED: {
			status: 503,
			message: "There is more to do than can be done at once. Try again in a moment."
		},
		UNAVAILABLE: {
			status: 503,
			message: "A part of the system does not answer. Try again in a moment."
		}
	}
});
export type GatewayFailure = keyof (typeof gateway)["failures"];

export interface FieldProblem {
	readonly field: string;
	readonly code: string;
	readonly message: string;
}

export interface Problem {
	/** A relative reference, as in `/errors/NOT_FOUND`. */
	readonly type: string;
	readonly title: string;
	readonly status: number;
	readonly code: string;
	readonly detail: string;
	/** The path that was asked for. */
	readonly instance: string;
	readonly requestId: string;
	/** For 422: the fields that are to blame, never their values. */
	readonly errors?: readonly FieldProblem[];
}

/** The failures that this code knows. */
export const DECLARED: ReadonlyMap<string, FailureContract> = new Map(
	Object.entries(
		Object.assign(
			{},
			...allContracts.map(({ failures }) => failures),
			commonFailures,
			gateway.failures
		) as Record<string, FailureContract>
	)
);

/** Moleculer's ways to say that nobody could do it now; most of them carry a 404 or a 429 of their own. */
const OUTAGES = new Set([
	"ServiceNotFoundError",
	"ServiceNotAvailableError",
	"ServiceUnavailableError",
	"RequestTimeoutError",
	"RequestRejectedError",
	"RequestSkippedError",
	"QueueIsFullError",
	"BrokerDisconnectedError"
]);

const MAX_ERRORS = 50;
/** Node lets some characters through that RFC 3986 does not, and percent signs that encode nothing. */
const NOT_IN_A_PATH = /[^\w\-.~!$&'()*+,;=:@/%]|%(?![0-9A-Fa-f]{2})/g;

interface Thrown {
	readonly name?: unknown;
	readonly message?: unknown;
	readonly code?: unknown;
	readonly type?: unknown;
	readonly data?: unknown;
}

/**
 * The problem document for anything that was thrown. Only declared failures speak for themselves;
 * everything else is INTERNAL and tells nothing. `joined` are those of services that this code does not know.
 */
export function problemOf(
	error: unknown,
	instance: string,
	requestId: string,
	joined: ReadonlyMap<string, FailureContract> = new Map()
): Problem {
	const thrown = (typeof error === "object" && error !== null ? error : {}) as Thrown;
	const code = codeOf(thrown, joined);
	const { status, message } = (DECLARED.get(code) ?? joined.get(code))!;
	const told =
		code === thrown.type && thrown.name === "MoleculerClientError"
			? String(thrown.message)
			: message;
	const errors = status === 422 ? fieldsOf(thrown.data) : [];
	return {
		type: `/errors/${code}`,
		title: titleOf(code),
		status,
		code,
		detail: told,
		instance: instance.replaceAll(NOT_IN_A_PATH, encodeURIComponent),
		requestId,
		...(errors.length > 0 ? { errors } : {})
	};
}

function codeOf(
	{ name, code, type }: Thrown,
	joined: ReadonlyMap<string, FailureContract>
): string {
	// Its own class and not a subclass: that is what failure() throws, and what libraries rarely do.
	const declared = DECLARED.get(String(type)) ?? joined.get(String(type));
	if (name === "MoleculerClientError" && declared?.status === code) return String(type);
	if (name === "ValidationError") return "VALIDATION_ERROR";
	if (OUTAGES.has(String(name))) return "UNAVAILABLE";
	if (name === "MoleculerRetryableError" && type === UNAVAILABLE) return "UNAVAILABLE";
	// moleculer-web's, for a path that cannot be decoded.
	if (type === "UNABLE_DECODE_PARAM") return "MALFORMED_URL";
	return "INTERNAL";
}

/** `BODY_TOO_LARGE` → `Body too large` */
export const titleOf = (code: string): string =>
	code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " ");

/** Field errors without what Moleculer adds to them: the value, the node and the action. */
function fieldsOf(data: unknown): FieldProblem[] {
	const list = Array.isArray(data) ? data : (data as { errors?: unknown } | undefined)?.errors;
	if (!Array.isArray(list)) return [];
	return list.slice(0, MAX_ERRORS).map(item => {
		const { field, code, message } = (item ?? {}) as Record<string, unknown>;
		return {
			field: typeof field === "string" ? field.slice(0, 100) : "",
			code: typeof code === "string" ? code : "invalid",
			// A message without a code is fastest-validator's and may quote the value.
			message: typeof code === "string" && typeof message === "string" ? message : "is not valid"
		};
	});
}

/** Seconds after which it is worth while to try again. */
const RETRY_AFTER = "1";

const COME_AGAIN = new Set(["IDEMPOTENCY_IN_PROGRESS", "TOO_MANY_STREAMS"]);

/** The headers that belong to a problem of this kind. */
export const problemHeaders = ({ status, code }: Problem): Record<string, string> => ({
	"Content-Type": "application/problem+json; charset=utf-8",
	"Cache-Control": "no-store",
	...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
	...(status === 503 || COME_AGAIN.has(code) ? { "Retry-After": RETRY_AFTER } : {})
});

/**
 * What a service promises, as plain values: its actions, events and failures. Types of calls,
 * validation, REST routes, OpenAPI and the registry are all derived from these.
 */
import type { Static, TObject, TSchema } from "typebox";

/** Who may call an action. `internal` actions are for other services only and never get a route. */
export type Access = "public" | "user" | "staff" | "admin" | "internal";

/** A way an action can fail that callers may rely on: a stable code, an HTTP status, a sentence. */
export interface FailureContract {
	readonly status: number;
	readonly message: string;
}

/** Failures that any action may answer with; they need no declaration of their own. */
export const commonFailures = {
	UNAUTHENTICATED: { status: 401, message: "Sign in to do this." },
	FORBIDDEN: { status: 403, message: "You may not do this." },
	NOT_FOUND: { status: 404, message: "There is no such thing, or it is not yours." },
	VERSION_MISMATCH: {
		status: 412,
		message: "It was changed in the meantime. Read it again and repeat your change."
	},
	IDEMPOTENCY_IN_PROGRESS: {
		status: 409,
		message: "The first request with this Idempotency-Key is still being worked on. Try again."
	},
	IDEMPOTENCY_KEY_REUSED: {
		status: 422,
		message: "This Idempotency-Key was used with another request. Use a new key."
	},
	VALIDATION_ERROR: { status: 422, message: "Some fields are not valid." }
} as const satisfies Record<string, FailureContract>;
export type CommonFailure = keyof typeof commonFailures;

/**
 * How an action is reached over HTTP. Plain data, so that it can travel with the action.
 *
 * Each parameter has exactly one source: the path where the path names it, a header or a cookie where
 * `headers` or `cookies` names it, else the query (GET, DELETE) or the body (POST, PUT, PATCH); never two.
 */
export interface RestContract {
	/** Method and path below `/api/v1`, as in `GET /orders/:id`; `//` before the path leaves the prefix out. */
	readonly route: `${"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} /${string}`;
	/** Heading in the documentation. */
	readonly tag: string;
	/** The status of success (default 200), or the status that the value of a result's field selects. */
	readonly status?:
		| number
		| { readonly field: string; readonly map: Record<string, number>; readonly otherwise: number };
	/** Parameter by lower-case request header, for example `{ "idempotency-key": "idempotencyKey" }`. */
	readonly headers?: Readonly<Record<string, string>>;
	/** Parameters of POST, PUT or PATCH that come from the query after all. */
	readonly query?: readonly string[];
	/**
	 * Parameter by the beginning of a query name, as in `{ "attr.": "attributes" }`: a record of texts, to which
	 * `attr.colour=black` adds `colour`. Its schema has to say which names it takes, and how many.
	 */
	readonly queryPrefix?: Readonly<Record<`${string}.`, string>>;
	/** Parameters of DELETE that come from the body after all: what must not stand in a URL. */
	readonly body?: readonly string[];
	/** Result fields (dotted) that together make the strong ETag; the first is the version that If-Match compares. */
	readonly etag?: readonly string[];
	/** `Location` of what was made; `{field}` is filled from the result. */
	readonly location?: string;
	/** Result field by response header; the field is left in the body. */
	readonly responseHeaders?: Readonly<Record<string, string>>;
	/** The name under which browsers save the answer instead of showing it. */
	readonly attachment?: string;
	/** Result field (dotted) with the address to go on to: where there is one, the answer is 303 without a body. */
	readonly redirect?: string;
	/** Parameter by cookie. A cookie that is not there, or there twice, is a parameter left out. */
	readonly cookies?: Readonly<Record<string, string>>;
	readonly setCookie?: CookieContract;
	/** Query parameters that nobody declared are passed over: others than our clients make the URL. */
	readonly foreign?: true;
	/** Headers that must be present, else 400; `if-match` missing is 428. */
	readonly required?: readonly string[];
	/**
	 * What becomes of the header `Idempotency-Key` of POST, PUT, PATCH and DELETE. `kept`, unless it says
	 * otherwise: the service's transaction keeps key and answer for 24 hours. `harmless`: nothing is kept,
	 * since a repetition changes nothing. `refused`: its answers are secrets and kept nowhere, so it says
	 * that it cannot.
	 */
	readonly idempotencyKey?: "kept" | "harmless" | "refused";
	/**
	 * `ignored` where an access token that comes along is not looked at: whose token has ended comes here
	 * for another. Without it every route refuses one that is not good. For public routes alone.
	 */
	readonly bearer?: "ignored";
	/**
	 * The answer is a stream of server-sent events: the gateway calls the action (whose result is an
	 * `EventPage`) again and again, each time for what comes `after` the event that was sent last.
	 */
	readonly stream?: {
		/** The parameter that names the last event seen; `Last-Event-ID` should feed it. An integer. */
		readonly after: string;
		/** The parameter that names the aggregate whose facts `wakes` make it worth while to look again. */
		readonly of: string;
		readonly wakes: readonly EventName[];
	};
	/** How dear the route is to those who call it. Without it: 1 point for a GET, 5 for anything else. */
	readonly limit?: LimitContract;
	/** Who is served first when more come than can be served at once; `normal` where nothing is said. */
	readonly priority?: Priority;
}

/**
 * A cookie by which a browser is known again. Scripts cannot read it, and other sites send it along only
 * where they lead to us. Where clients reach us by https it needs https, and its name begins with `__Host-`.
 */
export interface CookieContract {
	readonly name: string;
	/** Result field with its value, which is left out of the body. */
	readonly field: string;
	/** In seconds. */
	readonly maxAge: number;
}

/** From last to first. */
export const PRIORITIES = ["low", "normal", "high"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Attempts that somebody could make many of to guess or to harvest, each kind with a tight limit of its own. */
export type Attempt = "login" | "reset" | "register";

export interface LimitContract {
	/** Points of what the caller may use in a minute. */
	readonly cost?: number;
	/** Counted as well: by who has signed in, where the route is for those, else by the address that it comes from. */
	readonly attempt?: Attempt;
	/** The parameter that names an account, where attempts by address are also counted by that. */
	readonly account?: string;
	/** True where an attempt that succeeds does not count. */
	readonly failuresOnly?: boolean;
}

export interface ActionContract<
	P extends TObject = TObject,
	R extends TSchema = TSchema,
	F extends string = string
> {
	readonly summary: string;
	readonly description?: string;
	readonly access: Access;
	readonly rest?: RestContract;
	readonly params: P;
	readonly result: R;
	readonly failures?: readonly F[];
	/** True when a repetition does no harm: only such actions are retried by the broker. */
	readonly idempotent?: boolean;
	/** Milliseconds until a call is given up; the broker's `requestTimeout` otherwise. */
	readonly timeout?: number;
	/** False for what is asked again and again, so that it is not left alone for a minute after an outage. */
	readonly breaker?: false;
	/** Kept by the cacher under these parameters for at most `ttl` seconds. Never for what depends on the caller. */
	readonly cache?: { readonly keys: readonly string[]; readonly ttl: number };
}

/** A fact. Its name is `<aggregate>.<fact>.v<N>`; its topic `<aggregate>.events`. */
export interface EventContract<D extends TObject = TObject> {
	readonly summary: string;
	readonly data: D;
	/**
	 * How an event of the version before becomes one of this version, so that a handler of this one
	 * is given the old ones too. Pure; it may drop and derive, but has nothing to ask.
	 */
	readonly upcasts?: { readonly from: EventName; readonly upcast: (data: any) => Static<D> };
}
export type EventName = `${string}.${string}.v${number}`;

export interface ServiceContract<
	N extends string = string,
	A extends Record<string, ActionContract> = Record<string, ActionContract>,
	E extends Record<string, EventContract> = Record<string, EventContract>,
	F extends Record<string, FailureContract> = Record<string, FailureContract>
> {
	readonly name: N;
	readonly actions: A;
	readonly events: E;
	readonly failures: F;
}

/** Declares a service's contract. The identity function: all it does is to infer and check. */
export const contract = <
	const N extends string,
	A extends Record<string, ActionContract<TObject, TSchema, (keyof F & string) | CommonFailure>>,
	E extends Record<string, EventContract>,
	const F extends Record<string, FailureContract>
>(
	definition: ServiceContract<N, A, E, F>
): ServiceContract<N, A, E, F> => definition;

type Promised<A> = A extends ActionContract
	? { params: Static<A["params"]>; result: Static<A["result"]> }
	: never;
type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends (
	i: infer I
) => void
	? I
	: never;

/** `"orders.get": { params, result }` for every action of the contracts in C. */
export type ActionsOf<C extends Record<string, ServiceContract>> = UnionToIntersection<
	{
		[K in keyof C]: {
			[A in keyof C[K]["actions"] & string as `${C[K]["name"]}.${A}`]: Promised<C[K]["actions"][A]>;
		};
	}[keyof C]
>;

/** `"order.created.v1": data` for every event of the contracts in C. */
export type EventsOf<C extends Record<string, ServiceContract>> = UnionToIntersection<
	{
		[K in keyof C]: {
			[E in keyof C[K]["events"] & EventName]: C[K]["events"][E] extends EventContract
				? Static<C[K]["events"][E]["data"]>
				: never;
		};
	}[keyof C]
>;

/** The one typed layer over Moleculer's schemas: joins contracts with their handlers. */
import type { CallingOptions, Service, ServiceBroker, ServiceSchema } from "moleculer";
import type { Static } from "typebox";
import { type Actions, type Events, type Fact } from "../contracts/index.ts";
import {
	commonFailures,
	type ActionContract,
	type FailureContract,
	type ServiceContract
} from "./contract.ts";
import type { Tx } from "./database.ts";
import type { Envelope } from "./events/envelope.ts";
import { keeping, keepsKeys } from "./idempotency.ts";
import type { Meta } from "./identity.ts";
import { toJson } from "./schema-changes.ts";

/** Moleculer's `call`, narrowed to what the contracts promise. */
export interface Caller {
	call<K extends keyof Actions>(
		action: K,
		params: Actions[K]["params"],
		options?: CallingOptions
	): Promise<Actions[K]["result"]>;
}

/** What a handler is given. Facts are recorded in a transaction, so there is no `emit` here. */
export interface Ctx<P> extends Caller {
	readonly params: P;
	readonly meta: Meta;
	readonly requestID: string | null;
}

/** A broker, seen through the contracts. */
export const callerOf = (broker: ServiceBroker): Caller => broker;

declare const methodsOf: unique symbol;
/** A Moleculer mixin that adds `Methods` to `this`. */
export interface Mixin<Methods> extends Partial<ServiceSchema> {
	readonly [methodsOf]?: Methods;
}
export const mixin = <Methods>(schema: Partial<ServiceSchema>): Mixin<Methods> => schema;

type MethodsOf<X> = X extends Mixin<infer Methods> ? Methods : never;
type Mixed<X extends readonly Mixin<unknown>[]> = X extends readonly [
	infer First,
	...infer Rest extends readonly Mixin<unknown>[]
]
	? MethodsOf<First> & Mixed<Rest>
	: unknown;

type This<X extends readonly Mixin<unknown>[]> = Pick<Service, "name" | "fullName" | "logger"> & {
	readonly broker: ServiceBroker & Caller;
} & Mixed<X>;

interface Implementation<
	A extends Record<string, ActionContract>,
	X extends readonly Mixin<unknown>[],
	T
> {
	readonly mixins?: X;
	readonly settings?: Record<string, unknown>;
	readonly actions: {
		[K in keyof A]: (this: T, ctx: Ctx<Static<A[K]["params"]>>) => Promise<Static<A[K]["result"]>>;
	};
	/** Durable: each runs effectively once, in the transaction that it is handed (needs the events mixin). */
	readonly events?: {
		[K in Fact]?: (this: T, event: Envelope<Events[K]>, tx: Tx) => Promise<void>;
	};
	/** Heard at most once, maybe never: for those who only look on. Nothing that must happen belongs here. */
	readonly watch?: { [K in Fact]?: (this: T, event: Envelope<Events[K]>) => void };
	created?(this: T): void;
	started?(this: T): Promise<void>;
	stopped?(this: T): Promise<void>;
}

/** What the wire and Moleculer's registry see of an action: all that a gateway needs to publish it. */
const actionSchema = (
	contract: ActionContract,
	failures: ServiceContract["failures"],
	handler: unknown
): object => ({
	summary: contract.summary,
	...(contract.description ? { description: contract.description } : {}),
	access: contract.access,
	visibility: contract.access === "internal" ? "public" : "published",
	// Moleculer reads `rest` itself where autoAliases are on; ours is read from the contract.
	// Copies, in which nothing stands twice: Moleculer takes that for a circle, and tells other nodes of
	// the first place only.
	...(contract.rest ? { route: toJson(contract.rest) } : {}),
	params: toJson(contract.params),
	result: toJson(contract.result),
	failures: toJson(tableOf(contract, failures)),
	idempotent: contract.idempotent === true,
	...(contract.cache ? { cache: { keys: [...contract.cache.keys], ttl: contract.cache.ttl } } : {}),
	retryPolicy: { enabled: contract.idempotent === true },
	...(contract.timeout ? { timeout: contract.timeout } : {}),
	...(contract.breaker === false ? { circuitBreaker: { enabled: false } } : {}),
	handler
});

const tableOf = (
	{ failures = [] }: ActionContract,
	own: ServiceContract["failures"]
): Record<string, FailureContract> => {
	const table: Record<string, FailureContract> = { ...commonFailures, ...own };
	return Object.fromEntries(failures.map(code => [code, table[code]!]));
};

/**
 * Joins a contract with its handlers into the schema that the broker loads. Curried, so that
 * literal types survive inference. There are no `methods`: what handlers share is a function, or a
 * mixin where it needs the service's life cycle.
 */
export const implement =
	<C extends ServiceContract>({ name, actions, failures }: C) =>
	<const X extends readonly Mixin<unknown>[] = readonly []>({
		actions: handlers,
		events = {},
		watch = {},
		...rest
	}: Implementation<C["actions"], X, This<X>>): ServiceSchema =>
		({
			...rest,
			name,
			actions: Object.fromEntries(
				Object.entries(actions).map(([action, contract]) => [
					action,
					actionSchema(
						contract,
						failures,
						keepsKeys(contract)
							? keeping(`${name}.${action}`, contract, handlers[action] as never)
							: handlers[action]
					)
				])
			),
			durable: events,
			events: Object.fromEntries(
				Object.entries(watch).map(([type, handler]) => [
					type,
					function (this: unknown, ctx: { params: Envelope }) {
						return (handler as (event: Envelope) => void).call(this, ctx.params);
					}
				])
			)
		}) as unknown as ServiceSchema;

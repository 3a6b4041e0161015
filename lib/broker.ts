/** How every broker of the system is set up, whichever services it carries. */
import { ServiceBroker, type BrokerOptions, type ServiceSchema } from "moleculer";
import { cacherFor } from "./cacher.ts";
import type { Config } from "./config.ts";
import { contextMiddleware } from "./context.ts";
import { deadlineMiddleware } from "./deadline.ts";
import { natsOptions } from "./nats.ts";
import { ValenceTransporter } from "./nats-transporter.ts";
import { accessMiddleware } from "./identity.ts";
import { isWorthRepeating, outageMiddleware } from "./outage.ts";
import { bindRuntime, type Runtime } from "./runtime.ts";
import { resultMiddleware } from "./results.ts";
import { JsonSchemaValidator } from "./validator.ts";

interface Timed extends Promise<unknown> {
	/** Moleculer adds it to all promises. */
	timeout(ms: number): Promise<unknown>;
}
interface RemoteCall {
	readonly id: string;
	readonly options: { readonly timeout?: number; readonly signal?: AbortSignal };
	readonly broker: { readonly transit: { removePendingRequest(id: string): void } };
}

/**
 * Moleculer answers a caller whose time is up, but goes on waiting for the answer. Where NATS has
 * lost it, that is for ever, and keeps the node from stopping in order. The same for a call whose
 * `signal` says that nobody wants the answer any more.
 */
const lostRequestMiddleware = {
	name: "LostRequests",
	remoteAction: (next: (ctx: RemoteCall) => Timed) => (ctx: RemoteCall) => {
		const { timeout, signal } = ctx.options;
		const running = next(ctx);
		if (!timeout && !signal) return running;
		const timed = timeout ? running.timeout(timeout) : running;
		return (signal ? untilAborted(timed, signal) : timed).catch((error: unknown) => {
			ctx.broker.transit.removePendingRequest(ctx.id);
			throw error;
		});
	}
};

function untilAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const abandon = () => reject(signal.reason as Error);
		signal.addEventListener("abort", abandon);
		running.then(resolve, reject).finally(() => signal.removeEventListener("abort", abandon));
	});
}

/** Moleculer's options for a node of this configuration. */
export function brokerOptions(config: Config, nodeID: string): BrokerOptions {
	return {
		nodeID,
		namespace: "valence",
		...(config.NATS_URL
			? { transporter: new ValenceTransporter(natsOptions(config.NATS_URL, nodeID)) as never }
			: {}),
		logger: logger(config),
		requestTimeout: config.REQUEST_TIMEOUT_MS,
		// Off unless an action's contract says that it is idempotent.
		retryPolicy: {
			enabled: false,
			retries: 4,
			delay: 50,
			maxDelay: 1_000,
			factor: 2,
			check: isWorthRepeating
		},
		circuitBreaker: {
			enabled: true,
			threshold: 0.5,
			minRequestCount: config.BREAKER_FAILURES,
			windowTime: 60,
			halfOpenTime: config.BREAKER_HALF_OPEN_MS,
			check: ({ code }: Error & { code?: unknown }) => typeof code !== "number" || code >= 500
		},
		bulkhead: {
			enabled: true,
			concurrency: config.BULKHEAD_CONCURRENCY,
			maxQueueSize: config.BULKHEAD_QUEUE
		},
		tracking: { enabled: true, shutdownTimeout: config.DRAIN_MS },
		heartbeatInterval: config.HEARTBEAT_SECONDS,
		heartbeatTimeout: config.HEARTBEAT_SECONDS * 6,
		cacher: cacherFor(config),
		contextParamsCloning: false,
		validator: new JsonSchemaValidator(),
		// We stop in an order of our own: several brokers in one process would each end it.
		skipProcessEventRegistration: true,
		middlewares: [
			accessMiddleware,
			contextMiddleware,
			outageMiddleware,
			deadlineMiddleware,
			lostRequestMiddleware,
			...(config.NODE_ENV === "production" ? [] : [resultMiddleware])
		] as NonNullable<BrokerOptions["middlewares"]>
	};
}

/** A broker on a runtime; the caller starts it. */
export function createBroker(
	runtime: Runtime,
	nodeID: string,
	services: readonly ServiceSchema[]
): ServiceBroker {
	const broker = new ServiceBroker(brokerOptions(runtime.config, nodeID));
	bindRuntime(broker, runtime);
	for (const schema of services) broker.createService(schema);
	return broker;
}

function logger({ LOG_LEVEL, LOG_FORMAT }: Config): NonNullable<BrokerOptions["logger"]> {
	// Moleculer's own chatter about nodes and services is for those who debug it.
	const quiet = ["debug", "trace"].includes(LOG_LEVEL)
		? LOG_LEVEL
		: LOG_LEVEL === "info"
			? "warn"
			: LOG_LEVEL;
	const level = {
		BROKER: quiet,
		REGISTRY: quiet,
		TRANSIT: quiet,
		TRANSPORTER: quiet,
		DISCOVERER: quiet,
		CACHER: quiet,
		"**": LOG_LEVEL
	};
	return LOG_FORMAT === "json"
		? { type: "Pino", options: { level, pino: { options: {} } } }
		: { type: "Console", options: { level, formatter: "short", colors: process.stdout.isTTY } };
}

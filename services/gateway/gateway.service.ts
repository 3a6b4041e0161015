/** The only door: every action that has a route, for those who may call it. */
import type { CallingOptions, ServiceBroker } from "moleculer";
import { Gauge } from "prom-client";
import { allContracts } from "../../contracts/index.ts";
import { publicUrl, type Config } from "../../lib/config.ts";
import type { ActionContract, ServiceContract } from "../../lib/contract.ts";
import { traceparentOf } from "../../lib/context.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { failure } from "../../lib/failure.ts";
import { KEY_HEADER } from "../../lib/idempotency.ts";
import { authorize, type Identity } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { callerOf, implement, mixin } from "../../lib/service.ts";
import { Ticker } from "../../lib/ticker.ts";
import { answerOf, conditional, fixed, type Answer } from "./answer.ts";
import { asyncApiDocument } from "./asyncapi.ts";
import { Authenticator } from "./authentication.ts";
import { readBody } from "./body.ts";
import { networkOf } from "./client-address.ts";
import { door, type Responder } from "./door.mixin.ts";
import { errorPages, type ErrorPages } from "./error-pages.ts";
import { EventStreams } from "./event-streams.ts";
import type { Exchange } from "./exchange.ts";
import { follow, STREAM_TYPE } from "./follow.ts";
import { groupHealth, health, PATIENCE_MS, readiness, type AskGroup } from "./health.ts";
import { keyOf } from "./idempotency-key.ts";
import { Limits, type Admission } from "./limits.ts";
import { announcedBy, LiveContracts } from "./live-contracts.ts";
import { openApiDocument } from "./openapi.ts";
import { PAGE_PATHS, pageFile } from "./pages.ts";
import { onlyHeader, parameterReader, type ReadParameters } from "./parameters.ts";
import { gateway, problemOf } from "./problem.ts";
import { accepts } from "./request.ts";
import { RECENT_EVERY_MS, Revocations } from "./revocations.ts";
import { routesOf, type Route } from "./routes.ts";

const routes = routesOf(allContracts);
/** What has to be there before requests make sense. */
const needed = allContracts.filter(({ actions }) => Object.keys(actions).length > 0);

const readers = new WeakMap<ActionContract, ReadParameters>();
/** Compiled once for a contract, whatever else joins or leaves. */
function readerOf(route: Route): ReadParameters {
	const known = readers.get(route.contract);
	if (known) return known;
	const reader = parameterReader(route);
	readers.set(route.contract, reader);
	return reader;
}
routes.forEach(readerOf);

interface Session {
	readonly broker: ServiceBroker;
	readonly revocations: Revocations;
	readonly authenticator: Authenticator;
	readonly config: Config;
	/** Whether clients reach us by https, whatever they come by here. */
	readonly isSecure: boolean;
	readonly live: LiveContracts;
	readonly streams: EventStreams;
	readonly ask: AskGroup;
	document: Answer;
	errors: ErrorPages;
	/** Undefined where they are switched off. */
	readonly limits: Limits | undefined;
	isReady(): boolean;
	isDraining(): boolean;
}

/** An answer that takes longer is asked for again, perhaps from another node. */
const REVOCATIONS_TIMEOUT_MS = 1_000;
/** When it is said that ended sessions are not known any more. */
const REVOCATIONS_OLD_MS = 5_000;
const CONTRACTS_PAUSE_MS = 100;

/** What the gateway knows between requests: keys, ended sessions, who has done how much, where it leads. */
const session = () =>
	mixin<Session>({
		created(this: any) {
			const caller = callerOf(this.broker);
			this.revocations = new Revocations({
				// By a signal: of each `timeout` that passes the broker would warn.
				ask: params =>
					caller.call("auth.revocations", params, {
						signal: AbortSignal.timeout(REVOCATIONS_TIMEOUT_MS),
						retries: 0
					} as CallingOptions)
			});
			this.authenticator = new Authenticator({
				readKeys: () => caller.call("auth.keys", {}),
				isRevoked: sessionId => this.revocations.has(sessionId)
			});
			// Without retries: they would multiply the patience.
			this.ask = (group =>
				caller.call(
					`${group}-events.status`,
					{},
					{ timeout: PATIENCE_MS, retries: 0 }
				)) satisfies AskGroup;
			this.config = runtimeOf(this.broker).config;
			this.isSecure = publicUrl(this.config).startsWith("https:");
			this.streams = new EventStreams({
				perClient: this.config.STREAMS_PER_CLIENT,
				total: this.config.STREAMS_TOTAL,
				isDraining: () => this.isDraining()
			});
			const { metrics } = runtimeOf(this.broker);
			metrics.onRead(async () => metrics.door.streams.set(this.streams.running));
			this.live = new LiveContracts(allContracts);
			this.document = openApiAnswer(allContracts, this.config);
			this.errors = errorPages(allContracts);
			this.refusals = new Gauge({
				name: "valence_contracts_refused",
				help: "Actions that a node announces with a contract that this gateway cannot lead to",
				registers: [metrics.registry]
			});
			if (this.config.RATE_LIMIT_FACTOR > 0) this.limits = new Limits(this.config, this.logger);
			this.revocationsAge = new Gauge({
				name: "valence_gateway_revocations_age_seconds",
				help: "How long ago the sessions that have ended were read; without limit before the first time",
				registers: [metrics.registry]
			});
			metrics.onRead(async () => this.revocationsAge.set(this.revocations.ageMs / 1_000));
			this.ticker = new Ticker(
				() => this.readRevocations(),
				RECENT_EVERY_MS,
				error => this.logger.debug("The revocations could not be read:", error)
			);
		},
		methods: {
			async readRevocations(this: any) {
				this.revocations.prune(Date.now());
				this.sayWhetherRevocationsAreOld();
				// The broker would warn of each call that it has no node for.
				if (!this.broker.registry.actions.isAvailable("auth.revocations")) return;
				await this.revocations.read();
				this.sayWhetherRevocationsAreOld();
			},

			/** Once when they become old, and once when they are not any more. */
			sayWhetherRevocationsAreOld(this: any) {
				const { areKnown, ageMs } = this.revocations as Revocations;
				const areOld = areKnown && ageMs > REVOCATIONS_OLD_MS;
				if (areOld === (this.revocationsAreOld ?? false)) return;
				this.revocationsAreOld = areOld;
				this.logger.warn(
					areOld
						? "Which sessions have ended cannot be read; their access tokens are taken until they end by themselves, where no broadcast tells of it."
						: "Which sessions have ended is known again."
				);
			},

			/** Leads to what has joined, and says what it refuses. */
			lookAtContracts(this: any) {
				const live = this.live as LiveContracts;
				const before = JSON.stringify(live.refused);
				if (live.update(announcedBy(this.broker))) {
					live.routes.forEach(readerOf);
					this.setRoutes(live.routes);
					this.document = openApiAnswer(live.contracts, this.config);
					this.errors = errorPages(live.contracts);
				}
				this.refusals.set(live.refused.length);
				if (before === JSON.stringify(live.refused)) return;
				for (const { action, node, reasons } of live.refused)
					this.logger.error(
						`${action} of the node ${node} is not called: its contract does not fit. ${reasons.join(" ")}`
					);
			},

			// Once everything was there the node stays ready: when one group fails, the door still leads to the others.
			missing(this: any): string[] {
				this.wasReady ||= this.isReady();
				return this.wasReady ? [] : ["the services behind the gateway"];
			},

			isReady(this: any): boolean {
				const { registry, started } = this.broker;
				return (
					started &&
					this.revocations.areKnown &&
					needed.every(({ name }) => registry.hasService(name))
				);
			}
		},
		events: {
			"$broker.started"(this: any) {
				this.ticker.start();
			},
			// Many come at once where a node joins or leaves.
			"$services.changed"(this: any) {
				this.contractsTimer ??= setTimeout(() => {
					this.contractsTimer = undefined;
					this.lookAtContracts();
				}, CONTRACTS_PAUSE_MS).unref();
			}
		},
		async started(this: any) {
			await this.limits?.open();
		},
		async stopped(this: any) {
			clearTimeout(this.contractsTimer);
			this.streams.stop();
			await this.ticker.stop();
			this.limits?.close();
		}
	});

const documentAnswer = (document: object): Answer =>
	fixed("application/json; charset=utf-8", JSON.stringify(document), {
		"Cache-Control": "no-cache"
	});

const openApiAnswer = (
	contracts: readonly ServiceContract[],
	{ PUBLIC_URL = "/" }: Config
): Answer =>
	documentAnswer(openApiDocument(contracts, { serverUrl: PUBLIC_URL.replace(/(?<=.)\/$/, "") }));

const asyncApi = documentAnswer(asyncApiDocument(allContracts));

interface Admitted {
	readonly user: Identity | undefined;
	readonly admission: Admission | undefined;
}

/** Finds out who is asking, and counts the request. */
async function admit(
	{ authenticator, limits }: Session,
	{ req, client, headers }: Exchange,
	route: Route | undefined
): Promise<Admitted> {
	const identify = async () =>
		authenticator.identify(onlyHeader("authorization", req.headersDistinct));
	const identifying = route && route.rest.bearer !== "ignored" ? identify() : undefined;
	// Counted first, by the address: else whoever has no good token could try for ever.
	const user = await identifying?.catch(() => undefined);
	const network = networkOf(client.address);
	const admission = await limits?.admit({ userId: user?.id, network }, route, headers);
	await identifying;
	if (route) authorize(route.contract.access, user);
	return { user, admission };
}

/** Calls the action of a route for whoever is asking. */
async function respond(
	service: Session,
	exchange: Exchange,
	route: Route,
	{ user, admission }: Admitted
): Promise<Answer> {
	const { req, requestId, parameters, query, client, deadline, signal } = exchange;
	const { action, contract, rest } = route;
	const type = rest.stream ? STREAM_TYPE : "application/json";
	if (!accepts(type, req.headers.accept))
		throw failure(gateway, "NOT_ACCEPTABLE", {
			detail: `The answer would be ${type}, which \`Accept\` rules out.`
		});
	if (service.live.isRefused(action)) throw failure(gateway, "UNAVAILABLE");
	const body = await readBody(req);
	const params = readerOf(route)({
		path: parameters,
		query,
		headers: req.headersDistinct,
		body,
		isSecure: service.isSecure
	});
	const { account, failuresOnly } = rest.limit ?? {};
	if (account !== undefined) await admission?.aimAt(String(params[account]));
	if (rest.stream) return follow(service, exchange, route, params, user);
	// By name: the broker chooses a node, and another one where that one fails. What comes back in
	// `meta` is the callee's and is not looked at.
	const calling = service.broker.call(action, params, {
		requestID: requestId,
		meta: { user, client },
		headers: {
			traceparent: traceparentOf(req.headers["traceparent"]),
			[KEY_HEADER]: keyOf(route, req.headersDistinct)
		},
		timeout: contract.timeout ?? service.config.REQUEST_TIMEOUT_MS,
		deadline,
		signal
	} as CallingOptions);
	const result = failuresOnly ? await forgiving(service, calling, admission) : await calling;
	const condition = route.method === "GET" ? req.headers : undefined;
	return answerOf(route, result, condition, service.isSecure);
}

/** What succeeds, or fails through no fault of the caller, does not count as an attempt. */
async function forgiving<T>(
	{ live }: Session,
	calling: Promise<T>,
	admission: Admission | undefined
): Promise<T> {
	try {
		const result = await calling;
		await admission?.forgive();
		return result;
	} catch (error) {
		if (problemOf(error, "", "", live.failures).status >= 500) await admission?.forgive();
		throw error;
	}
}

/** Those who follow what a fact tells of look at once. */
const wakeStreams = Object.fromEntries(
	[...new Set(routes.flatMap(({ rest }) => rest.stream?.wakes ?? []))].map(type => [
		type,
		function (this: Session, { aggregateid }: Envelope) {
			this.streams.wake(aggregateid);
		}
	])
);

export default implement(gateway)({
	mixins: [
		session(),
		door({
			routes,
			admit,
			respond,
			probes: ["/health", "/ready"],
			responders: {
				async "/health"() {
					return health();
				},
				async "/ready"() {
					return readiness(this.isReady());
				},
				"/health/db"() {
					return groupHealth("database", this.ask);
				},
				"/health/events"() {
					return groupHealth("stream", this.ask);
				},
				async "/openapi.json"({ req }) {
					return conditional(this.document, req.headers);
				},
				async "/asyncapi.json"({ req }) {
					return conditional(asyncApi, req.headers);
				},
				async "/errors"({ req }) {
					return conditional(this.errors.list(req.headers.accept), req.headers);
				},
				async "/errors/:code"({ req, parameters }) {
					const explained = this.errors.explain(parameters["code"]!, req.headers.accept);
					return conditional(explained, req.headers);
				},
				...Object.fromEntries(
					PAGE_PATHS.map(path => [
						path,
						(async ({ req }) => conditional(pageFile(path), req.headers)) satisfies Responder
					])
				)
			}
		})
	],
	actions: {},
	watch: {
		...wakeStreams,
		"session.revoked.v1"({ data }) {
			this.revocations.add(data);
		}
	}
});

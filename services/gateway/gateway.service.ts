/** The only door: every action that has a route, for those who may call it. */
import { allContracts } from "../../contracts/index.ts";
import type { Config } from "../../lib/config.ts";
import { traceparentOf } from "../../lib/context.ts";
import { failure } from "../../lib/failure.ts";
import { authorize } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { callerOf, implement, mixin } from "../../lib/service.ts";
import { Ticker } from "../../lib/ticker.ts";
import { answerOf, conditional, fixed, type Answer } from "./answer.ts";
import { asyncApiDocument } from "./asyncapi.ts";
import { Authenticator } from "./authentication.ts";
import { readBody } from "./body.ts";
import { DOCS_PATHS, docsFile } from "./docs-page.ts";
import { door, type Incoming, type Responder } from "./door.mixin.ts";
import { groupHealth, health, PATIENCE_MS, readiness, type AskGroup } from "./health.ts";
import { openApiDocument } from "./openapi.ts";
import { onlyHeader, parameterReader } from "./parameters.ts";
import { gateway } from "./problem.ts";
import { acceptsJson, clientOf } from "./request.ts";
import { Revocations } from "./revocations.ts";
import { routesOf } from "./routes.ts";

const routes = routesOf(allContracts);
const byAction = new Map(
	routes.map(route => [route.action, { route, read: parameterReader(route) }])
);
/** What has to be there before requests make sense. */
const needed = allContracts.filter(({ actions }) => Object.keys(actions).length > 0);

interface Session {
	readonly revocations: Revocations;
	readonly authenticator: Authenticator;
	readonly config: Config;
	readonly ask: AskGroup;
	readonly document: Answer;
	isReady(): boolean;
}

const REVOCATIONS_EVERY_MS = 30_000;

/** What the gateway knows between requests: keys, ended sessions, its own document. */
const session = () =>
	mixin<Session>({
		created(this: any) {
			const caller = callerOf(this.broker);
			this.revocations = new Revocations();
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
			this.document = openApiAnswer(this.config);
			this.revocationsReadAt = undefined;
			// Every second, so that a gateway which starts before the others does not let ended sessions in for long.
			this.ticker = new Ticker(
				() => this.readRevocations(),
				1_000,
				error => this.logger.debug("The revocations could not be read:", error)
			);
		},
		methods: {
			async readRevocations(this: any) {
				this.revocations.prune(Date.now());
				if (Date.now() - (this.revocationsReadAt ?? 0) < REVOCATIONS_EVERY_MS) return;
				for (const revocation of await callerOf(this.broker).call("auth.revocations", {}))
					this.revocations.add(revocation);
				this.revocationsReadAt = Date.now();
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
					this.revocationsReadAt !== undefined &&
					needed.every(({ name }) => registry.hasService(name))
				);
			}
		},
		events: {
			"$broker.started"(this: any) {
				this.ticker.start();
			}
		},
		async stopped(this: any) {
			await this.ticker.stop();
		}
	});

const documentAnswer = (document: object): Answer =>
	fixed("application/json; charset=utf-8", JSON.stringify(document), {
		"Cache-Control": "no-cache"
	});

const openApiAnswer = ({ PUBLIC_URL = "/" }: Config): Answer =>
	documentAnswer(openApiDocument(allContracts, { serverUrl: PUBLIC_URL.replace(/(?<=.)\/$/, "") }));

const asyncApi = documentAnswer(asyncApiDocument(allContracts));

/** Calls the action of a route for whoever is asking. */
async function respond(service: Session, action: string, req: Incoming): Promise<Answer> {
	if (!acceptsJson(req.headers.accept)) throw failure(gateway, "NOT_ACCEPTABLE");
	const { route, read } = byAction.get(action)!;
	const user = await service.authenticator.identify(
		onlyHeader("authorization", req.headersDistinct)
	);
	authorize(route.contract.access, user);
	const { params: path, query } = req.$params;
	const params = read({ path, query, headers: req.headersDistinct, body: await readBody(req) });
	// By name: the broker chooses a node, and another one where that one fails. What comes back in
	// `meta` is the callee's and is not looked at.
	const result = await req.$ctx.call(action, params, {
		meta: { user, client: clientOf(req) },
		headers: { traceparent: traceparentOf(req.headers["traceparent"]) },
		// Else it would be all the time that the request has left.
		timeout: route.contract.timeout ?? service.config.REQUEST_TIMEOUT_MS
	});
	return answerOf(route, result, route.method === "GET" ? req.headers["if-none-match"] : undefined);
}

export default implement(gateway)({
	mixins: [
		session(),
		door({
			routes,
			respond,
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
				async "/openapi.json"(req) {
					return conditional(this.document, req.headers["if-none-match"]);
				},
				async "/asyncapi.json"(req) {
					return conditional(asyncApi, req.headers["if-none-match"]);
				},
				...Object.fromEntries(
					DOCS_PATHS.map(path => [
						path,
						(async req =>
							conditional(docsFile(path), req.headers["if-none-match"])) satisfies Responder
					])
				)
			}
		})
	],
	actions: {},
	watch: {
		"session.revoked.v1"({ data }) {
			this.revocations.add(data);
		}
	}
});

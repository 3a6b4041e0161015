/** The contracts as an OpenAPI 3.1 document. Their schemas are JSON Schema 2020-12 already, as 3.1 wants it. */
import type { ServiceContract } from "../../lib/contract.ts";
import { problems, PROBLEM_SCHEMA, sharedResponses } from "./openapi-problems.ts";
import { Components, type Json } from "./openapi-schemas.ts";
import { routesOf, type Route, type Source } from "./routes.ts";

export interface OpenApiOptions {
	/** Where clients reach the gateway; `/` where that is where the document came from. */
	readonly serverUrl: string;
}

/** The document of all routes. Pure: the same contracts give the same document. */
export function openApiDocument(
	contracts: readonly ServiceContract[],
	{ serverUrl }: OpenApiOptions
): Json {
	const routes = routesOf(contracts);
	const components = new Components();
	const paths: Record<string, Json> = {};
	for (const route of routes) {
		const path = (paths[route.path.replaceAll(/:(\w+)/g, "{$1}")] ??= {});
		path[route.method.toLowerCase()] = operationOf(route, contracts, components);
	}
	return {
		openapi: "3.1.0",
		info: {
			title: "Valence",
			version: "1",
			license: { name: "MIT", identifier: "MIT" },
			description:
				"Errors are problem documents (RFC 9457) with a stable `code` and the `requestId` that every answer bears as `X-Request-Id`. `HEAD` works wherever `GET` does. How much may be asked in a time, and what is left of it, stands in `RateLimit-Policy` and `RateLimit`."
		},
		servers: [{ url: serverUrl }],
		tags: [...new Set(routes.map(({ rest }) => rest.tag)), SYSTEM].map(name => ({ name })),
		paths: { ...paths, ...systemPaths() },
		components: {
			securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
			schemas: { Problem: PROBLEM_SCHEMA, ...components.schemas },
			responses: sharedResponses()
		}
	};
}

function operationOf(
	route: Route,
	contracts: readonly ServiceContract[],
	components: Components
): Json {
	const { action, contract, rest, sources } = route;
	const body = [...sources].filter(([, source]) => source.in === "body").map(([name]) => name);
	const parameters = [...sources]
		.filter(([, source]) => source.in !== "body")
		.map(([name, source]) => parameterOf(name, source, route, components));
	return {
		operationId: action,
		tags: [rest.tag],
		summary: contract.summary,
		...(contract.description ? { description: contract.description } : {}),
		security: contract.access === "public" ? [{}, { bearer: [] }] : [{ bearer: [] }],
		...(contract.access === "staff" || contract.access === "admin"
			? { "x-access": contract.access }
			: {}),
		...(parameters.length > 0 ? { parameters } : {}),
		...(body.length > 0 ? { requestBody: bodyOf(body, contract.params, components) } : {}),
		responses: { ...successes(route, components), ...problems(route, contracts, body.length > 0) }
	};
}

function parameterOf(
	name: string,
	source: Source,
	{ contract, rest }: Route,
	components: Components
): Json {
	const { description, examples, ...schema } = components.refer(
		contract.params.properties[name]!
	) as Json & {
		description?: string;
		examples?: unknown[];
	};
	const isRequired =
		source.in === "path" ||
		isRequiredIn(contract.params, name) ||
		rest.required?.includes(source.name);
	return {
		name: source.in === "header" ? headerCase(source.name) : source.name,
		in: source.in,
		...(isRequired ? { required: true } : {}),
		...(description ? { description } : {}),
		schema,
		...(examples ? { example: examples[0] } : {})
	};
}

const bodyOf = (
	names: readonly string[],
	params: Route["contract"]["params"],
	components: Components
): Json => {
	const required = names.filter(name => isRequiredIn(params, name));
	return {
		required: required.length > 0,
		content: {
			"application/json": {
				schema: {
					type: "object",
					additionalProperties: false,
					properties: Object.fromEntries(
						names.map(name => [name, components.refer(params.properties[name]!)])
					),
					...(required.length > 0 ? { required } : {})
				}
			}
		}
	};
};

const isRequiredIn = ({ required }: Route["contract"]["params"], name: string): boolean =>
	(required as readonly string[] | undefined)?.includes(name) ?? false;

function successes({ contract, rest }: Route, components: Components): Json {
	const { status = 200 } = rest;
	const isEmpty = (contract.result as { type?: unknown }).type === "null";
	const statuses =
		typeof status === "number"
			? [isEmpty ? 204 : status]
			: [...new Set([...Object.values(status.map), status.otherwise])];
	const headers = Object.fromEntries(
		[
			...(rest.etag ? ["ETag"] : []),
			...(rest.location ? ["Location"] : []),
			...Object.keys(rest.responseHeaders ?? {})
		].map(name => [name, { schema: { type: "string" } }])
	);
	const success = (code: number): Json => ({
		description: SUCCESSES[code] ?? "Success",
		...(Object.keys(headers).length > 0 ? { headers } : {}),
		...(isEmpty
			? {}
			: { content: { "application/json": { schema: components.refer(contract.result) } } })
	});
	return {
		...Object.fromEntries(statuses.map(code => [code, success(code)])),
		...(rest.etag && rest.route.startsWith("GET")
			? { 304: { description: "As `If-None-Match` has it" } }
			: {})
	};
}

const SUCCESSES: Record<number, string> = {
	201: "Made",
	202: "Accepted; it goes on in the background",
	204: "Done"
};

const SYSTEM = "System";
const text = { type: "string" };

function systemPaths(): Record<string, Json> {
	const state = (operationId: string, summary: string, extra: Json = {}) => {
		const content = {
			"application/json": {
				schema: { type: "object", required: ["status"], properties: { status: text, ...extra } }
			}
		};
		return {
			get: {
				operationId,
				tags: [SYSTEM],
				summary,
				security: [],
				responses: {
					200: { description: "Yes", content },
					503: { description: "No", content }
				}
			}
		};
	};
	const document = (operationId: string, summary: string) => ({
		get: {
			operationId,
			tags: [SYSTEM],
			summary,
			security: [],
			responses: {
				200: {
					description: "The document",
					headers: { ETag: { schema: text } },
					content: { "application/json": { schema: { type: "object" } } }
				},
				304: { description: "As `If-None-Match` has it" }
			}
		}
	});
	const groups = { groups: { type: "object", additionalProperties: { enum: ["up", "down"] } } };
	return {
		"/health": state("gateway.health", "Does the process run?"),
		"/ready": state("gateway.ready", "Can this gateway take requests?"),
		"/health/db": state("gateway.healthDb", "Does each group's database answer?", groups),
		"/health/events": state(
			"gateway.healthEvents",
			"Is each group connected to the event stream?",
			groups
		),
		"/openapi.json": document("gateway.openApi", "This document"),
		"/asyncapi.json": document("gateway.asyncApi", "The events, as an AsyncAPI 3.0 document")
	};
}

/** `idempotency-key` → `Idempotency-Key` */
const headerCase = (name: string): string =>
	name.replaceAll(/(?<=^|-)[a-z]/g, letter => letter.toUpperCase());

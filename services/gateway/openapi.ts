/** The contracts as an OpenAPI 3.1 document. Their schemas are JSON Schema 2020-12 already, as 3.1 wants it. */
import { Type, type TSchema } from "typebox";
import { IdempotencyKey, type EventPage } from "../../contracts/common.ts";
import type { ActionContract, RestContract, ServiceContract } from "../../lib/contract.ts";
import { takesKey } from "./idempotency-key.ts";
import { exampleOf, hasExample } from "./openapi-examples.ts";
import { isIfMatch } from "./parameters.ts";
import { problems, PROBLEM_SCHEMA, sharedResponses } from "./openapi-problems.ts";
import { Components, type Json } from "./openapi-schemas.ts";
import { SYSTEM, systemPaths } from "./openapi-system.ts";
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
		tags: [...new Set(routes.map(({ rest }) => rest.tag)), SYSTEM].map(name => ({
			name,
			description: TAGS[name]
		})),
		paths: { ...paths, ...systemPaths() },
		components: {
			securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
			schemas: { Problem: PROBLEM_SCHEMA, ...components.schemas },
			responses: sharedResponses()
		}
	};
}

const TAGS: Readonly<Record<string, string>> = {
	Identity: "Accounts, sign-in and sessions",
	Users: "One's own account, and for administrators those of others",
	Catalog: "Categories, products and their stock",
	Cart: "What somebody is about to buy; a guest's is named by `X-Cart-Token`",
	Orders: "Checkout, and what becomes of an order",
	Administration: "For those who keep the system going",
	[SYSTEM]: "How the gateway fares, and what it can tell about itself"
};

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
	if (takesKey(route)) parameters.push(KEY_PARAMETER);
	return {
		operationId: action,
		tags: [rest.tag],
		summary: contract.summary,
		...(contract.description ? { description: contract.description } : {}),
		security: securityOf(contract, rest),
		...(contract.access === "staff" || contract.access === "admin"
			? { "x-access": contract.access }
			: {}),
		...(parameters.length > 0 ? { parameters } : {}),
		...(body.length > 0 ? { requestBody: bodyOf(body, contract.params, components) } : {}),
		responses: { ...successes(route, components), ...problems(route, contracts) }
	};
}

/** What a client has to show: an empty choice is nothing. */
const securityOf = ({ access }: ActionContract, { bearer }: RestContract): Json[] =>
	access !== "public" ? [{ bearer: [] }] : bearer === "ignored" ? [] : [{}, { bearer: [] }];

function parameterOf(
	name: string,
	source: Source,
	{ contract, rest }: Route,
	components: Components
): Json {
	const taken = contract.params.properties[name]!;
	if (source.in === "prefix") return prefixedOf(name, source, taken, components);
	// Clients name tags, of which the action is told the versions.
	const declared = isIfMatch(source) ? TagList : taken;
	const { description, examples: _, ...schema } = components.refer(declared);
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
		// A page to try it out fills it in: nothing invented where the parameter can be left out.
		...(isRequired || hasExample(declared) ? { example: exampleOf(declared) } : {})
	};
}

/** Of an object in the form style each field is a parameter of its own, so that its fields bear the prefix. */
function prefixedOf(name: string, source: Source, taken: TSchema, components: Components): Json {
	const { description, examples: _, patternProperties, ...schema } = components.refer(taken);
	const [pattern, text] = Object.entries(patternProperties as Json)[0]!;
	const example = Object.entries(exampleOf(taken) as Json);
	return {
		name,
		in: "query",
		style: "form",
		explode: true,
		description: `\`${source.name}NAME\`, for each name one. ${description as string}`,
		schema: {
			...schema,
			propertyNames: { pattern: pattern.replace("^", `^${source.name.replace(".", "\\.")}`) },
			additionalProperties: text
		},
		example: Object.fromEntries(example.map(([field, value]) => [source.name + field, value]))
	};
}

const TagList = Type.String({
	description: "Do it only where the object still has this `ETag`, or one of these"
});

const KEY_PARAMETER: Json = {
	name: "Idempotency-Key",
	in: "header",
	description: "With it the command takes effect once within 24 hours, however often it is sent",
	schema: IdempotencyKey
};

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
				},
				example: Object.fromEntries(
					names
						.filter(name => required.includes(name) || hasExample(params.properties[name]!))
						.map(name => [name, exampleOf(params.properties[name]!)])
				)
			}
		}
	};
};

const isRequiredIn = ({ required }: Route["contract"]["params"], name: string): boolean =>
	(required as readonly string[] | undefined)?.includes(name) ?? false;

function successes({ contract, rest }: Route, components: Components): Json {
	const { status = 200 } = rest;
	const { result, redirects, mayBeEmpty } = outcomesOf(contract.result, rest);
	const isEmpty = result === undefined;
	const statuses =
		typeof status === "number"
			? [isEmpty ? 204 : status]
			: [...new Set([...Object.values(status.map), status.otherwise])];
	const headers = Object.fromEntries(
		[
			...(rest.etag ? ["ETag"] : []),
			...(rest.location ? ["Location"] : []),
			...(rest.attachment ? ["Content-Disposition"] : []),
			...(rest.setCookie ? ["Set-Cookie"] : []),
			...Object.keys(rest.responseHeaders ?? {})
		].map(name => [name, { schema: { type: "string" } }])
	);
	const withHeaders = Object.keys(headers).length > 0 ? { headers } : {};
	const success = (code: number): Json => ({
		description: SUCCESSES[code] ?? "Success",
		...withHeaders,
		...(isEmpty ? {} : { content: contentOf(result, rest, components, code) })
	});
	return {
		...(isEmpty && redirects
			? {}
			: Object.fromEntries(statuses.map(code => [code, success(code)]))),
		...(mayBeEmpty ? { 204: { description: SUCCESSES[204] } } : {}),
		...(redirects ? { 303: redirection(headers) } : {}),
		...(rest.stream ? { 204: { description: "Nothing will come any more" } } : {}),
		...(rest.etag && rest.route.startsWith("GET")
			? { 304: { description: "As `If-None-Match` has it", ...withHeaders } }
			: {})
	};
}

interface Outcomes {
	/** What stands in a body; undefined where none has one. */
	readonly result: TSchema | undefined;
	readonly redirects: boolean;
	/** Whether it may be null where it otherwise is not. */
	readonly mayBeEmpty: boolean;
}

/** What may become of a result: a route that redirects may have several kinds, each a branch of a union. */
function outcomesOf(declared: Schema, { redirect, setCookie }: RestContract): Outcomes {
	const isNull = ({ type }: Schema) => type === "null";
	if (redirect === undefined) {
		const result = isNull(declared) ? undefined : withoutField(declared, setCookie?.field);
		return { result, redirects: false, mayBeEmpty: false };
	}
	const { anyOf: kinds = [declared] } = declared;
	const bodies = kinds.filter(
		kind => !isNull(kind) && !Object.hasOwn(kind.properties ?? {}, redirect)
	);
	return {
		result: bodies.length > 1 ? Type.Union([...bodies]) : bodies[0],
		redirects: true,
		mayBeEmpty: kinds.some(isNull)
	};
}

type Schema = TSchema & {
	readonly type?: string;
	readonly anyOf?: readonly Schema[];
	readonly properties?: Readonly<Record<string, TSchema>>;
	readonly required?: readonly string[];
};

/** The schema of an object without one of its fields. */
function withoutField(schema: Schema, field: string | undefined): TSchema {
	if (field === undefined) return schema;
	const { [field]: _, ...properties } = schema.properties ?? {};
	return { ...schema, properties, required: schema.required?.filter(name => name !== field) ?? [] };
}

const redirection = (headers: Json): Json => ({
	description: "Go on there",
	headers: { Location: { schema: { type: "string", format: "uri" } }, ...headers }
});

/** Of a stream, schema and example are those of the data of one event. */
function contentOf(
	result: TSchema,
	{ stream, status }: RestContract,
	components: Components,
	code: number
): Json {
	if (stream) {
		const data = dataOf(result);
		return { "text/event-stream": { schema: components.refer(data), example: exampleOf(data) } };
	}
	const example = resultWith(code, status, exampleOf(result));
	return { "application/json": { schema: components.refer(result), example } };
}

/** What an event of an `EventPage` carries. */
const dataOf = (page: TSchema): TSchema =>
	(page as ReturnType<typeof EventPage>).properties.events.items.properties.data;

/** The example as it is where the answer has this status, which may follow from one of its fields. */
function resultWith(code: number, status: Route["rest"]["status"], example: unknown): unknown {
	if (typeof status !== "object") return example;
	const chosen = Object.entries(status.map).find(([, value]) => value === code);
	return chosen ? { ...(example as Json), [status.field]: chosen[0] } : example;
}

const SUCCESSES: Record<number, string> = {
	201: "Made",
	202: "Accepted; it goes on in the background",
	204: "Done"
};

/** `idempotency-key` → `Idempotency-Key` */
const headerCase = (name: string): string =>
	name.replaceAll(/(?<=^|-)[a-z]/g, letter => letter.toUpperCase());

/** How an OpenAPI document tells in which ways a route may fail. */
import {
	commonFailures,
	type CommonFailure,
	type FailureContract,
	type ServiceContract
} from "../../lib/contract.ts";
import { keepsKeys } from "../../lib/idempotency.ts";
import { exampleOf } from "./openapi-examples.ts";
import type { Json } from "./openapi-schemas.ts";
import { gateway, titleOf, type GatewayFailure } from "./problem.ts";
import type { Route } from "./routes.ts";

type CommonCode = GatewayFailure | CommonFailure;

/** Codes that any address may answer with. */
const EVERYWHERE: readonly CommonCode[] = [
	"BAD_REQUEST",
	"REQUEST_TIMEOUT",
	"URL_TOO_LONG",
	"HEADERS_TOO_LARGE",
	"INTERNAL"
];

/** Codes that any route may answer with, whatever its action takes and does. */
const EVERY_ROUTE: readonly CommonCode[] = [
	...EVERYWHERE,
	"MALFORMED_URL",
	"REPEATED_PARAMETER",
	"REPEATED_HEADER",
	"MALFORMED_BODY",
	"UNAUTHENTICATED",
	"NOT_ACCEPTABLE",
	"BODY_TOO_LARGE",
	"UNSUPPORTED_MEDIA_TYPE",
	"VALIDATION_ERROR",
	"RATE_LIMITED",
	"UNAVAILABLE",
	"OVERLOADED"
];

/** The codes that a route may answer with. */
export const codesOf = ({ contract, rest }: Route): Set<string> => {
	const { access, failures = [] } = contract;
	const required = rest.required ?? [];
	return new Set([
		...failures,
		...EVERY_ROUTE,
		...(access === "staff" || access === "admin" ? ["FORBIDDEN"] : []),
		...(required.some(name => name !== "if-match") ? ["HEADER_REQUIRED"] : []),
		...(required.includes("if-match") ? ["PRECONDITION_REQUIRED"] : []),
		...(rest.headers?.["if-match"] ? ["VERSION_MISMATCH"] : []),
		...(keepsKeys(contract) ? ["IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_REUSED"] : []),
		...(rest.stream ? ["TOO_MANY_STREAMS"] : []),
		...(rest.idempotencyKey === "refused" ? ["IDEMPOTENCY_KEY_REFUSED"] : [])
	]);
};

const COMMON: Readonly<Record<string, FailureContract>> = {
	...commonFailures,
	...gateway.failures
};
const byStatus = (codes: Iterable<string>, table: Readonly<Record<string, FailureContract>>) =>
	Map.groupBy(codes, code => table[code]!.status);

/** By status, the codes that stand once in the document; the response has the name of the first. */
const SHARED = byStatus(EVERY_ROUTE, COMMON);

/** The problem responses of a route, by status. */
export function problems(route: Route, contracts: readonly ServiceContract[]): Json {
	const own = contracts.find(({ name }) => name === route.service)!.failures;
	const table = { ...COMMON, ...own };
	return Object.fromEntries(
		[...byStatus(codesOf(route), table)].map(([status, codes]) => [
			status,
			codes.length === SHARED.get(status)?.length
				? refOf(codes[0]!)
				: problemResponse(codes, table, instanceOf(route))
		])
	);
}

const refOf = (name: string): Json => ({ $ref: `#/components/responses/${name}` });

/** The problem responses of an address that is no route, by status: those that any may give, and its own. */
export const problemRefs = (...own: readonly CommonCode[]): Json => ({
	...Object.fromEntries(
		EVERYWHERE.map(code => COMMON[code]!.status).map(status => [
			status,
			refOf(SHARED.get(status)![0]!)
		])
	),
	...Object.fromEntries(
		own.map(code => {
			const { status } = COMMON[code]!;
			const isShared = SHARED.get(status)?.join() === code;
			return [status, isShared ? refOf(code) : problemResponse([code], COMMON, "/errors/UNKNOWN")];
		})
	)
});

/** A path that the route answers. */
const instanceOf = ({ path, contract }: Route): string =>
	path.replaceAll(/:(\w+)/g, (_, name: string) =>
		encodeURIComponent(String(exampleOf(contract.params.properties[name]!)))
	);

const seconds = { description: "Seconds", schema: { type: "integer" } };
const quota = { schema: { type: "string" } };

/** What answers of a status bear beside the problem. */
const HEADERS: Readonly<Record<number, { headers: Json }>> = {
	429: { headers: { "Retry-After": seconds, "RateLimit-Policy": quota, RateLimit: quota } },
	503: { headers: { "Retry-After": seconds } }
};

const problemResponse = (
	codes: readonly string[],
	table: Readonly<Record<string, FailureContract>>,
	instance: string
): Json => ({
	description: codes.map(code => `\`${code}\`: ${table[code]!.message}`).join("\n\n"),
	...(HEADERS[table[codes[0]!]!.status] ??
		(codes.includes("IDEMPOTENCY_IN_PROGRESS") ? HEADERS[503] : {})),
	content: {
		"application/problem+json": {
			schema: { $ref: "#/components/schemas/Problem" },
			examples: Object.fromEntries(
				codes.map(code => [code, { value: exampleOfProblem(code, table[code]!, instance) }])
			)
		}
	}
});

const exampleOfProblem = (
	code: string,
	{ status, message }: FailureContract,
	instance: string
): Json => ({
	type: `/errors/${code}`,
	title: titleOf(code),
	status,
	code,
	detail: message,
	instance,
	requestId: "0199c0de-0000-7000-8000-000000000000",
	...(code === "VALIDATION_ERROR"
		? { errors: [{ field: "email", code: "required", message: "is required" }] }
		: {})
});

/** `components.responses`. */
export const sharedResponses = (): Json =>
	Object.fromEntries(
		[...SHARED.values()].map(codes => [
			codes[0]!,
			problemResponse(codes, COMMON, "/api/v1/auth/register")
		])
	);

const text = { type: "string" };
export const PROBLEM_SCHEMA = {
	title: "Problem",
	description: "RFC 9457",
	type: "object",
	required: ["type", "title", "status", "code", "instance", "requestId"],
	additionalProperties: false,
	properties: {
		type: { ...text, format: "uri-reference" },
		title: text,
		status: { type: "integer" },
		code: { ...text, description: "Stable; what programs should look at" },
		detail: text,
		instance: { ...text, format: "uri-reference" },
		requestId: text,
		errors: {
			type: "array",
			items: {
				type: "object",
				required: ["field", "code", "message"],
				additionalProperties: false,
				properties: { field: text, code: text, message: text }
			}
		}
	}
};

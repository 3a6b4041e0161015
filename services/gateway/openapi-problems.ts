/** How an OpenAPI document tells in which ways a route may fail. */
import { commonFailures, type FailureContract, type ServiceContract } from "../../lib/contract.ts";
import type { Json } from "./openapi-schemas.ts";
import { gateway, titleOf, type GatewayFailure } from "./problem.ts";
import type { Route } from "./routes.ts";

/** Codes that a route may answer with, whatever its action does. */
function ownCodes(
	{ contract, rest, sources }: Route,
	hasBody: boolean
): (GatewayFailure | keyof typeof commonFailures)[] {
	const required = rest.required ?? [];
	return [
		"UNAUTHENTICATED",
		...(contract.access === "staff" || contract.access === "admin" ? (["FORBIDDEN"] as const) : []),
		...(sources.size > 0 ? (["VALIDATION_ERROR", "MALFORMED_URL"] as const) : []),
		...(required.some(name => name !== "if-match") ? (["HEADER_REQUIRED"] as const) : []),
		...(required.includes("if-match")
			? (["PRECONDITION_REQUIRED", "VERSION_MISMATCH"] as const)
			: []),
		...(hasBody ? (["MALFORMED_BODY", "BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"] as const) : []),
		"NOT_ACCEPTABLE",
		"RATE_LIMITED",
		"INTERNAL",
		...ALWAYS_503
	];
}

/** The problem responses of a route, by status. */
export function problems(
	route: Route,
	contracts: readonly ServiceContract[],
	hasBody: boolean
): Json {
	const own = contracts.find(({ name }) => name === route.service)!.failures;
	const table: Record<string, FailureContract> = { ...commonFailures, ...gateway.failures, ...own };
	const codes = new Set<string>([...(route.contract.failures ?? []), ...ownCodes(route, hasBody)]);
	const byStatus = Map.groupBy(codes, code => table[code]!.status);
	return Object.fromEntries(
		[...byStatus].map(([status, found]) => [
			status,
			SHARED.has(status) && (found.length === 1 || isEqual(found, ALWAYS_503))
				? { $ref: `#/components/responses/${found[0]}` }
				: problemResponse(found, table)
		])
	);
}

const problemResponse = (
	codes: readonly string[],
	table: Record<string, FailureContract>
): Json => ({
	description: codes.map(code => `\`${code}\`: ${table[code]!.message}`).join("\n\n"),
	...(codes.some(code => [429, 503].includes(table[code]!.status))
		? {
				headers: {
					"Retry-After": { description: "Seconds", schema: { type: "integer" } }
				}
			}
		: {}),
	content: {
		"application/problem+json": {
			schema: { $ref: "#/components/schemas/Problem" },
			examples: Object.fromEntries(
				codes.map(code => [code, { value: exampleOf(code, table[code]!) }])
			)
		}
	}
});

const exampleOf = (code: string, { status, message }: FailureContract): Json => ({
	type: `/errors/${code}`,
	title: titleOf(code),
	status,
	code,
	...(code === "INTERNAL" ? {} : { detail: message }),
	instance: "/api/v1/…",
	requestId: "0199c0de-0000-7000-8000-000000000000",
	...(code === "VALIDATION_ERROR"
		? { errors: [{ field: "email", code: "required", message: "is required" }] }
		: {})
});

/** Statuses whose problem is the same on (nearly) every route. */
const SHARED = new Set([401, 406, 413, 415, 429, 500, 503]);

/** Two that every route may answer with the same status; the first gives its name to the response that tells of both. */
const ALWAYS_503 = ["UNAVAILABLE", "OVERLOADED"] as const;

const isEqual = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();

/** `components.responses`. */
export const sharedResponses = (): Json => {
	const table: Record<string, FailureContract> = { ...commonFailures, ...gateway.failures };
	return Object.fromEntries(
		Object.entries(table)
			.filter(([code, { status }]) => SHARED.has(status) && code !== "OVERLOADED")
			.map(([code]) => [code, problemResponse(code === "UNAVAILABLE" ? ALWAYS_503 : [code], table)])
	);
};

const text = { type: "string" };
export const PROBLEM_SCHEMA = {
	title: "Problem",
	description: "RFC 9457",
	type: "object",
	required: ["type", "title", "status", "code", "instance", "requestId"],
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
				properties: { field: text, code: text, message: text }
			}
		}
	}
};

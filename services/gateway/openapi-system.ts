/** The gateway's own pages in the OpenAPI document. */
import { problemRefs } from "./openapi-problems.ts";
import type { Json } from "./openapi-schemas.ts";

export const SYSTEM = "System";
const text = { type: "string" };
const Status = { type: "object", required: ["status"], properties: { status: text } };

const page = (operationId: string, summary: string, responses: Json, parameters?: Json[]) => ({
	get: {
		operationId,
		tags: [SYSTEM],
		summary,
		security: [],
		...(parameters ? { parameters } : {}),
		responses: { ...responses, ...problemRefs() }
	}
});

const json = (description: string, schema: Json, example: unknown, headers?: Json): Json => ({
	description,
	...(headers ? { headers } : {}),
	content: { "application/json": { schema, example } }
});

/** A page that, other than a probe, may be asked too often. */
const limited = (operationId: string, summary: string, responses: Json, parameters?: Json[]) =>
	page(operationId, summary, { ...responses, ...problemRefs("RATE_LIMITED") }, parameters);

const state = (operationId: string, summary: string, yes: string, no: string) =>
	page(operationId, summary, {
		200: json("Yes", Status, { status: yes }),
		503: json("No", Status, { status: no })
	});

function groups(operationId: string, summary: string) {
	const schema = {
		type: "object",
		required: ["status", "groups"],
		properties: {
			status: { enum: ["up", "down"] },
			groups: { type: "object", additionalProperties: { enum: ["up", "down"] } }
		}
	};
	return limited(operationId, summary, {
		200: json("All of them", schema, { status: "up", groups: { orders: "up" } }),
		503: json("Not all of them", schema, { status: "down", groups: { orders: "down" } })
	});
}

const headers = { ETag: { schema: text } };
const unchanged = { 304: { description: "As `If-None-Match` has it", headers } };

const document = (operationId: string, summary: string, example: Json) =>
	limited(operationId, summary, {
		200: json("The document", { type: "object" }, example, headers),
		...unchanged
	});

const explanation = {
	type: "object",
	required: ["code", "status", "title", "messages", "routes"],
	additionalProperties: false,
	properties: {
		code: text,
		status: { type: "integer" },
		title: text,
		messages: { type: "array", items: text },
		routes: { type: "array", items: text }
	}
};
const explained = {
	code: "CART_EMPTY",
	status: 409,
	title: "Cart empty",
	messages: ["The cart is empty."],
	routes: ["POST /api/v1/checkout"]
};

/** By path. */
export const systemPaths = (): Record<string, Json> => ({
	"/health": state("gateway.health", "Does the process run?", "up", "down"),
	"/ready": state("gateway.ready", "Can this gateway take requests?", "ready", "not_ready"),
	"/health/db": groups("gateway.healthDb", "Does each group's database answer?"),
	"/health/events": groups("gateway.healthEvents", "Is each group connected to the event stream?"),
	"/openapi.json": document("gateway.openApi", "This document", { openapi: "3.1.0" }),
	"/asyncapi.json": document("gateway.asyncApi", "The events, as an AsyncAPI 3.0 document", {
		asyncapi: "3.0.0"
	}),
	"/errors": limited("gateway.errors", "Every code that an error may have", {
		200: withPage(
			json(
				"The codes",
				{
					type: "object",
					required: ["items"],
					additionalProperties: false,
					properties: { items: { type: "array", items: explanation } }
				},
				{ items: [explained] },
				headers
			)
		),
		...unchanged
	}),
	"/errors/{code}": limited(
		"gateway.error",
		"What the code of an error means; its problem documents name this address as `type`",
		{
			200: withPage(json("The code", explanation, explained, headers)),
			...unchanged,
			...problemRefs("MALFORMED_URL", "NOT_FOUND")
		},
		[{ name: "code", in: "path", required: true, schema: text, example: "CART_EMPTY" }]
	)
});

/** For a browser the same is a page. */
const withPage = (response: Json): Json => ({
	...response,
	content: { ...(response["content"] as Json), "text/html": { schema: text } }
});

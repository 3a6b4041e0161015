/** An action's result as an HTTP answer, as its route says. */
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { RestContract } from "../../lib/contract.ts";
import { accepts, untagged } from "./compression.ts";
import { cookieText } from "./cookies.ts";
import type { Route } from "./routes.ts";

/** The headers of a request that decide whether the client has the answer already. */
export type Condition = Pick<IncomingHttpHeaders, "if-none-match" | "accept-encoding">;

/** An answer, ready to be written. */
export interface Answer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: string | Buffer;
	/** Writes the rest by itself, after the headers were sent. */
	readonly stream?: (res: ServerResponse) => void;
}

/** An answer in JSON. */
export const json = (
	status: number,
	value: unknown,
	headers: Record<string, string> = {}
): Answer => ({
	status,
	headers: { "Content-Type": "application/json; charset=utf-8", ...headers },
	body: JSON.stringify(value)
});

/** Something that stays the same as long as the process runs, with a strong ETag. */
export const fixed = (
	type: string,
	body: string | Buffer,
	headers: Record<string, string>
): Answer => ({
	status: 200,
	headers: {
		"Content-Type": type,
		ETag: `"${createHash("sha256").update(body).digest("base64url")}"`,
		...headers
	},
	body
});

/** The answer, or 304 where the client has it already. */
export const conditional = (answer: Answer, condition: Condition): Answer => {
	const { "Content-Type": _, ...headers } = answer.headers;
	const known = knownTag(answer.headers["ETag"]!, condition);
	return known === undefined ? answer : { status: 304, headers: { ...headers, ETag: known } };
};

/**
 * The answer to a call that succeeded. There is a condition where it was a GET or HEAD; `isSecure` where
 * clients reach us by https.
 */
export function answerOf(
	route: Route,
	result: unknown,
	condition: Condition = {},
	isSecure = false
): Answer {
	const { rest } = route;
	const etag = rest.etag && result !== null ? etagOf(rest.etag, result) : undefined;
	const headers: Record<string, string> = {
		"Cache-Control": cacheControl(route),
		...(etag ? { ETag: etag } : {}),
		...(rest.attachment
			? // Whoever joins the cluster chooses it.
				{
					"Content-Disposition": `attachment; filename="${rest.attachment.replaceAll(/[^\w.-]/g, "_")}"`
				}
			: {})
	};
	for (const [header, field] of Object.entries(rest.responseHeaders ?? {})) {
		const value = fieldOf(result, field);
		if (typeof value === "string" || typeof value === "number") headers[header] = String(value);
	}
	const known = etag && knownTag(etag, condition);
	if (known) return { status: 304, headers: { ...headers, ETag: known } };
	if (rest.location)
		headers["Location"] = rest.location.replaceAll(/\{([\w.]+)\}/g, (_, field: string) =>
			encodeURIComponent(String(fieldOf(result, field)))
		);
	const cookie = rest.setCookie && fieldOf(result, rest.setCookie.field);
	if (typeof cookie === "string")
		headers["Set-Cookie"] = cookieText(rest.setCookie!, cookie, isSecure);
	const target = rest.redirect && fieldOf(result, rest.redirect);
	if (typeof target === "string") return { status: 303, headers: { ...headers, Location: target } };
	if (result === null || result === undefined) return { status: 204, headers };
	return json(statusOf(rest, result), bodyOf(rest, result), headers);
}

function bodyOf({ setCookie }: RestContract, result: unknown): unknown {
	if (!setCookie) return result;
	const { [setCookie.field]: _, ...body } = result as Record<string, unknown>;
	return body;
}

function statusOf({ status = 200 }: RestContract, result: unknown): number {
	if (typeof status === "number") return status;
	return status.map[String(fieldOf(result, status.field))] ?? status.otherwise;
}

const etagOf = (fields: readonly string[], result: unknown): string =>
	`"${fields.map(field => encodeURIComponent(String(fieldOf(result, field)))).join("-")}"`;

/**
 * The tag by which the client has what `etag` stands for (If-None-Match, RFC 9110, 13.1.2: a list or
 * `*`; weak comparison). What it has in another coding counts as long as it still reads that one.
 */
export function knownTag(etag: string, condition: Condition): string | undefined {
	const header = condition["if-none-match"];
	if (header === undefined) return undefined;
	for (const part of header.split(",")) {
		const candidate = part.trim().replace(/^W\//, "");
		if (candidate === "*" || candidate === etag) return etag;
		const { etag: plain, coding } = untagged(candidate);
		if (plain === etag && coding && accepts(condition["accept-encoding"], coding)) return candidate;
	}
	return undefined;
}

/**
 * The versions that `If-Match` names by tags of ours (RFC 9110, 13.1.1); undefined for `*`, which any version
 * fits. A weak tag, or one that nobody made here, fits none.
 */
export function versionsOf(ifMatch: string): number[] | undefined {
	const tags = ifMatch.split(",").map(tag => tag.trim());
	if (tags.includes("*")) return undefined;
	return tags
		.map(tag => /^"(0|[1-9]\d{0,14})(?:-[^"+]*)?"$/.exec(untagged(tag).etag)?.[1])
		.filter(version => version !== undefined)
		.map(Number);
}

/** What depends on who asks, or carries tokens, is never kept; the rest must be asked for again each time. */
const cacheControl = ({ contract, service, rest }: Route): string =>
	contract.access !== "public" || service === "auth" || isSecret(rest)
		? "no-store"
		: "private, no-cache";

const isSecret = ({ idempotencyKey, redirect, setCookie }: RestContract): boolean =>
	idempotencyKey === "refused" || redirect !== undefined || setCookie !== undefined;

/** `total.amount` of a result. */
const fieldOf = (result: unknown, path: string): unknown =>
	path
		.split(".")
		.reduce<unknown>(
			(value, key) => (value as Record<string, unknown> | null | undefined)?.[key],
			result
		);

/**
 * Reads a JSON body within limits. Our own few lines, since body-parser reads an oversized body to
 * its end before it answers and leaves depth, `__proto__` and bad UTF-8 to others.
 */
import type { IncomingMessage } from "node:http";
import { MIMEType } from "node:util";
import { commonFailure, failure } from "../../lib/failure.ts";
import { gateway } from "./problem.ts";

export const MAX_BYTES = 100_000;
/** So much more is read and thrown away, so that a client that still sends can hear the answer. */
const MAX_DISCARDED = 1_000_000;
const MAX_DEPTH = 32;

/**
 * The request's body; an empty object where there is none. Throws UNSUPPORTED_MEDIA_TYPE,
 * BODY_TOO_LARGE, MALFORMED_BODY, or VALIDATION_ERROR where it is JSON but no object.
 */
export async function readBody(req: IncomingMessage): Promise<Record<string, unknown>> {
	const length = Number(req.headers["content-length"] ?? 0);
	if (length === 0 && req.headers["transfer-encoding"] === undefined) return {};
	requireJson(req.headers["content-type"], req.headers["content-encoding"]);
	if (length > MAX_DISCARDED) throw failure(gateway, "BODY_TOO_LARGE");
	return parseBody(await readBytes(req));
}

function requireJson(type: string | undefined, encoding = "identity"): void {
	if (isJson(type) && encoding.toLowerCase() === "identity") return;
	throw failure(gateway, "UNSUPPORTED_MEDIA_TYPE");
}

function isJson(type = ""): boolean {
	try {
		const { essence, params } = new MIMEType(type);
		return essence === "application/json" && /^utf-?8$/i.test(params.get("charset") ?? "utf-8");
	} catch {
		return false;
	}
}

async function readBytes(req: IncomingMessage): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let size = 0;
	// Leaving the loop must not destroy the request: its socket is needed for the answer.
	for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
		size += chunk.length;
		if (size <= MAX_BYTES) chunks.push(chunk);
		if (size > MAX_DISCARDED) break;
	}
	if (size > MAX_BYTES) throw failure(gateway, "BODY_TOO_LARGE");
	return Buffer.concat(chunks);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Parses the bytes of a body; see readBody. */
export function parseBody(bytes: Uint8Array): Record<string, unknown> {
	if (bytes.length === 0) return {};
	let value: unknown;
	try {
		value = JSON.parse(utf8.decode(bytes));
	} catch {
		throw failure(gateway, "MALFORMED_BODY");
	}
	refuseTraps(value);
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw commonFailure("VALIDATION_ERROR", {
			errors: [{ field: "", code: "type", message: "must be object" }]
		});
	return value as Record<string, unknown>;
}

/** Refuses what is too deep, and keys that would reach a prototype when copied. No recursion: depth is the client's. */
function refuseTraps(root: unknown): void {
	const open: [value: unknown, depth: number][] = [[root, 1]];
	for (let next = open.pop(); next; next = open.pop()) {
		const [value, depth] = next;
		if (typeof value !== "object" || value === null) continue;
		if (depth > MAX_DEPTH)
			throw failure(gateway, "MALFORMED_BODY", {
				detail: `The body is nested deeper than ${MAX_DEPTH} levels.`
			});
		for (const [key, inner] of Object.entries(value)) {
			if (key === "__proto__" || (key === "constructor" && hasOwn(inner, "prototype")))
				throw failure(gateway, "MALFORMED_BODY", {
					detail: "The body has a key that is never allowed."
				});
			open.push([inner, depth + 1]);
		}
	}
}

const hasOwn = (value: unknown, key: string): boolean =>
	typeof value === "object" && value !== null && Object.hasOwn(value, key);

import { createHash, randomUUID } from "node:crypto";

/** A UUIDv7 (RFC 9562): sorts by the time it was made, to the millisecond. */
export function uuidv7(now: number = Date.now()): string {
	const time = now.toString(16).padStart(12, "0");
	// Of a random UUID all but the time and version, since Node draws those in advance.
	return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** A UUIDv8 (RFC 9562) that follows from a name, which cannot be told from it. */
export function uuidv8(name: string): string {
	const bytes = createHash("sha256").update(name).digest();
	bytes[6] = (bytes[6]! & 0x0f) | 0x80;
	bytes[8] = (bytes[8]! & 0x3f) | 0x80;
	const hex = bytes.toString("hex");
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether this is a UUID as we write it: in lower case, with hyphens. */
export const isUuid = (value: unknown): value is string =>
	typeof value === "string" && UUID.test(value);

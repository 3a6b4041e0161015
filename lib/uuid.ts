import { randomUUID } from "node:crypto";

/** A UUIDv7 (RFC 9562): sorts by the time it was made, to the millisecond. */
export function uuidv7(now: number = Date.now()): string {
	const time = now.toString(16).padStart(12, "0");
	// Of a random UUID all but the time and version, since Node draws those in advance.
	return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/**
 * Opaque cursors of lists: what the last item of a page was sorted by. Each is bound to its list and
 * filters. It is not signed: whoever makes one up can begin a page somewhere else, and see nothing that
 * the list would not show anyway.
 */
import { createHash } from "node:crypto";

/** A list, as it was asked for. */
export interface Listing {
	/** The action, as in `orders.list`. */
	readonly list: string;
	/** All that decides which items it has, and in which order. JSON. */
	readonly filters: readonly unknown[];
}

export const encodeCursor = (listing: Listing, keys: unknown): string =>
	toText([nameOf(listing), keys]);

/**
 * What `encodeCursor` was given, to be validated by the caller: a forged key must not become the
 * database's error. Undefined where the text is none of ours, or of another list.
 */
export function decodeCursor(listing: Listing, cursor: string): unknown {
	const [name, keys] = partsOf(cursor);
	return name === nameOf(listing) ? keys : undefined;
}

/** Whether a key of a cursor is a time as we write it: in UTC, with milliseconds. */
export const isTimestamp = (key: unknown): key is string =>
	typeof key === "string" &&
	/^\d{4}-/.test(key) &&
	!Number.isNaN(Date.parse(key)) &&
	new Date(key).toISOString() === key;

const toText = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function partsOf(cursor: string): readonly unknown[] {
	const bytes = Buffer.from(cursor, "base64url");
	// Node skips what is no base64url: of each page there shall be one cursor.
	if (bytes.toString("base64url") !== cursor) return [];
	try {
		const value: unknown = JSON.parse(bytes.toString("utf8"));
		return Array.isArray(value) && value.length === 2 ? value : [];
	} catch {
		return [];
	}
}

const nameOf = ({ list, filters }: Listing): string =>
	createHash("sha256")
		.update(JSON.stringify([list, filters]))
		.digest("base64url")
		.slice(0, 12);

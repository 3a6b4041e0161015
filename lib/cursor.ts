/**
 * Opaque cursors of lists: what the last item of a page was sorted by. Each is bound to its list and
 * filters. It is not signed: whoever makes one up can begin a page somewhere else, and see nothing that
 * the list would not show anyway.
 */
import { createHash } from "node:crypto";
import type { FailureContract, ServiceContract } from "./contract.ts";
import { failure } from "./failure.ts";

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

/** A contract of lists whose cursors may be refused. */
type Paged = ServiceContract & { readonly failures: { readonly INVALID_CURSOR: FailureContract } };

/**
 * The key behind which a page begins; undefined for the first page. Throws INVALID_CURSOR of the contract
 * for what no page of this list gave.
 */
export function keyBehind<K>(
	contract: Paged,
	listing: Listing,
	cursor: string | undefined,
	isKey: (key: unknown) => key is K
): K | undefined {
	if (cursor === undefined) return undefined;
	const key = decodeCursor(listing, cursor);
	if (!isKey(key)) throw failure(contract, "INVALID_CURSOR");
	return key;
}

/** A page of what was found by asking for one more than `limit`: whether that one is there tells of another page. */
export function pageOf<T>(
	listing: Listing,
	found: readonly T[],
	limit: number,
	keyOf: (last: T) => unknown
): { items: T[]; nextCursor: string | null } {
	const items = found.slice(0, limit);
	const more = found.length > limit;
	return { items, nextCursor: more ? encodeCursor(listing, keyOf(items.at(-1)!)) : null };
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

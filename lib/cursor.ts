/** Opaque cursors of lists: what the last item of a page was sorted by. */

export const encodeCursor = (keys: unknown): string =>
	Buffer.from(JSON.stringify(keys)).toString("base64url");

/** What `encodeCursor` was given, to be validated by the caller; undefined where the text is none of ours. */
export function decodeCursor(cursor: string): unknown {
	try {
		return JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
	} catch {
		return undefined;
	}
}

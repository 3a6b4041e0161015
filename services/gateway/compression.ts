/** Answers in fewer bytes, for those who can read them. */
import type { ServerResponse } from "node:http";
import compression from "compression";

export const CODINGS = ["br", "gzip"] as const;
export type Coding = (typeof CODINGS)[number];

/** Below so many bytes there is nothing to be gained. */
export const MIN_BYTES = 1_024;

/** Not server-sent events: each has to leave at once. */
const COMPRESSIBLE = /^(?:application\/(?:[\w.+-]+\+)?json|text\/(?!event-stream)|image\/svg\+xml)/;

/** Whether answers of this type are compressed where they are long enough and the client reads it. */
export const isCompressible = (contentType = ""): boolean => COMPRESSIBLE.test(contentType);

/** Of what `Accept-Encoding` allows (RFC 9110, 12.5.3) the one that we like best; undefined for none. */
export function codingOf(acceptEncoding: string | undefined): Coding | undefined {
	if (!acceptEncoding) return undefined;
	const accepted = qualities(acceptEncoding);
	const quality = (coding: string) => accepted.get(coding) ?? accepted.get("*") ?? 0;
	const [best] = CODINGS.filter(coding => quality(coding) > 0).toSorted(
		(a, b) => quality(b) - quality(a)
	);
	// Whoever names it, and likes it better than the rest, is not given any other.
	return best && (accepted.get("identity") ?? 0) > quality(best) ? undefined : best;
}

/** Whether `Accept-Encoding` allows this one. */
export const accepts = (acceptEncoding: string | undefined, coding: string): boolean => {
	const accepted = qualities(acceptEncoding ?? "");
	return (accepted.get(coding) ?? accepted.get("*") ?? 0) > 0;
};

const qualities = (header: string): Map<string, number> =>
	new Map(
		header.split(",").map(part => {
			const [coding = "", ...parameters] = part.split(";").map(each => each.trim().toLowerCase());
			const quality = parameters.find(each => each.startsWith("q="))?.slice(2);
			return [coding, quality === undefined ? 1 : Number(quality) || 0];
		})
	);

const compress = compression({ threshold: 0, filter: () => true });

/**
 * Has the answer compressed that is written next, whose headers are set. The same headers come of it
 * for HEAD, which the package would leave alone: `method` is no part of what it is told.
 */
export const writeIn = (coding: Coding, res: ServerResponse): void => {
	const request = { method: "GET", headers: { "accept-encoding": coding } };
	compress(request as never, res as never, () => {});
};

/**
 * The strong tag of an answer in a coding: other bytes, another tag (RFC 9110, 8.8.3.3). A plus stands in no tag
 * that we make.
 */
export const taggedFor = (etag: string, coding: Coding): string =>
	`${etag.slice(0, -1)}+${coding}"`;

/** A tag as a client names it, without the coding, and the coding. */
export function untagged(etag: string): { etag: string; coding?: string } {
	const [, start, coding] = /^("[^"+]*)\+(br|gzip)"$/.exec(etag) ?? [];
	return start === undefined ? { etag } : { etag: `${start}"`, coding: coding! };
}

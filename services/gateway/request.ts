/** What the gateway reads from a request before anything else. */
import { uuidv7 } from "../../lib/uuid.ts";

/** The client's request id where it is harmless, else a new one: it ends in logs, traces and headers. */
export const requestIdOf = (header: string | string[] | undefined): string =>
	typeof header === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(header) ? header : uuidv7();

/** The path, without the slash at its end, and the raw query of a request target. */
export function targetOf(url: string): { path: string; query: string } {
	// A proxy may send the absolute form (RFC 9112, 3.2.2).
	const target = url.replace(/^https?:\/\/[^/?]*/i, "") || "/";
	const end = target.indexOf("?");
	const path = end < 0 ? target : target.slice(0, end);
	return { path: path.replace(/(?<=.)\/$/, ""), query: end < 0 ? "" : target.slice(end + 1) };
}

/** Whether `Accept` allows an answer of this type. */
export const accepts = (wanted: string, accept: string | undefined): boolean =>
	!accept?.trim() || qualityOf(accept, [wanted, wanted.replace(/[^/]*$/, "*"), "*/*"]) > 0;

/** Whether it is a browser that asks: only they name HTML, and JSON less gladly or not at all. */
export const prefersHtml = (accept = ""): boolean =>
	qualityOf(accept, ["text/html"]) > qualityOf(accept, ["application/json"]);

/** How gladly the first of these ranges is taken that `Accept` names; 0 where it names none. */
function qualityOf(accept: string, ranges: readonly string[]): number {
	const qualities = new Map(
		accept.split(",").map(range => {
			const [type, ...parameters] = range.split(";").map(part => part.trim().toLowerCase());
			const quality = parameters.find(parameter => parameter.startsWith("q="))?.slice(2);
			return [type!, quality === undefined ? 1 : Number(quality)];
		})
	);
	// Of several that fit, the most specific one counts.
	const best = ranges.find(range => qualities.has(range));
	return best === undefined ? 0 : qualities.get(best)!;
}

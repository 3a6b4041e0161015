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

/** Whether `Accept` allows JSON. Of several ranges that fit, the most specific one counts. */
export function acceptsJson(accept: string | undefined): boolean {
	if (!accept?.trim()) return true;
	const qualities = new Map(
		accept.split(",").map(range => {
			const [type, ...parameters] = range.split(";").map(part => part.trim().toLowerCase());
			const quality = parameters.find(parameter => parameter.startsWith("q="))?.slice(2);
			return [type!, quality === undefined ? 1 : Number(quality)];
		})
	);
	const best = ["application/json", "application/*", "*/*"].find(type => qualities.has(type));
	return best !== undefined && qualities.get(best)! > 0;
}

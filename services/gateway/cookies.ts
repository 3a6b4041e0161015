/** Cookies (RFC 6265bis): what a browser brings back, so that it is known to be the one of before. */
import type { CookieContract } from "../../lib/contract.ts";

/**
 * What the cookie is called on the wire. A name with `__Host-` is the word of a browser that this very
 * host has set it, by https: neither a neighbouring host nor somebody on the line can put one in its place.
 */
export const cookieName = (name: string, isSecure: boolean): string =>
	isSecure ? `__Host-${name}` : name;

/** The value of `Set-Cookie`. */
export const cookieText = (
	{ name, maxAge }: CookieContract,
	value: string,
	isSecure: boolean
): string =>
	[
		`${cookieName(name, isSecure)}=${encodeURIComponent(value)}`,
		`Max-Age=${maxAge}`,
		// `__Host-` allows no other.
		"Path=/",
		"HttpOnly",
		"SameSite=Lax",
		...(isSecure ? ["Secure"] : [])
	].join("; ");

/** A cookie of a request; undefined where it is not there, or twice: who has put in the other one? */
export function cookieOf(headers: readonly string[] = [], name: string): string | undefined {
	const found = headers
		.flatMap(header => header.split(";"))
		.map(pair => pair.trim())
		.filter(pair => pair.startsWith(`${name}=`))
		.map(pair => pair.slice(name.length + 1));
	if (found.length !== 1) return undefined;
	try {
		return decodeURIComponent(found[0]!);
	} catch {
		return undefined;
	}
}

/** Where a request comes from: the address of its socket, or what a proxy of ours says of it. */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/**
 * The client's address. Each of `trustedProxies` proxies of ours has appended to `X-Forwarded-For`
 * who had connected to it, so the client is the last entry but that number; what stands before was
 * written by the client itself and is not believed.
 */
export function addressOf(
	{ socket, headers }: Pick<IncomingMessage, "socket" | "headers">,
	trustedProxies: number
): string {
	const own = unmapped(socket.remoteAddress ?? "");
	const forwarded = headers["x-forwarded-for"];
	if (trustedProxies === 0 || forwarded === undefined) return own;
	const hops = String(forwarded).split(",");
	// Fewer entries than proxies: it came past some of them, and the first was still written by one of ours.
	return addressIn(hops.at(-trustedProxies) ?? hops[0]!) ?? own;
}

/** The address in an entry of X-Forwarded-For, which may have a port. */
function addressIn(entry: string): string | undefined {
	const text = entry.trim();
	const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, "$1");
	return isIP(bare) ? unmapped(bare) : undefined;
}

/**
 * What one client is counted by: an IPv4 address, or the /64 of an IPv6 address, since anybody with
 * IPv6 has at least that many addresses.
 */
export function networkOf(address: string): string {
	if (isIP(address) !== 6) return address;
	return `${groupsOf(address).slice(0, 4).join(":")}::/64`;
}

/** `::ffff:10.0.0.1` and `::ffff:a00:1` are an IPv4 address in another dress. */
function unmapped(address: string): string {
	if (!address.includes(":") || isIP(address) !== 6) return address;
	const groups = groupsOf(address);
	if (groups.slice(0, 6).join(":") !== "0:0:0:0:0:ffff") return address;
	return groups
		.slice(6)
		.flatMap(group => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255])
		.join(".");
}

/** The eight groups of an IPv6 address, without leading zeros and in lower case. */
function groupsOf(address: string): string[] {
	// URL brings any form into one: IPv4 at its end, zeros, capitals. It knows no zone.
	const { hostname } = new URL(`http://[${address.replace(/%.*$/, "")}]`);
	const [head = "", tail] = hostname.slice(1, -1).split("::");
	const before = head.split(":").filter(Boolean);
	const after = (tail ?? "").split(":").filter(Boolean);
	return [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
}

/** Whom passkeys are for (WebAuthn's relying party): a domain, and the origins in it whose pages may ask for them. */
import { isIP } from "node:net";
import { publicUrl, type Config } from "../../lib/config.ts";

export interface RelyingParty {
	readonly id: string;
	readonly origins: readonly string[];
}

type Settings = Pick<Config, "PUBLIC_URL" | "PASSKEY_DOMAIN" | "CORS_ORIGINS">;

/** Addresses of this machine, as they stand in a URL. */
const LOOPBACK = /^(?:127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])$/;

/**
 * The relying party of a gateway at this port; undefined where browsers would have none, since it is
 * reached by an address, or without HTTPS. Throws where PASSKEY_DOMAIN does not belong to PUBLIC_URL.
 */
export function relyingPartyOf(settings: Settings, PORT: number): RelyingParty | undefined {
	const { PASSKEY_DOMAIN, CORS_ORIGINS } = settings;
	const url = new URL(publicUrl({ ...settings, PORT }));
	// The name of the same place: passkeys are not for addresses.
	if (LOOPBACK.test(url.hostname)) url.hostname = "localhost";
	const id = PASSKEY_DOMAIN ?? url.hostname;
	if (!isWithin(url, id))
		throw new Error("PASSKEY_DOMAIN is neither the host of PUBLIC_URL nor a domain that it is in.");
	if (isIP(id.replaceAll(/[[\]]/g, ""))) return undefined;
	const pages = [
		url,
		...CORS_ORIGINS.split(",")
			.filter(Boolean)
			.map(page => new URL(page))
	];
	const origins = pages
		.filter(page => isSecure(page) && isWithin(page, id))
		.map(page => page.origin);
	return origins.length > 0 ? { id, origins: [...new Set(origins)] } : undefined;
}

const isWithin = ({ hostname }: URL, domain: string): boolean =>
	hostname === domain || hostname.endsWith(`.${domain}`);

/** Where browsers let a page use passkeys. */
const isSecure = (page: URL): boolean => page.protocol === "https:" || isWithin(page, "localhost");

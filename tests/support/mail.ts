/** The mails that a system without a mail server keeps as files. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** All mails to an address, the oldest first. */
export const mailsTo = (dataDir: string, address: string): string[] =>
	readdirSync(join(dataDir, "mail"))
		// One that is being written has another ending.
		.filter(file => file.endsWith(".eml"))
		.sort()
		.map(file => readFileSync(join(dataDir, "mail", file), "utf8"))
		.filter(mail => mail.includes(`To: ${address}`));

/** The secrets of the links to a page that an address was sent, the oldest first. */
export const linksTo = (page: string, dataDir: string, address: string): string[] =>
	mailsTo(dataDir, address)
		// Quoted-printable breaks long lines, and writes `=` otherwise.
		.map(mail => mail.replaceAll("=\r\n", "").replaceAll("=3D", "="))
		.map(mail => new RegExp(`/${page}#token=([A-Za-z0-9_-]{43})`).exec(mail)?.[1])
		.filter(token => token !== undefined);

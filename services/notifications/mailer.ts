/** Hands mails to the mail server, or to a folder where none is configured. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import { createTransport, type SendMailOptions } from "nodemailer";
import type { Config } from "../../lib/config.ts";
import type { Message } from "./notifications.store.ts";

/** A provider's answer. What is rejected would be rejected again; anything less definite is thrown. */
export type Delivery =
	{ readonly status: "accepted" } | { readonly status: "rejected"; readonly reason: string };

/** A message as it is sent. */
export type Mail = Omit<Message, "tokenId">;

export interface Mailer {
	send(message: Mail): Promise<Delivery>;
	close(): void;
}

const CONNECT_MS = 5_000;
const SILENCE_MS = 10_000;
/** All of one attempt. Less than the lease of a job, so that two attempts never overlap. */
const ATTEMPT_MS = 20_000;

/** By SMTP where SMTP_URL is set; else each mail becomes a file in `<DATA_DIR>/mail`. */
export const createMailer = (
	config: Pick<Config, "SMTP_URL" | "MAIL_FROM" | "DATA_DIR">,
	logger: Pick<ServiceBroker["logger"], "info">
): Mailer =>
	config.SMTP_URL
		? smtpMailer(config.SMTP_URL, config.MAIL_FROM)
		: fileMailer(join(config.DATA_DIR, "mail"), config.MAIL_FROM, logger);

function smtpMailer(url: string, from: string): Mailer {
	const transport = createTransport({
		url,
		pool: true,
		maxConnections: 5,
		// Another attempt is ours to make: it is counted and it survives a restart.
		maxRequeues: 0,
		dnsTimeout: CONNECT_MS,
		connectionTimeout: CONNECT_MS,
		greetingTimeout: SILENCE_MS,
		socketTimeout: SILENCE_MS
	});
	return {
		async send(message) {
			try {
				await transport.sendMail({
					...mailOf(message, from),
					signal: AbortSignal.timeout(ATTEMPT_MS)
				});
				return { status: "accepted" };
			} catch (error) {
				if (isDefinite(error as SmtpError))
					return { status: "rejected", reason: (error as Error).message };
				throw error;
			}
		},
		close: () => transport.close()
	};
}

interface SmtpError extends Error {
	readonly code?: string;
	readonly responseCode?: number;
	/** The command that was refused; `API` where the mail was not even offered to the server. */
	readonly command?: string;
}

/**
 * Whether this mail will never be taken (RFC 5321, 4.2.1): the recipient or the content was refused
 * for good. A refused log-in or sender is our own mistake, which may be mended before the next try.
 */
function isDefinite({ code, responseCode = 0, command = "" }: SmtpError): boolean {
	if (code !== "EENVELOPE" && code !== "EMESSAGE") return false;
	if (command === "API") return true;
	// 503 speaks of the session, not of the mail.
	const forGood = responseCode >= 500 && responseCode <= 599 && responseCode !== 503;
	return forGood && ["RCPT TO", "DATA"].includes(command);
}

function fileMailer(
	folder: string,
	from: string,
	logger: Pick<ServiceBroker["logger"], "info">
): Mailer {
	const transport = createTransport({ streamTransport: true, buffer: true, newline: "windows" });
	return {
		async send(message) {
			const { message: content } = await transport.sendMail(mailOf(message, from));
			// The time is the message's own, so that a repetition writes the same file again.
			const time = message.createdAt.toISOString().replace(/[-:.]/g, "");
			const path = join(folder, `${time}-${message.kind}-${message.id}.eml`);
			await mkdir(folder, { recursive: true });
			const unfinished = `${path}.${process.pid}.tmp`;
			// It may hold what only its recipient should read.
			await writeFile(unfinished, content as Buffer, { mode: 0o600 });
			await rename(unfinished, path);
			logger.info(`Mail to ${message.recipient}: "${message.subject}" is kept in ${path}`);
			return { status: "accepted" };
		},
		close: () => transport.close()
	};
}

const mailOf = (
	{ id, recipient, subject, text, html, createdAt }: Mail,
	from: string
): SendMailOptions => ({
	// The same for every attempt: who gets the mail twice can tell.
	messageId: `<${id}@${/@([^\s<>@]+)/.exec(from)?.[1] ?? "localhost"}>`,
	date: createdAt,
	from,
	// As an object it is taken as one address, whatever is in it.
	to: { name: "", address: recipient },
	subject,
	text,
	html,
	// No answers from holiday-makers (RFC 3834).
	headers: { "Auto-Submitted": "auto-generated" },
	disableFileAccess: true,
	disableUrlAccess: true
});

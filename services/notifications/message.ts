/** What we write to people: pure text, from a fact and the one it concerns. */
import type { Money } from "../../contracts/common.ts";
import type { Events } from "../../contracts/index.ts";
import type { CancelReason } from "../../contracts/orders.ts";

type Provider = Events["user.identity-linked.v1"]["provider"];

/** What a message tells. */
export type Notice =
	| { readonly kind: "welcome" }
	| {
			readonly kind: "order-confirmed";
			readonly number: string;
			readonly items: readonly { readonly name: string; readonly quantity: number }[];
			readonly total: Money;
	  }
	| {
			readonly kind: "order-cancelled";
			readonly number: string;
			readonly reason: CancelReason;
			/** What was given back; null where nothing had been taken. */
			readonly refunded: Money | null;
	  }
	| {
			readonly kind: "order-refund-failed";
			readonly number: string;
			readonly reason: CancelReason;
	  }
	| { readonly kind: "verify-email" }
	| { readonly kind: "reset-password" }
	| { readonly kind: "password-changed"; readonly by: "change" | "reset" }
	| { readonly kind: "passkey-added" }
	| { readonly kind: "passkey-removed" }
	| { readonly kind: "two-factor-enabled" }
	| { readonly kind: "two-factor-disabled" }
	| { readonly kind: "identity-linked"; readonly provider: Provider }
	| { readonly kind: "identity-unlinked"; readonly provider: Provider }
	| {
			readonly kind: "recovery-code-used";
			/** How many are left. */
			readonly left: number;
	  }
	| {
			readonly kind: "account-deleted";
			/** By this number we find what was done, but nobody. */
			readonly deletionId: string;
			readonly receipt: readonly {
				readonly erased: Readonly<Record<string, number>>;
				readonly kept: readonly { readonly what: string; readonly why: string }[];
			}[];
	  };

/** The page that the link of a message leads to; it is the last part of the address. */
export const LINKS: Partial<Record<Notice["kind"], string>> = {
	"verify-email": "verify-email",
	"reset-password": "reset-password"
};

/** How a person is addressed. */
export interface Addressee {
	readonly username: string;
	readonly name: string | null;
}

/** A message, ready to be sent. The subject is one line. */
export interface Content {
	readonly subject: string;
	readonly text: string;
	readonly html: string;
}

type Receipt = (Notice & { kind: "account-deleted" })["receipt"];

/** A paragraph, a list, or a link. */
type Block = string | readonly string[] | { readonly link: string };

/** Stands for the address of the link until the message is sent. No text of anybody's own holds it. */
const LINK_MARK = "\uE000link\uE000";

/** The message with its link in place. */
export const withLink = <C extends Content>(content: C, url: string): C => ({
	...content,
	text: content.text.replaceAll(LINK_MARK, url),
	html: content.html.replaceAll(LINK_MARK, escapeHtml(url))
});

const REASONS: Record<CancelReason, string> = {
	OUT_OF_STOCK: "Not everything you ordered was still in stock.",
	STOCK_TIMEOUT: "We could not set the goods aside for you in time.",
	PAYMENT_FAILED: "Your payment was declined.",
	PAYMENT_TIMEOUT: "We did not receive your payment in time.",
	RESERVATION_EXPIRED: "The time for which we could hold the goods for you has run out.",
	CUSTOMER: "It was cancelled on request."
};

/** What is linked, as people call it. */
const PROVIDERS: Record<Provider, string> = { google: "Google" };

/** What to do first where somebody else was at the account. */
const RESET = "ask for a new password at once, which signs everybody out";

/** Writes the message about `notice` to this person. */
export function compose(notice: Notice, to: Addressee): Content {
	const { subject, blocks } = tell(notice);
	const all = [TO_ANYBODY.has(notice.kind) ? "Hello," : greet(to), ...blocks, "Yours, Valence"].map(
		tidy
	);
	return { subject: oneLine(subject), text: toText(all), html: toHtml(oneLine(subject), all) };
}

const tidy = (block: Block): Block =>
	typeof block === "string" ? oneLine(block) : isLink(block) ? block : block.map(oneLine);

const isLink = (block: Block): block is { readonly link: string } =>
	typeof block === "object" && "link" in block;

function tell(notice: Notice): { subject: string; blocks: readonly Block[] } {
	switch (notice.kind) {
		case "welcome":
			return {
				subject: "Welcome to Valence",
				blocks: [
					"Your account is ready. You can sign in with your e-mail address or with your username.",
					"If it was not you who registered with this address, you need not do anything."
				]
			};
		case "order-confirmed":
			return {
				subject: `Your order ${notice.number} is confirmed`,
				blocks: [
					`Thank you for your order ${notice.number}. It is paid, and we are getting it ready for you:`,
					notice.items.map(({ name, quantity }) => `${quantity} × ${name}`),
					`Total: ${formatMoney(notice.total)}`
				]
			};
		case "order-cancelled":
			return {
				subject: `Your order ${notice.number} was cancelled`,
				blocks: [
					`Your order ${notice.number} was cancelled. ${REASONS[notice.reason]}`,
					notice.refunded
						? `We have given you back ${formatMoney(notice.refunded)}.`
						: "You have not been charged."
				]
			};
		case "order-refund-failed":
			return {
				subject: `Your order ${notice.number} was cancelled; your refund is delayed`,
				blocks: [
					`Your order ${notice.number} was cancelled. ${REASONS[notice.reason]}`,
					"We tried to give your money back, but it did not work. One of our staff will see to your refund in person; you need not do anything."
				]
			};
		case "verify-email":
			return {
				subject: "Confirm your e-mail address",
				blocks: [
					"Please confirm that this is your e-mail address. The link works once, for thirty minutes:",
					{ link: "Confirm my e-mail address" },
					"If it was not you who registered with this address, you need not do anything."
				]
			};
		case "reset-password":
			return {
				subject: "Choose a new password",
				blocks: [
					"Somebody, probably you, has asked for a new password for your account. You can choose one here; the link works once, for thirty minutes:",
					{ link: "Choose a new password" },
					"If it was not you, you need not do anything: your password stays as it is."
				]
			};
		case "password-changed":
			return {
				subject: "Your password was changed",
				blocks:
					notice.by === "reset"
						? [
								"Your password was changed by a link from a mail, and you are signed out everywhere.",
								"If it was not you, whoever did it can read your mails: secure your mailbox first, then ask for a new password here once more."
							]
						: [
								"Your password was changed, and you are signed out on all other devices.",
								`If it was not you, ${RESET}: the link comes to this address.`
							]
			};
		case "passkey-added":
			return {
				subject: "A passkey was added to your account",
				blocks: [
					"There is a new passkey that signs in to your account, without your password.",
					`If it was not you, ${RESET}, and then remove the passkey.`
				]
			};
		case "passkey-removed":
			return {
				subject: "A passkey was removed from your account",
				blocks: [
					"One of your passkeys does not sign in to your account any more.",
					`If it was not you, ${RESET}, and then see which passkeys are left.`
				]
			};
		case "two-factor-enabled":
			return {
				subject: "A second factor was turned on",
				blocks: [
					"Signing in by password now asks for a code of the authenticator that was just set up as well. An earlier authenticator does not work any more.",
					`If it was not you, ${RESET}, and then set up your own authenticator. Where you cannot sign in without a code, write to us.`
				]
			};
		case "two-factor-disabled":
			return {
				subject: "The second factor was turned off",
				blocks: [
					"Signing in by password does not ask for a code of your authenticator any more.",
					`If it was not you, ${RESET}, and then turn the second factor on again.`
				]
			};
		case "identity-linked": {
			const provider = PROVIDERS[notice.provider];
			return {
				subject: `${provider} was linked to your account`,
				blocks: [
					`Whoever signs in with the linked ${provider} account now signs in to your account as well, without your password.`,
					`If it was not you, ${RESET}, and then unlink ${provider}.`
				]
			};
		}
		case "identity-unlinked": {
			const provider = PROVIDERS[notice.provider];
			return {
				subject: `${provider} was unlinked from your account`,
				blocks: [
					`Signing in with ${provider} does not lead to your account any more.`,
					`If it was not you, ${RESET}, and then link ${provider} again.`
				]
			};
		}
		case "recovery-code-used":
			return {
				subject: "A recovery code was used",
				blocks: [
					`Somebody, probably you, has signed in with your password and a recovery code in place of your authenticator. ${tellLeft(notice.left)}`,
					`If it was not you, somebody has your password and your recovery codes: ${RESET}, and then get new recovery codes.`
				]
			};
		case "account-deleted":
			return {
				subject: "Your account was deleted",
				blocks: [
					"As you have asked, your account was deleted, and what we knew of you with it:",
					notice.receipt.flatMap(({ erased }) =>
						Object.entries(erased).map(([what, count]) => `${what}: ${count}`)
					),
					...tellKept(notice.receipt),
					"Your e-mail address and your username are free again. This is our last mail to you; this address is erased with it.",
					`The number of the deletion is ${notice.deletionId}.`
				]
			};
	}
}

const tellLeft = (left: number): string =>
	left === 0
		? "It was the last one: get new ones while you can sign in."
		: left === 1
			? "One is left."
			: `${left} are left.`;

function tellKept(receipt: Receipt): Block[] {
	const kept = receipt.flatMap(part => part.kept.map(({ what, why }) => `${what}: ${why}`));
	return kept.length > 0 ? ["This is kept, without your name on it:", kept] : [];
}

/**
 * What whoever registers with somebody else's address can have sent there at once, again and again. It
 * holds no word of theirs.
 */
const TO_ANYBODY: ReadonlySet<Notice["kind"]> = new Set([
	"welcome",
	"verify-email",
	"reset-password"
]);

/** The longest name that we greet by, in UTF-16 units; half of one would be odd. */
const MAX_NAME = 40;
const MAX_DIGITS = 2;

/** Letters of any script, with what stands above and between them in names; no dot or digit but the plain ones. */
const NAME = /^[\p{L}\p{Mn}\p{Mc}0-9 .'’_-]+$/u;
/** Letters and marks that look like dots, by Unicode's list of confusables. */
const DOTS = /[\u1427\uA4F8-\uA4FD\uA78F\u{1D16D}]/u;
/** A dot that neither ends an abbreviation nor stands between initials. */
const DOMAIN = /\.[\p{L}\p{M}0-9_-]{2}/u;

/**
 * By the name, or else the username, as far as it looks like one. Other mails reach strangers as well,
 * since an address need not be confirmed to order something: what we greet by carries no link and no
 * number to call.
 */
function greet({ name, username }: Addressee): string {
	const called = (name?.trim() || username).normalize("NFKC");
	const digits = called.match(/[0-9]/g)?.length ?? 0;
	const isName =
		called.length <= MAX_NAME &&
		digits <= MAX_DIGITS &&
		NAME.test(called) &&
		!DOTS.test(called) &&
		!DOMAIN.test(called);
	return isName ? `Hello ${called},` : "Hello,";
}

/** An amount of minor units as people write it in English: `€1,234.50`, `¥1,200`. */
export function formatMoney({ amount, currency }: Money): string {
	const format = new Intl.NumberFormat("en", { style: "currency", currency });
	return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits!);
}

// Line breaks would make headers of what follows them; overrides of direction would turn the rest of the line around.
const oneLine = (text: string): string =>
	text.replace(/[\p{Cc}\p{Co}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]+/gu, " ").trim();

const toText = (blocks: readonly Block[]): string =>
	`${blocks
		.map(block =>
			typeof block === "string"
				? block
				: isLink(block)
					? LINK_MARK
					: block.map(item => `  - ${item}`).join("\n")
		)
		.join("\n\n")}\n`;

const ENTITIES: Record<string, string> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&#39;"
};
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, char => ENTITIES[char]!);

const toHtml = (title: string, blocks: readonly Block[]): string => {
	const body = blocks.map(block =>
		typeof block === "string"
			? `<p>${escapeHtml(block)}</p>`
			: isLink(block)
				? `<p><a href="${LINK_MARK}">${escapeHtml(block.link)}</a></p>`
				: `<ul>${block.map(item => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`
	);
	return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head>
<body style="font: 16px/1.5 sans-serif; color: #222; max-width: 36em; margin: 2em auto; padding: 0 1em">
${body.join("\n")}
</body>
</html>
`;
};

import fc from "fast-check";
import type { CancelReason } from "../../contracts/orders.ts";
import { compose, formatMoney, withLink, type Notice } from "./message.ts";

const ada = { username: "ada", name: "Ada Lovelace" };
const total = { amount: 123_450, currency: "EUR" };
const confirmed = (over: Partial<Notice & { kind: "order-confirmed" }> = {}): Notice => ({
	kind: "order-confirmed",
	number: "V-100042",
	items: [
		{ name: "Desk lamp", quantity: 2 },
		{ name: "Chair", quantity: 1 }
	],
	total,
	...over
});

/** Text of the mails that whoever registers can have sent to anybody. */
const toAnybody = ["welcome", "verify-email", "reset-password"] as const;
/** How somebody of this name is greeted in mails of any other kind. */
const greeted = (name: string | null, username = "ada") =>
	/^Hello(?: (.*))?,\n\n/.exec(compose({ kind: "passkey-added" }, { username, name }).text)![1];

describe("the welcome", () => {
	it("says that the account is ready", () => {
		const { subject, text } = compose({ kind: "welcome" }, ada);
		expect(subject).toBe("Welcome to Valence");
		expect(text).toMatch(/^Hello,\n\nYour account is ready\./);
	});
});

describe("a mail to an address that need not be that of who has registered", () => {
	const anything = fc.oneof(
		fc.string({ unit: "binary", minLength: 1, maxLength: 200 }),
		fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 })
	);

	it.each(toAnybody)("holds no word of whoever has: %s", kind => {
		const plain = compose({ kind }, ada);
		fc.assert(
			fc.property(anything, anything, (name, username) => {
				expect(compose({ kind }, { name, username })).toEqual(plain);
			})
		);
	});
});

describe("a greeting", () => {
	it.each([
		"Ada Lovelace",
		"J.R.R. Tolkien",
		"Dr. Ada King",
		"Sinéad O’Connor",
		"Jean-Luc d'Arc",
		"Louis 14",
		"李小龍",
		"Ελένη Παπαδοπούλου",
		"スーパー 太郎",
		"नरेन्द्र",
		"محمد علي"
	])("is by name: %s", name => {
		expect(greeted(name)).toBe(name);
	});

	it.each([null, "", "  "])("is by username where the name is %j", name => {
		expect(greeted(name)).toBe("ada");
		expect(greeted(name, "ada.lovelace")).toBeUndefined();
	});

	it.each([
		["a link", "win at evil.example"],
		["an address of the web", "https://evil.example/x"],
		["a short domain", "t.co"],
		["a domain of another script", "évil.рф"],
		["an address of mail", "call me@evil"],
		["a domain with a full-width dot", "evil．example"],
		["a domain with a one-dot leader", "evil\u2024example"],
		["a domain with an ideographic full stop", "evil。example"],
		["a domain with a half-width full stop", "evil｡example"],
		["a domain with a letter that looks like a dot", "evil\uA4F8com"],
		["a domain with a digit that looks like a dot", "evil\u0660com"],
		["a domain with a dot and its mark", "evil.\u0301com"],
		["full-width letters", "ｈｔｔｐｓ：／／ｅｖｉｌ"],
		["a number to call", "Call 0800 123 456"],
		["a number to call, spread", "Call 0 8 0 0"],
		["a number of another script", "Call ٠٨٠٠"],
		["a number in circles", "Call ⓪⑧⓪⓪"],
		["a number in full width", "Call ０８００"],
		["keycaps", "Call 0\u20E38\u20E3"],
		["a text that goes on", "Ada, your account is locked"],
		["a long text", "you have won a prize that waits for you now"],
		["text in the other direction", "Ada \u202Emoc.live"],
		["a name with gaps that nobody sees", "e\u200Bvil"]
	])("is by nothing where the name is %s", (_, name) => {
		expect(greeted(name)).toBeUndefined();
	});

	it("carries no link, number or long text of any name", () => {
		const piece = fc.oneof(
			fc.constantFrom("evil", "com", "www", "://", "@", "0800", "８", "٠", "\uA4F8", " ", "\u0301"),
			fc.constantFrom(".", "\u2024", "\uFF0E", "\u3002", "\uFF61", "\u2025", "\u2026", "\u00B7"),
			fc.string({ unit: "binary", maxLength: 3 })
		);
		fc.assert(
			fc.property(fc.array(piece, { minLength: 1, maxLength: 20 }), pieces => {
				const called = greeted(pieces.join("")) ?? "";
				expect(called).not.toMatch(/[^\p{L}\p{M}0-9 .'’_-]|\.[\p{L}\p{M}\p{N}]{2}/u);
				expect(called.replace(/[^0-9]/g, "").length).toBeLessThanOrEqual(2);
				expect(called.length).toBeLessThanOrEqual(40);
				expect(called).toBe(called.normalize("NFKC"));
			}),
			{ numRuns: 2_000 }
		);
	});
});

describe("the confirmation of an order", () => {
	it("says what comes and what it costs", () => {
		expect(compose(confirmed(), ada)).toMatchObject({
			subject: "Your order V-100042 is confirmed",
			text: `Hello Ada Lovelace,

Thank you for your order V-100042. It is paid, and we are getting it ready for you:

  - 2 × Desk lamp
  - 1 × Chair

Total: €1,234.50

Yours, Valence
`
		});
	});

	it("escapes whatever it is told", () => {
		const hostile = `<script>alert("1")</script> & 'x'`;
		const { html, text } = compose(confirmed({ items: [{ name: hostile, quantity: 1 }] }), {
			username: "eve",
			name: "<img src=x onerror=alert(1)>"
		});
		expect(html).not.toMatch(/<script|<img/);
		expect(html).toContain(
			"1 × &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;"
		);
		expect(html).toContain("<p>Hello,</p>");
		expect(text).toContain(hostile);
	});

	it("keeps everything on its line", () => {
		const { subject, text, html } = compose(
			confirmed({
				number: "V-1\r\nBcc: all@example.com\u2028x",
				items: [{ name: "Lamp\u202Egnp\n\nTotal: 0", quantity: 1 }]
			}),
			ada
		);
		expect(subject).toBe("Your order V-1 Bcc: all@example.com x is confirmed");
		expect(html).toContain(`<title>${subject}</title>`);
		expect(text).toContain("  - 1 × Lamp gnp Total: 0\n");
	});
});

describe("the cancellation of an order", () => {
	const cancelled = (reason: CancelReason, refunded: Notice & { kind: "order-cancelled" }) =>
		compose({ ...refunded, reason }, ada);
	const unpaid: Notice & { kind: "order-cancelled" } = {
		kind: "order-cancelled",
		number: "V-7",
		reason: "CUSTOMER",
		refunded: null
	};

	it.each<[CancelReason, string]>([
		["OUT_OF_STOCK", "Not everything you ordered was still in stock."],
		["STOCK_TIMEOUT", "We could not set the goods aside for you in time."],
		["PAYMENT_FAILED", "Your payment was declined."],
		["PAYMENT_TIMEOUT", "We did not receive your payment in time."],
		["RESERVATION_EXPIRED", "The time for which we could hold the goods for you has run out."],
		["CUSTOMER", "It was cancelled on request."]
	])("says why in plain words: %s", (reason, words) => {
		const { subject, text } = cancelled(reason, unpaid);
		expect(subject).toBe("Your order V-7 was cancelled");
		expect(text).toContain(`Your order V-7 was cancelled. ${words}\n`);
	});

	it("says whether money was given back", () => {
		expect(compose(unpaid, ada).text).toContain("You have not been charged.");
		const { text } = compose({ ...unpaid, refunded: total }, ada);
		expect(text).toContain("We have given you back €1,234.50.");
		expect(text).not.toContain("not been charged");
	});

	it("says that a human sees to a refund that failed", () => {
		const { subject, text } = compose(
			{ kind: "order-refund-failed", number: "V-7", reason: "OUT_OF_STOCK" },
			ada
		);
		expect(subject).toBe("Your order V-7 was cancelled; your refund is delayed");
		expect(text).toContain("One of our staff will see to your refund in person");
		expect(text).not.toContain("We have given you back");
	});
});

describe("a mail about how one signs in", () => {
	const notices: [Notice, subject: string, what: RegExp, advice: RegExp][] = [
		[
			{ kind: "password-changed", by: "change" },
			"Your password was changed",
			/you are signed out on all other devices/,
			/ask for a new password at once, which signs everybody out: the link comes to this address/
		],
		[
			{ kind: "password-changed", by: "reset" },
			"Your password was changed",
			/by a link from a mail, and you are signed out everywhere/,
			/can read your mails: secure your mailbox first, then ask for a new password here once more/
		],
		[
			{ kind: "passkey-added" },
			"A passkey was added to your account",
			/a new passkey that signs in to your account/,
			/at once, which signs everybody out, and then remove the passkey/
		],
		[
			{ kind: "passkey-removed" },
			"A passkey was removed from your account",
			/does not sign in to your account any more/,
			/at once, which signs everybody out, and then see which passkeys are left/
		],
		[
			{ kind: "two-factor-enabled" },
			"A second factor was turned on",
			/now asks for a code/,
			/at once, which signs everybody out, and then set up your own authenticator/
		],
		[
			{ kind: "two-factor-disabled" },
			"The second factor was turned off",
			/does not ask for a code/,
			/at once, which signs everybody out, and then turn the second factor on again/
		],
		[
			{ kind: "identity-linked", provider: "google" },
			"Google was linked to your account",
			/the linked Google account now signs in to your account/,
			/at once, which signs everybody out, and then unlink Google/
		],
		[
			{ kind: "identity-unlinked", provider: "google" },
			"Google was unlinked from your account",
			/does not lead to your account any more/,
			/at once, which signs everybody out, and then link Google again/
		],
		[
			{ kind: "recovery-code-used", left: 7 },
			"A recovery code was used",
			/a recovery code in place of your authenticator\. 7 are left\./,
			/at once, which signs everybody out, and then get new recovery codes/
		]
	];

	it.each(notices)("says what it is and what to do: %j", (notice, subject, what, advice) => {
		const told = compose(notice, ada);
		expect(told.subject).toBe(subject);
		const [, said, otherwise] = told.text.split("\n\n");
		expect(said).toMatch(what);
		expect(otherwise).toMatch(/^If it was not you, /);
		expect(otherwise).toMatch(advice);
	});

	it("does not rely on the mailbox where the password was changed by it", () => {
		const { text } = compose({ kind: "password-changed", by: "reset" }, ada);
		expect(text).not.toMatch(/cannot read|at once/);
	});

	it.each([
		[1, "One is left."],
		[0, "It was the last one: get new ones while you can sign in."]
	])("says of %d recovery codes: %s", (left, words) => {
		expect(compose({ kind: "recovery-code-used", left }, ada).text).toContain(words);
	});
});

describe("the receipt of a deletion", () => {
	const deleted: Notice = {
		kind: "account-deleted",
		deletionId: "0199c0de-0000-7000-8000-000000000001",
		receipt: [
			{ erased: { addresses: 3 }, kept: [{ what: "3 orders", why: "tax law asks us to" }] },
			{ erased: { messages: 7 }, kept: [] }
		]
	};

	it("says what is gone, what is kept and why, and its number", () => {
		expect(compose(deleted, ada)).toMatchObject({
			subject: "Your account was deleted",
			text: `Hello Ada Lovelace,

As you have asked, your account was deleted, and what we knew of you with it:

  - addresses: 3
  - messages: 7

This is kept, without your name on it:

  - 3 orders: tax law asks us to

Your e-mail address and your username are free again. This is our last mail to you; this address is erased with it.

The number of the deletion is 0199c0de-0000-7000-8000-000000000001.

Yours, Valence
`
		});
	});

	it("says nothing of what is kept where nothing is", () => {
		const { text } = compose({ ...deleted, receipt: [{ erased: { messages: 7 }, kept: [] }] }, ada);
		expect(text).not.toContain("This is kept");
	});
});

describe("money", () => {
	it.each([
		[1999, "EUR", "€19.99"],
		[5, "USD", "$0.05"],
		[1200, "JPY", "¥1,200"],
		[1234, "KWD", "KWD\u00A01.234"],
		[0, "CHF", "CHF\u00A00.00"]
	])("writes %d minor units of %s as %s", (amount, currency, written) => {
		expect(formatMoney({ amount, currency })).toBe(written);
	});
});

describe("a message with a link", () => {
	const url = "https://shop.test/account/reset-password#token=a&b";

	it("has the address in the text, and a name for it in HTML", () => {
		const { text, html } = withLink(compose({ kind: "reset-password" }, ada), url);
		expect(text).toContain(`\n\n${url}\n\n`);
		expect(html).toContain(
			'<a href="https://shop.test/account/reset-password#token=a&amp;b">Choose a new password</a>'
		);
	});

	it("has no link where a name asks for one", () => {
		const name = "\uE000link\uE000";
		const { text } = withLink(compose({ kind: "passkey-added" }, { ...ada, name }), url);
		expect(text).not.toContain("shop.test");
	});
});

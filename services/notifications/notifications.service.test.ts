import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { emails } from "../../contracts/emails.ts";
import type { Events, Fact } from "../../contracts/index.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { implement } from "../../lib/service.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { createMailer } from "./mailer.ts";

interface Received {
	readonly to: readonly string[];
	readonly raw: string;
}

/** What an SMTP server answers instead of taking something. */
const reply = (responseCode: number, message: string) =>
	Object.assign(new Error(message), { responseCode });

/** A mail server that keeps what it takes; `verdict` is its answer to a whole mail. */
async function startSmtp(
	{ verdict = null, ...options }: SMTPServerOptions & { verdict?: Error | null } = {},
	port = 0
) {
	const mails: Received[] = [];
	const server = new SMTPServer({
		disabledCommands: ["AUTH", "STARTTLS"],
		disableReverseLookup: true,
		closeTimeout: 100,
		onData(stream, { envelope }, done) {
			const to = envelope.rcptTo.map(({ address }) => address);
			let raw = "";
			stream.setEncoding("utf8");
			stream.on("data", (chunk: string) => (raw += chunk));
			stream.on("end", () => {
				mails.push({ to, raw });
				done(verdict);
			});
		},
		...options
	});
	const listening = server.listen(port, "127.0.0.1");
	await once(listening, "listening");
	return {
		mails,
		port: (listening.address() as AddressInfo).port,
		connections: () => server.connections.size,
		stop: () => new Promise<void>(resolve => server.close(resolve))
	};
}

const header = (raw: string, name: string): string =>
	new RegExp(`^${name}: (.*(?:\r\n[ \t].*)*)`, "im").exec(raw)?.[1]?.replace(/\r\n\s+/g, " ") ?? "";

/** Undoes quoted-printable, which is what bodies with a `×` in them come in. */
const decode = (raw: string): string =>
	Buffer.from(
		raw
			.replaceAll("=\r\n", "")
			.replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
				String.fromCharCode(Number.parseInt(hex, 16))
			),
		"latin1"
	).toString();

async function eventually(check: () => Promise<void> | void): Promise<void> {
	for (const until = Date.now() + 15_000; ;) {
		try {
			return await check();
		} catch (error) {
			if (Date.now() > until) throw error;
			await sleep(25);
		}
	}
}

/** Facts that other groups would have told: on the way to the service they are all the same. */
function teller(node: TestNode) {
	return async <K extends Fact>(type: K, id: string, data: Events[K], version = 1) =>
		node.runtime
			.database("notifications")
			.transaction(async tx => tx.record(type, { id, version }, data));
}

const newUser = (over: Partial<Events["user.created.v1"]> = {}): Events["user.created.v1"] => ({
	userId: randomUUID(),
	email: "ada@example.com",
	username: "ada",
	name: "Ada Lovelace",
	...over
});

const confirmation = (userId: string): Events["order.confirmed.v1"] => ({
	orderId: randomUUID(),
	number: "V-100042",
	userId,
	total: { amount: 3998, currency: "EUR" },
	items: [{ name: "Desk lamp", quantity: 2 }]
});

interface MessageRow {
	id: string;
	kind: string;
	status: string;
	sent_at: Date | null;
	error: string | null;
}
const messages = (node: TestNode) =>
	node.runtime
		.database("notifications")
		.query<MessageRow>("SELECT id, kind, status, sent_at, error FROM message ORDER BY id");
const jobs = (node: TestNode) =>
	node.runtime
		.database("notifications")
		.query<{ attempts: number; done: boolean }>(
			"SELECT attempts, done_at IS NOT NULL AS done FROM job"
		);

describe("with links", () => {
	const TOKEN = "0ne-t1me-t0ken-of-256-bits-as-base64url-tex";
	let smtp: Awaited<ReturnType<typeof startSmtp>>;
	let node: TestNode;
	/** The ids of links that still work. */
	const live = new Set<string>();
	const asked: string[] = [];
	beforeAll(async () => {
		smtp = await startSmtp();
		const faked = implement(emails)({
			actions: {
				async verify() {
					return null;
				},
				async requestVerification() {
					return { status: "accepted" };
				},
				async token({ params: { tokenId } }) {
					asked.push(tokenId);
					return live.has(tokenId) ? TOKEN : null;
				}
			}
		});
		node = await startTestNode(["notifications"], {
			env: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}`, PUBLIC_URL: "https://shop.test/" },
			fakes: [faked]
		});
	});
	afterAll(async () => {
		await node.stop();
		await smtp.stop();
	});

	it.each([
		["user.email-verification-requested.v1", "Confirm your e-mail address", "verify-email"],
		["user.password-reset-requested.v1", "Choose a new password", "reset-password"]
	] as const)("%s: mails the link, which stands nowhere else", async (type, subject, page) => {
		const { userId, ...who } = newUser({ email: `${page}@example.com` });
		const tokenId = randomUUID();
		live.add(tokenId);
		await teller(node)(type, userId, { userId, tokenId, ...who });
		const mail = () => smtp.mails.find(({ to }) => to[0] === who.email);
		await eventually(() => expect(mail()).toBeDefined());
		const { raw } = mail()!;
		expect(header(raw, "Subject")).toBe(subject);
		const url = `https://shop.test/account/${page}#token=${TOKEN}`;
		// Both parts have it, and the text has it as it is.
		expect(decode(raw).match(new RegExp(url, "g"))).toHaveLength(2);
		const rows = await node.runtime
			.database("notifications")
			.query(
				"SELECT row_to_json(m)::text FROM message m UNION ALL SELECT row_to_json(j)::text FROM job j"
			);
		expect(rows).not.toHaveLength(0);
		expect(JSON.stringify(rows)).not.toContain(TOKEN);
	});

	it("sends no link that does not work any more", async () => {
		const { userId, ...who } = newUser({ email: "late@example.com" });
		const tokenId = randomUUID();
		await teller(node)("user.password-reset-requested.v1", userId, { userId, tokenId, ...who });
		await eventually(async () =>
			expect(
				await node.runtime
					.database("notifications")
					.query("SELECT status, error FROM message WHERE recipient = $1", [who.email])
			).toMatchObject([{ status: "failed", error: expect.stringContaining("link") }])
		);
		expect(asked).toContain(tokenId);
		expect(smtp.mails.map(({ to }) => to[0])).not.toContain(who.email);
	});
});

describe("with a mail server", () => {
	let smtp: Awaited<ReturnType<typeof startSmtp>>;
	let node: TestNode;
	let tell: ReturnType<typeof teller>;
	beforeEach(async () => {
		smtp = await startSmtp({
			onRcptTo: ({ address }, _, done) =>
				done(address.startsWith("nobody@") ? reply(550, "5.1.1 no such user") : null)
		});
		node = await startTestNode(["notifications"], {
			env: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}`, MAIL_FROM: "Shop <shop@shop.test>" }
		});
		tell = teller(node);
	});
	afterEach(async () => {
		await node.stop();
		await smtp.stop();
	});

	it("welcomes who has registered, and tells that it did", async () => {
		const user = newUser();
		await tell("user.created.v1", user.userId, user);
		await eventually(async () => expect(await messages(node)).toMatchObject([{ status: "sent" }]));

		const [message] = await messages(node);
		expect(message).toMatchObject({ kind: "welcome", error: null, sent_at: expect.any(Date) });
		expect(smtp.mails).toHaveLength(1);
		const { to, raw } = smtp.mails[0]!;
		expect(to).toEqual(["ada@example.com"]);
		expect(header(raw, "From")).toBe("Shop <shop@shop.test>");
		expect(header(raw, "To")).toBe("ada@example.com");
		expect(header(raw, "Subject")).toBe("Welcome to Valence");
		expect(header(raw, "Message-ID")).toBe(`<${message!.id}@shop.test>`);
		expect(header(raw, "Auto-Submitted")).toBe("auto-generated");
		expect(raw).toContain("Content-Type: text/plain");
		expect(raw).toContain("Content-Type: text/html");
		expect(await node.recorded("notifications", "notification.sent.v1")).toEqual([
			{
				type: "notification.sent.v1",
				data: {
					messageId: message!.id,
					userId: user.userId,
					kind: "welcome",
					channel: "email"
				}
			}
		]);
	});

	it("does not welcome who was imported, and yet knows where to write to", async () => {
		const user = newUser({ imported: true });
		await tell("user.created.v1", user.userId, user);
		const order = confirmation(user.userId);
		await tell("order.confirmed.v1", order.orderId, order);
		await eventually(() => expect(smtp.mails).toHaveLength(1));
		await node.settled("notifications");
		expect(await messages(node)).toMatchObject([{ kind: "order-confirmed" }]);
	});

	it("writes about every end of an order", async () => {
		const user = newUser();
		const { userId } = user;
		await tell("user.created.v1", userId, user);
		const confirmed = confirmation(userId);
		const [cancelled, unrefunded] = [randomUUID(), randomUUID()];
		await tell("order.confirmed.v1", confirmed.orderId, confirmed);
		await tell("order.cancelled.v1", cancelled, {
			orderId: cancelled,
			number: "V-100043",
			userId,
			reason: "CUSTOMER",
			refunded: { amount: 1200, currency: "JPY" }
		});
		await tell("order.refund-failed.v1", unrefunded, {
			orderId: unrefunded,
			number: "V-100044",
			userId,
			reason: "OUT_OF_STOCK"
		});
		await eventually(() => expect(smtp.mails).toHaveLength(4));

		const bodyOf = (subject: string) =>
			decode(smtp.mails.find(({ raw }) => header(raw, "Subject") === subject)!.raw);
		expect(bodyOf("Your order V-100042 is confirmed")).toMatch(
			/2 × Desk lamp[^]*Total: €39\.98[^]*<li>2 × Desk lamp<\/li>/
		);
		expect(bodyOf("Your order V-100043 was cancelled")).toContain("given you back ¥1,200.");
		expect(bodyOf("Your order V-100044 was cancelled; your refund is delayed")).toContain(
			"One of our staff will see to your refund"
		);
	});

	const changed = (userId: string) =>
		[
			["user.passkey-added.v1", { userId, passkeyId: randomUUID() }, "passkey-added"],
			["user.passkey-removed.v1", { userId, passkeyId: randomUUID() }, "passkey-removed"],
			["user.two-factor-enabled.v1", { userId }, "two-factor-enabled"],
			["user.two-factor-disabled.v1", { userId }, "two-factor-disabled"],
			["user.identity-linked.v1", { userId, provider: "google" }, "identity-linked"],
			["user.identity-unlinked.v1", { userId, provider: "google" }, "identity-unlinked"],
			["user.recovery-code-used.v1", { userId, left: 9 }, "recovery-code-used"],
			["user.password-changed.v1", { userId, by: "change" }, "password-changed"]
		] as const;
	const factOf = (type: Fact, data: { readonly userId: string }, version: number): Envelope => ({
		specversion: "1.0",
		id: randomUUID(),
		type,
		source: "/valence/users",
		subject: `user/${data.userId}`,
		time: new Date().toISOString(),
		datacontenttype: "application/json",
		data,
		aggregatetype: "user",
		aggregateid: data.userId,
		aggregateversion: version,
		correlationid: data.userId
	});

	const handled = (facts: readonly Envelope[]) =>
		eventually(async () =>
			expect(
				await node.runtime
					.database("notifications")
					.query(
						"SELECT FROM inbox WHERE consumer = 'notifications' AND event_id = ANY ($1::uuid[])",
						[facts.map(({ id }) => id)]
					)
			).toHaveLength(facts.length)
		);

	it("writes about every change of how one signs in, once for each", async () => {
		const user = newUser();
		await tell("user.created.v1", user.userId, user);
		await eventually(async () => expect(await messages(node)).toHaveLength(1));
		// Twice the same change are two events, and two mails; the same event again is none.
		const facts = [...changed(user.userId), ...changed(user.userId)].map(([type, data], index) =>
			factOf(type, data, index + 2)
		);
		for (const fact of [...facts, ...facts]) await node.runtime.stream.publish(fact);
		await eventually(() => expect(smtp.mails).toHaveLength(1 + facts.length));
		await handled(facts);
		const kinds = (await messages(node)).map(({ kind }) => kind).filter(kind => kind !== "welcome");
		const expected = changed(user.userId).map(([, , kind]) => kind);
		expect(kinds.toSorted()).toEqual([...expected, ...expected].toSorted());
		expect(new Set(smtp.mails.flatMap(({ to }) => to))).toEqual(new Set([user.email]));
	});

	it("writes about none of them to who has been deleted", async () => {
		const user = newUser();
		const { userId } = user;
		const deletionId = randomUUID();
		await tell("user.created.v1", userId, user);
		await eventually(() => expect(smtp.mails).toHaveLength(1));
		await tell("user.deletion-requested.v1", userId, { userId, deletionId }, 2);
		await eventually(async () =>
			expect(await node.recorded("notifications", "notifications-data.erased.v1")).toHaveLength(1)
		);
		await tell("user.deleted.v1", userId, { userId, deletionId, receipt: [] }, 3);
		await eventually(() => expect(smtp.mails).toHaveLength(2));
		const late = changed(userId).map(([type, data], index) => factOf(type, data, index + 4));
		for (const fact of late) await node.runtime.stream.publish(fact);
		await handled(late);
		// Whatever was to be sent has been by then, and its job has gone with the address.
		await eventually(async () => expect(await jobs(node)).toEqual([]));
		expect(smtp.mails.map(({ raw }) => header(raw, "Subject"))).toEqual([
			"Welcome to Valence",
			"Your account was deleted"
		]);
	});

	it("waits for a recipient who is not known yet", async () => {
		const user = newUser();
		const order = confirmation(user.userId);
		await tell("order.confirmed.v1", order.orderId, order);
		// Long enough for three tries, which would count were the trouble not known to pass.
		await sleep(1_000);
		const counted = await node.runtime
			.database("notifications")
			.query("SELECT FROM inbox_attempt WHERE attempts > 2");
		expect(counted).toEqual([]);
		expect(await messages(node)).toEqual([]);

		await tell("user.created.v1", user.userId, user);
		await eventually(() =>
			expect(smtp.mails.map(({ raw }) => header(raw, "Subject")).sort()).toEqual([
				"Welcome to Valence",
				"Your order V-100042 is confirmed"
			])
		);
	});

	it("sends one mail, however often an event comes", async () => {
		const user = newUser();
		await tell("user.created.v1", user.userId, user);
		const data = confirmation(user.userId);
		const event = (): Envelope => ({
			specversion: "1.0",
			id: randomUUID(),
			type: "order.confirmed.v1",
			source: "/valence/orders",
			subject: `order/${data.orderId}`,
			time: new Date().toISOString(),
			datacontenttype: "application/json",
			data,
			aggregatetype: "order",
			aggregateid: data.orderId,
			aggregateversion: 4,
			correlationid: data.orderId
		});
		const first = event();
		await eventually(async () => expect(await messages(node)).toHaveLength(1));
		await Promise.all([first, first, event()].map(each => node.runtime.stream.publish(each)));
		await node.runtime.stream.publish(event());

		await eventually(async () =>
			expect(await messages(node)).toMatchObject([{ status: "sent" }, { status: "sent" }])
		);
		expect(await jobs(node)).toHaveLength(2);
		expect(smtp.mails).toHaveLength(2);
	});

	it("gives a rejected recipient up at once", async () => {
		const user = newUser({ email: "nobody@example.com" });
		await tell("user.created.v1", user.userId, user);
		await eventually(async () =>
			expect(await messages(node)).toMatchObject([
				{ status: "failed", error: expect.stringContaining("5.1.1 no such user"), sent_at: null }
			])
		);
		expect(await jobs(node)).toEqual([{ attempts: 1, done: true }]);
		expect(smtp.mails).toEqual([]);
		expect(await node.recorded("notifications", "notification.failed.v1")).toMatchObject([
			{ data: { userId: user.userId, reason: expect.stringContaining("550") } }
		]);
		expect(await node.recorded("notifications", "notification.sent.v1")).toEqual([]);
	});

	it("writes to nobody else, whatever is in an address", async () => {
		const user = newUser({ email: "ada@example.com\r\nBcc: all@example.com" });
		await tell("user.created.v1", user.userId, user);
		await eventually(async () =>
			expect(await messages(node)).toMatchObject([
				{ status: "failed", error: expect.stringContaining("Bad recipient address") }
			])
		);
		expect(smtp.mails).toEqual([]);
	});
});

it("sends late, and once, what a mail server that was down could not take", async () => {
	const gone = await startSmtp();
	await gone.stop();
	const node = await startTestNode(["notifications"], {
		env: { SMTP_URL: `smtp://127.0.0.1:${gone.port}` }
	});
	const user = newUser();
	await teller(node)("user.created.v1", user.userId, user);
	await eventually(async () => expect((await jobs(node))[0]!.attempts).toBeGreaterThan(1));
	expect(await messages(node)).toMatchObject([{ status: "queued" }]);

	const back = await startSmtp({}, gone.port);
	await eventually(async () => expect(await messages(node)).toMatchObject([{ status: "sent" }]));
	await node.stop();
	// A node that has stopped keeps no connection, which would be open for ten silent seconds.
	await sleep(500);
	expect(back.connections()).toBe(0);
	await back.stop();
	expect(back.mails).toHaveLength(1);
});

it("tries again what was refused for now, and gives up after ten attempts", async () => {
	const smtp = await startSmtp({ onRcptTo: (_, __, done) => done(reply(451, "later please")) });
	const node = await startTestNode(["notifications"], {
		env: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}` }
	});
	const user = newUser();
	await teller(node)("user.created.v1", user.userId, user);
	// The pauses between the attempts are those of the jobs; here they are over.
	await eventually(async () =>
		expect(
			await node.runtime.database("notifications").query(
				`UPDATE job SET attempts = 9, run_at = clock_timestamp()
					 WHERE attempts = 2 AND lease_until IS NULL RETURNING id`
			)
		).toHaveLength(1)
	);
	expect(await messages(node)).toMatchObject([{ status: "queued" }]);
	await eventually(async () =>
		expect(await messages(node)).toMatchObject([
			{ status: "failed", error: expect.stringContaining("451") }
		])
	);
	expect(await node.recorded("notifications", "notification.failed.v1")).toMatchObject([
		{ data: { kind: "welcome", reason: expect.stringContaining("later please") } }
	]);
	await node.stop();
	await smtp.stop();
});

it("keeps mails as files where no mail server is configured", async () => {
	const node = await startTestNode(["notifications"]);
	const user = newUser();
	await teller(node)("user.created.v1", user.userId, user);
	await eventually(async () => expect(await messages(node)).toMatchObject([{ status: "sent" }]));
	const [{ id }] = (await messages(node)) as [MessageRow];
	await node.stop();

	const folder = join(node.config.DATA_DIR, "mail");
	const files = readdirSync(folder);
	expect(files).toEqual([
		expect.stringMatching(new RegExp(`^\\d{8}T\\d{9}Z-welcome-${id}\\.eml$`))
	]);
	const raw = readFileSync(join(folder, files[0]!), "utf8");
	expect(header(raw, "To")).toBe("ada@example.com");
	expect(raw).toContain("Your account is ready.");
	expect(statSync(join(folder, files[0]!)).mode & 0o777).toBe(0o600);
});

describe("a mailer", () => {
	const message = {
		id: randomUUID(),
		kind: "welcome" as const,
		refId: randomUUID(),
		channel: "email" as const,
		userId: randomUUID(),
		recipient: "ada@example.com",
		subject: "Hello",
		text: "Hello",
		html: "<p>Hello</p>",
		createdAt: new Date("2030-01-02T03:04:05.678Z")
	};
	const DATA_DIR = join(process.env["TEST_FOLDER"]!, `mail-${randomUUID()}`);
	const MAIL_FROM = "Shop <shop@shop.test>";

	it("names the file in the log, and writes a repetition to the same one", async () => {
		const info = jest.fn();
		const mailer = createMailer({ DATA_DIR, MAIL_FROM }, { info });
		await mailer.send(message);
		await mailer.send(message);
		const file = join(DATA_DIR, "mail", `20300102T030405678Z-welcome-${message.id}.eml`);
		expect(readdirSync(join(DATA_DIR, "mail")).map(name => join(DATA_DIR, "mail", name))).toEqual([
			file
		]);
		expect(info).toHaveBeenLastCalledWith(`Mail to ada@example.com: "Hello" is kept in ${file}`);
	});

	it.each<[string, "rejected" | "thrown", Parameters<typeof startSmtp>[0], string]>([
		["a mail to nobody", "rejected", {}, ""],
		[
			"content that is refused for good",
			"rejected",
			{ verdict: reply(554, "spam") },
			message.recipient
		],
		[
			"content that is refused for now",
			"thrown",
			{ verdict: reply(452, "full") },
			message.recipient
		],
		[
			"a sender that is refused",
			"thrown",
			{ onMailFrom: (_, __, done) => done(reply(550, "not from you")) },
			message.recipient
		],
		[
			"a recipient out of turn",
			"thrown",
			{ onRcptTo: (_, __, done) => done(reply(503, "out of turn")) },
			message.recipient
		],
		[
			"a server that is closed to us",
			"thrown",
			{ onConnect: (_, done) => done(reply(554, "go away")) },
			message.recipient
		]
	])("takes %s as %s", async (_, expected, options, recipient) => {
		const smtp = await startSmtp(options);
		const mailer = createMailer(
			{ DATA_DIR, MAIL_FROM, SMTP_URL: `smtp://127.0.0.1:${smtp.port}` },
			{ info: jest.fn() }
		);
		const outcome = await mailer.send({ ...message, recipient }).then(
			({ status }) => status,
			() => "thrown"
		);
		mailer.close();
		await smtp.stop();
		expect(outcome).toBe(expected);
	});
});

/** That a person can leave: all services together, from the request to the receipt. */
import { readdirSync, readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { handlersOf, loadUnits } from "../bin/usage.ts";
import { allContracts, type Actions } from "../contracts/index.ts";
import type { PaymentMethod } from "../contracts/payments.ts";
import { GROUPS, type Group } from "../lib/config.ts";
import type { Database } from "../lib/database.ts";
import type { ClientInfo, Identity } from "../lib/identity.ts";
import { HOLDERS, holdersOf } from "../lib/personal-data.ts";
import { addCategory, addProduct } from "../services/catalog/catalog.fixtures.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { until } from "./support/until.ts";

const PASSWORD = "correct horse battery";

/** Columns that tell of somebody, by what they are called. */
const PERSONAL = /^(?:user_id|email|email_normalized|recipient|username|phone|shipping_address)$/;

interface Column {
	readonly table: string;
	readonly column: string;
	readonly type: string;
}

const columnsOf = (db: Database): Promise<Column[]> =>
	db.query(
		`SELECT c.table_name AS "table", c.column_name AS "column", c.udt_name AS type
		 FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		 WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'`
	);

/** Groups that keep something about people, and have no contract that says so. */
const undeclared = (columns: Readonly<Record<string, readonly Column[]>>, holders: string[]) =>
	Object.keys(columns).filter(
		group => !holders.includes(group) && columns[group]!.some(({ column }) => PERSONAL.test(column))
	);

/**
 * Where the past is kept for some days, whoever it is about: what was told to others cannot be taken
 * back. ADR 34 says for how long.
 */
const PAST = new Set(["outbox", "dead_letter", "inbox_attempt"]);

/** Places where one of the texts stands, in any column that can hold text. */
async function placesOf(db: Database, texts: readonly string[]): Promise<string[]> {
	const found: string[] = [];
	for (const { table, column } of (await columnsOf(db)).filter(
		({ table: name, type }) => !PAST.has(name) && /^_?(?:text|varchar|jsonb?|name)$/.test(type)
	)) {
		const row = await db.one(
			`SELECT 1 FROM "${table}" WHERE EXISTS (
			   SELECT FROM unnest($1::text[]) AS t WHERE strpos(lower("${column}"::text), lower(t)) > 0) LIMIT 1`,
			[texts]
		);
		if (row) found.push(`${db.group}: ${table}.${column}`);
	}
	return found;
}

describe("services that keep something about people", () => {
	it("answer whoever wants to be forgotten, each in its own way", async () => {
		const units = await loadUnits();
		const asked = handlersOf(units, "user.deletion-requested.v1");
		// The users group erases last, when all have answered.
		expect(asked.toSorted()).toEqual(
			HOLDERS.filter(holder => holder !== "users")
				.map(holder => `${holder}: ${holder}-data`)
				.toSorted()
		);
		for (const holder of HOLDERS.filter(name => name !== "users"))
			expect(handlersOf(units, `${holder}-data.erased.v1`)).toEqual(["users: deletions"]);
		expect(units.flatMap(({ schemas }) => schemas.map(({ name }) => name))).toEqual(
			expect.arrayContaining(HOLDERS.map(holder => `${holder}-data`))
		);
	});
});

describe("a person", () => {
	let node: TestNode;
	let product: string;
	beforeAll(async () => {
		node = await startTestNode(GROUPS);
		const catalog = node.runtime.database("catalog");
		await addCategory(catalog, "lamps");
		product = await addProduct(catalog, { category: "lamps", name: "Desk lamp", stock: 100 });
	}, 60_000);
	afterAll(() => node.stop());

	const database = (group: Group) => node.runtime.database(group);
	const clients = new Map<string, ClientInfo>();

	/** Calls as somebody, at a client of their own. */
	const call = <K extends keyof Actions>(
		action: K,
		params: Actions[K]["params"],
		user?: Identity,
		client: ClientInfo | undefined = clients.get(user?.id ?? ""),
		headers: object = {}
	): Promise<Actions[K]["result"]> =>
		node.broker.call(action, params as never, { meta: { user, client }, headers }) as never;

	const phoneOf = (tag: string): string => `+${Number.parseInt(tag, 16)}`;

	/** Somebody with a name that nobody else has. */
	async function newPerson(over: { roles?: ("customer" | "admin")[] } = {}) {
		const tag = randomUUID().slice(0, 8);
		// In letters, as a mail greets by no number.
		const letters = tag.replace(/\d/g, digit => "ghijklmnop"[Number(digit)]!);
		const [email, username, name] = [`Zoe.${tag}@example.com`, `zoe-${tag}`, `Zoe Quux-${letters}`];
		const line1 = `${tag} Analytical Row`;
		const client = {
			address: `2001:db8:${tag.slice(0, 4)}:${tag.slice(4)}::1`,
			device: `Zoe's ${tag}`
		};
		const registered = await call(
			"auth.register",
			{ email, username, name, password: PASSWORD },
			undefined,
			client,
			{ idempotencyKey: `register-${tag}` }
		);
		const { id } = registered;
		clients.set(id, client);
		const { roles = registered.roles } = over;
		await database("users").query("UPDATE users SET roles = $2 WHERE id = $1", [id, roles]);
		await call("auth.login", { login: email, password: PASSWORD }, undefined, client);
		const session = await database("users").one<{ id: string }>(
			"SELECT id FROM session WHERE user_id = $1",
			[id]
		);
		const user: Identity = { id, roles, sessionId: session!.id };
		// Each stands for the whole: no other text of the tests holds it.
		const texts = [tag, letters, client.address, phoneOf(tag)];
		return { user, tag, email, username, name, line1, client, texts };
	}
	type Person = Awaited<ReturnType<typeof newPerson>>;

	async function buy(
		{ user, name, line1 }: Person,
		paymentMethod: PaymentMethod = "tok_ok"
	): Promise<string> {
		const { total } = await call("carts.setItem", { productId: product, quantity: 1 }, user);
		const shippingAddress = { name, line1, city: "London", postalCode: "N1 9GU", country: "GB" };
		const request = { shippingAddress, paymentMethod, expectedTotal: total };
		const order = await call(
			"orders.place",
			{
				...request,
				idempotencyKey: randomUUID(),
				prefer: paymentMethod === "tok_ok" ? "wait=8" : "wait=0"
			},
			user
		);
		await call("carts.setItem", { productId: product, quantity: 2 }, user);
		return order.id;
	}

	const deletionOf = ({ user }: Person) =>
		database("users").one<{ id: string; status: string; answers: Record<string, unknown> }>(
			"SELECT id, status, answers FROM deletion WHERE user_id = $1",
			[user.id]
		);
	const finished = (person: Person) =>
		until(
			async () => (await deletionOf(person))?.status === "finished",
			"the deletion is finished",
			15_000
		);
	const mails = (kind: string, email: string) => {
		const folder = join(node.config.DATA_DIR, "mail");
		return readdirSync(folder)
			.filter(file => file.includes(`-${kind}-`) && file.endsWith(".eml"))
			.map(file => readFileSync(join(folder, file), "utf8"))
			.filter(mail => mail.includes(`To: ${email}`));
	};
	const request = ({ user }: Person, password = PASSWORD) =>
		call("deletions.request", { password }, user);

	it("finds no group that keeps something about them and does not say so", async () => {
		const columns = Object.fromEntries(
			await Promise.all(
				GROUPS.map(async group => [group, await columnsOf(database(group))] as const)
			)
		);
		expect(undeclared(columns, holdersOf(allContracts))).toEqual([]);
		// Without its contract each of them would be found.
		for (const group of GROUPS)
			expect(
				undeclared(columns, holdersOf(allContracts.filter(({ name }) => name !== `${group}-data`)))
			).toEqual([group]);
	});

	it("takes along every row of the group users that is theirs, but for what is erased otherwise", async () => {
		const users = database("users");
		const left = () =>
			users.query<{ table: string }>(
				`SELECT c.table_name AS "table" FROM information_schema.columns c
				 WHERE c.table_schema = 'public' AND c.column_name = 'user_id' AND NOT EXISTS (
				   SELECT FROM pg_constraint k WHERE k.conrelid = format('%I', c.table_name)::regclass
				     AND k.confrelid = 'users'::regclass AND k.confdeltype = 'c')
				 ORDER BY 1`
			);
		const erasedOtherwise = [
			{ table: "deletion" },
			{ table: "idempotency_key" },
			{ table: "security_event" }
		];
		expect(await left()).toEqual(erasedOtherwise);
		await users.query("CREATE TABLE a_factor (user_id uuid NOT NULL REFERENCES users)");
		try {
			expect(await left()).toEqual([{ table: "a_factor" }, ...erasedOtherwise]);
		} finally {
			await users.query("DROP TABLE a_factor");
		}
	});

	it("is forgotten everywhere; orders stay without the person, and a receipt tells", async () => {
		const [zoe, other] = [await newPerson(), await newPerson()];
		await call("users.update", { phone: phoneOf(zoe.tag) }, zoe.user);
		await call("passwords.forgot", { email: zoe.email }, undefined, zoe.client);
		const [order, others] = [await buy(zoe), await buy(other)];
		await until(() => mails("order-confirmed", zoe.email).length === 1, "the mail of the order");
		// The search finds what is there: else that it finds nothing would mean nothing.
		const before = (await Promise.all(GROUPS.map(g => placesOf(database(g), zoe.texts)))).flat();
		expect(before).toEqual(
			expect.arrayContaining([
				"users: users.email",
				"users: session.address",
				"users: security_event.detail",
				"users: idempotency_key.answer",
				"orders: orders.shipping_address",
				"orders: idempotency_key.answer",
				"notifications: recipient.email",
				"notifications: message.body_text"
			])
		);

		const asked = await request(zoe);
		expect(asked.status).toBe("requested");
		await expect(
			call("auth.login", { login: zoe.email, password: PASSWORD })
		).rejects.toMatchObject({ type: "INVALID_CREDENTIALS" });
		await finished(zoe);
		await until(() => mails("account-deleted", zoe.email).length === 1, "the receipt");
		await until(
			async () =>
				(await Promise.all(GROUPS.map(group => placesOf(database(group), zoe.texts)))).flat()
					.length === 0,
			"nothing of the person is anywhere"
		);

		const row = await database("orders").one<Record<string, unknown>>(
			`SELECT number, items, total_amount, status, user_id, shipping_address FROM orders WHERE id = $1`,
			[order]
		);
		expect(row).toMatchObject({
			number: expect.stringMatching(/^V-/),
			items: [{ name: "Desk lamp", quantity: 1 }],
			total_amount: "1000",
			status: "confirmed",
			shipping_address: {
				name: "erased",
				line1: "erased",
				city: "erased",
				postalCode: "erased",
				country: "GB"
			}
		});
		const staff: Identity = { id: randomUUID(), roles: ["staff"], sessionId: randomUUID() };
		expect(await call("orders.get", { id: order }, staff)).toMatchObject({ id: order });
		expect(
			await database("orders").query("SELECT method FROM payment WHERE order_id = $1", [order])
		).toEqual([{ method: null }]);
		// Somebody else's is as it was.
		expect(await call("orders.get", { id: others }, other.user)).toMatchObject({
			shippingAddress: { name: other.name, line1: other.line1 }
		});

		const [receipt] = mails("account-deleted", zoe.email);
		expect(receipt).toContain("Subject: Your account was deleted");
		expect(receipt!.replaceAll("=\r\n", "")).toMatch(/- addresses: 1\r\n/);
		expect(receipt!.replaceAll("=\r\n", "")).toMatch(/tax law asks us to keep them for ten years/);
		expect(receipt).toContain(asked.id);

		const verdict = await call("audit.verify", {});
		expect(verdict.flaws).toEqual([]);
		expect(verdict.erased).toBeGreaterThan(3);
		const told = await database("users").query<{ type: string; version: number }>(
			`SELECT type, aggregate_version AS version FROM outbox
			 WHERE aggregate_type = 'user' AND aggregate_id = $1 ORDER BY aggregate_version`,
			[zoe.user.id]
		);
		expect(told.map(({ version }) => version)).toEqual(told.map((_, index) => index + 1));
		expect(told.at(-1)!.type).toBe("user.deleted.v1");
		expect(JSON.stringify(await node.recorded("users", "user.deleted.v1"))).not.toMatch(/zoe/i);

		// Address and username are free, for somebody who has nothing to do with the one before.
		const again = await call("auth.register", {
			email: zoe.email,
			username: zoe.username,
			password: PASSWORD
		});
		expect(again.id).not.toBe(zoe.user.id);
	}, 60_000);

	it("is asked for the password, and stays where it is not theirs", async () => {
		const zoe = await newPerson();
		await expect(request(zoe, "wrong password")).rejects.toMatchObject({ type: "WRONG_PASSWORD" });
		await expect(call("deletions.request", {}, zoe.user)).rejects.toMatchObject({
			type: "VALIDATION_ERROR",
			data: { errors: [{ field: "password", code: "required" }] }
		});
		expect(await deletionOf(zoe)).toBeUndefined();
		await database("users").query("UPDATE users SET password_hash = NULL WHERE id = $1", [
			zoe.user.id
		]);
		await call("deletions.request", {}, zoe.user);
		await finished(zoe);
	});

	it("asks once, however often, and nobody else can call it off", async () => {
		const zoe = await newPerson();
		const order = await buy(zoe, "tok_slow");
		const [first, ...repeated] = await Promise.all([1, 2, 3].map(() => request(zoe)));
		for (const answer of repeated) expect(answer).toEqual(first);
		expect(
			(await node.recorded("users", "user.deletion-requested.v1")).filter(
				({ data }) => (data as { userId: string }).userId === zoe.user.id
			)
		).toHaveLength(1);
		const admin: Identity = { id: randomUUID(), roles: ["admin"], sessionId: randomUUID() };
		await expect(
			call("users.manage", { id: zoe.user.id, status: "active" }, admin)
		).rejects.toMatchObject({ type: "USER_BEING_DELETED" });
		expect(order).toBeDefined();
		await finished(zoe);
	}, 30_000);

	it("waits for an order that is under way, which still knows where it goes", async () => {
		const zoe = await newPerson();
		const order = await buy(zoe, "tok_slow");
		await request(zoe);
		await until(
			async () => Object.hasOwn((await deletionOf(zoe))!.answers, "notifications"),
			"the others have answered"
		);
		expect(await deletionOf(zoe)).toMatchObject({ status: "requested" });
		expect(
			await database("orders").one(
				"SELECT shipping_address->>'line1' AS line1, status = 'confirmed' AS ended FROM orders WHERE id = $1",
				[order]
			)
		).toEqual({ line1: zoe.line1, ended: false });
		await finished(zoe);
		expect(
			await database("orders").one(
				"SELECT shipping_address->>'line1' AS line1, status FROM orders WHERE id = $1",
				[order]
			)
		).toEqual({ line1: "erased", status: "confirmed" });
		// The mail of the order came all the same, and the receipt after it.
		await until(() => mails("order-confirmed", zoe.email).length === 1, "the mail of the order");
		await until(() => mails("account-deleted", zoe.email).length === 1, "the receipt");
		await until(
			async () => (await placesOf(database("notifications"), zoe.texts)).length === 0,
			"the messages are gone"
		);
	}, 30_000);

	it("is not written to after the receipt, whatever comes late", async () => {
		const zoe = await newPerson();
		await request(zoe);
		await finished(zoe);
		await until(() => mails("account-deleted", zoe.email).length === 1, "the receipt");
		await node.settled("users");
		const { user, email, username, name } = zoe;
		const before = mails("welcome", email).length;
		const orderId = randomUUID();
		const late = { orderId, number: "V-1", userId: user.id, total: { amount: 1, currency: "EUR" } };
		await database("orders").transaction(async tx =>
			tx.record("order.confirmed.v1", { id: orderId, version: 1 }, { ...late, items: [] })
		);
		await database("notifications").transaction(async tx =>
			tx.record(
				"user.created.v1",
				{ id: randomUUID(), version: 1 },
				{
					userId: user.id,
					email,
					username,
					name
				}
			)
		);
		await node.settled("orders");
		await node.settled("notifications");
		expect(
			await database("notifications").query("SELECT kind FROM message WHERE user_id = $1", [
				user.id
			])
		).toEqual([]);
		expect(mails("welcome", email)).toHaveLength(before);
	});

	it("may hear an answer twice: it changes nothing any more", async () => {
		const zoe = await newPerson();
		const { id: deletionId } = await request(zoe);
		await finished(zoe);
		await node.settled("users");
		const facts = (await node.recorded("users", "user.deleted.v1")).length;
		const { answers } = (await deletionOf(zoe))!;
		await database("orders").transaction(async tx =>
			tx.record(
				"orders-data.erased.v1",
				{ id: randomUUID(), version: 1 },
				{
					deletionId,
					userId: zoe.user.id,
					erased: { addresses: 99 },
					kept: []
				}
			)
		);
		await node.settled("orders");
		expect((await deletionOf(zoe))!.answers).toEqual(answers);
		expect(await node.recorded("users", "user.deleted.v1")).toHaveLength(facts);
	});

	it("leaves nothing behind with a token that outlives the account", async () => {
		const zoe = await newPerson();
		await request(zoe);
		await finished(zoe);
		const { total } = await call("carts.setItem", { productId: product, quantity: 1 }, zoe.user);
		expect(total.amount).toBe(1_000);
		await call("auth.logout", {}, zoe.user);
		const left = async () => {
			const cart = await call("carts.get", {}, zoe.user);
			return [cart.items.length, ...(await placesOf(database("users"), zoe.texts))];
		};
		expect(await left()).toEqual([1, "users: security_event.detail"]);
		for (const group of ["users", "orders"] as const)
			await database(group).query(
				`UPDATE timer SET fire_at = clock_timestamp()
				 WHERE done_at IS NULL AND kind IN ('deletion.last-look', 'orders.erasure')`
			);
		await until(async () => (await left()).join() === "0", "the last look has erased it");
	});

	it("an admin does not stay in the record by what was done to others", async () => {
		const [zoe, bob] = [await newPerson({ roles: ["admin"] }), await newPerson()];
		const colleague = await newPerson({ roles: ["admin"] });
		await call("users.manage", { id: bob.user.id, roles: ["staff"] }, zoe.user);
		const entries = async () => (await call("audit.list", { userId: bob.user.id })).items;
		expect((await entries())[0]).toMatchObject({ byId: zoe.user.id, ...zoe.client });
		await request(zoe);
		await finished(zoe);
		const [changed, ...own] = await entries();
		expect(changed).toMatchObject({ byId: zoe.user.id, address: null, device: null, erased: true });
		expect(own).not.toContainEqual(expect.objectContaining({ erased: true }));
		expect((await call("audit.verify", {})).flaws).toEqual([]);
		await database("users").query("UPDATE users SET roles = '{customer}' WHERE id = $1", [
			colleague.user.id
		]);
	});

	it("who is the last admin stays", async () => {
		const [first, last] = [
			await newPerson({ roles: ["admin"] }),
			await newPerson({ roles: ["admin"] })
		];
		await request(first);
		await expect(request(last)).rejects.toMatchObject({ type: "LAST_ADMIN" });
		await finished(first);
	});

	it("a deletion that does not come to an end is called out, day by day", async () => {
		const zoe = await newPerson();
		await database("users").query(
			"INSERT INTO deletion (id, user_id, answers) VALUES ($1, $2, $3)",
			[randomUUID(), zoe.user.id, JSON.stringify({ orders: { erased: {}, kept: [] } })]
		);
		const { id } = (await deletionOf(zoe))!;
		const overdue = async () =>
			(await node.runtime.metrics.deletions.overdue.get()).values[0]?.value ?? 0;
		const before = await overdue();
		await database("users").query(
			"INSERT INTO timer (kind, ref_id, fire_at) VALUES ('deletion.overdue', $1, clock_timestamp())",
			[id]
		);
		await until(async () => (await overdue()) === before + 1, "it is counted");
		expect(
			await database("users").one(
				"SELECT fire_at > clock_timestamp() + interval '23 hours' AS tomorrow, done_at FROM timer WHERE ref_id = $1",
				[id]
			)
		).toEqual({ tomorrow: true, done_at: null });
	});

	it("can take everything along, and secrets are not among it", async () => {
		const zoe = await newPerson();
		const order = await buy(zoe);
		await until(() => mails("order-confirmed", zoe.email).length === 1, "the mail of the order");
		const document = await call("exports.mine", {}, zoe.user);
		expect(document).toMatchObject({
			user: { id: zoe.user.id, email: zoe.email, username: zoe.username },
			parts: {
				users: {
					preferences: { locale: "en" },
					sessions: [{ id: zoe.user.sessionId, address: zoe.client.address, endedAt: null }],
					securityEvents: expect.arrayContaining([
						expect.objectContaining({ type: "registered", address: zoe.client.address })
					])
				},
				catalog: {},
				orders: {
					orders: [{ id: order, shippingAddress: { line1: zoe.line1 } }],
					cart: { lines: [{ productId: product, quantity: 2 }] }
				},
				notifications: {
					recipient: { email: zoe.email },
					messages: expect.arrayContaining([
						expect.objectContaining({ kind: "order-confirmed", recipient: zoe.email })
					])
				}
			},
			nextCursor: null
		});
		const [secrets] = await database("users").query<Record<string, string>>(
			`SELECT u.password_hash, encode(t.hash, 'hex') AS token, encode(o.hash, 'hex') AS link
			 FROM users u JOIN session s ON s.user_id = u.id JOIN refresh_token t ON t.session_id = s.id
			 JOIN one_time_token o ON o.user_id = u.id WHERE u.id = $1`,
			[zoe.user.id]
		);
		for (const secret of Object.values(secrets!))
			expect(JSON.stringify(document)).not.toContain(secret);
		expect(JSON.stringify(document)).not.toMatch(/hash|refreshToken|salt/i);
		expect(
			await database("users").query(
				"SELECT type FROM security_event WHERE user_id = $1 AND type = 'data-exported'",
				[zoe.user.id]
			)
		).toHaveLength(1);
	});

	it("gets long histories in several documents, and nothing for cursors of somebody else", async () => {
		const [zoe, eve] = [await newPerson(), await newPerson()];
		await database("users").query(
			`INSERT INTO session (id, user_id, device, address, expires_at)
			 SELECT gen_random_uuid(), $1, repeat('x', 200), '192.0.2.1', now() FROM generate_series(1, 1200)`,
			[zoe.user.id]
		);
		const sessions = new Set<string>();
		const cursors: string[] = [];
		for (;;) {
			const cursor = cursors.at(-1);
			const document = await call("exports.mine", cursor ? { cursor } : {}, zoe.user);
			for (const { id } of document.parts["users"]!["sessions"] as { id: string }[])
				sessions.add(id);
			if (document.nextCursor === null) break;
			cursors.push(document.nextCursor);
		}
		expect(sessions.size).toBe(1_201);
		expect(cursors.length).toBeGreaterThan(1);
		for (const cursor of cursors)
			await expect(call("exports.mine", { cursor }, eve.user)).rejects.toMatchObject({
				type: "INVALID_CURSOR"
			});
	});

	it("gets no export where a part would be missing", async () => {
		const zoe = await newPerson();
		const service = node.broker.getLocalService("orders-data");
		await node.broker.destroyService(service);
		await expect(call("exports.mine", {}, zoe.user)).rejects.toMatchObject({
			type: "EXPORT_INCOMPLETE",
			code: 503
		});
	});
});

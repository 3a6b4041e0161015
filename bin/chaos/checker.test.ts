import { randomUUID } from "node:crypto";
import { testDatabase } from "../../tests/support/database.ts";
import type { Database, Queries } from "../../lib/database.ts";
import { check, isClean, readTook, type Verdict } from "./checker.ts";
import { Ledger } from "./clients.ts";
import { CONSUMERS, record } from "./contract.ts";
import { createAccountTables, createEffectTables } from "./tables.ts";

const [one, other] = [randomUUID(), randomUUID()] as const;
/** Three commands on each of two accounts. */
const commands = [one, other].flatMap(account =>
	[1, 2, 3].map(version => ({ account, version, key: randomUUID() }))
);
const [first, second] = commands as [(typeof commands)[0], (typeof commands)[0]];
const refused = randomUUID();

let orders: Database;
let catalog: Database;
let ledger: Ledger;

const dbOf = (group: string): Database => (group === "orders" ? orders : catalog);

/** What a run without a violation leaves behind. */
beforeAll(async () => {
	[orders, catalog] = [await testDatabase("orders"), await testDatabase("catalog")];
	for (const db of [orders, catalog]) await createEffectTables(db);
	await createAccountTables(orders, [one, other]);
	await orders.query("UPDATE chaos_account SET version = 3");
	for (const { account, version, key } of commands) {
		await orders.query("INSERT INTO chaos_command VALUES ($1, $2, $3)", [key, account, version]);
		for (const [group, type] of [
			["orders", "account.posted.v1"],
			["catalog", "entry.applied.v1"]
		] as const)
			await dbOf(group).transaction(async tx =>
				record(tx, type, { id: account, version }, { key })
			);
	}
	for (const { name, group, type, from, ordered } of CONSUMERS) {
		const events = await dbOf(from).query<{
			id: string;
			account: string;
			version: number;
			key: string;
		}>(
			"SELECT event_id AS id, aggregate_id AS account, aggregate_version AS version, payload->>'key' AS key FROM outbox WHERE type = $1 ORDER BY id",
			[type]
		);
		for (const { id, account, version, key } of events)
			await dbOf(group).query(
				"INSERT INTO chaos_effect (consumer, event_id, account, version, position, key) VALUES ($1, $2, $3, $4, $5, $6)",
				[name, id, account, version, ordered ? version : null, key]
			);
	}
	for (const db of [orders, catalog]) await db.query("UPDATE outbox SET published_at = now()");
});
afterAll(async () => {
	await orders.close();
	await catalog.close();
});
beforeEach(() => {
	ledger = new Ledger();
	for (const { key, account, version } of commands)
		ledger.hear(ledger.ask({ key, account, refuse: false }), { version });
	ledger.hear(ledger.ask({ key: refused, account: one, refuse: true }), "refused");
});

const verdictOf = async (databases: { orders: Queries; catalog: Queries }): Promise<Verdict> =>
	check(ledger, await readTook(databases));

/** The verdict on a database that was tampered with; all of it is taken back. */
async function verdictAfter(group: "orders" | "catalog", sql: string): Promise<Verdict> {
	let verdict: Verdict | undefined;
	const undone = dbOf(group).transaction(async tx => {
		await tx.query(sql);
		verdict = await verdictOf({ orders, catalog, [group]: tx });
		throw new Error("undone");
	});
	await expect(undone).rejects.toThrow("undone");
	return verdict!;
}

it("finds nothing where nothing is wrong", async () => {
	const verdict = await verdictOf({ orders, catalog });
	expect(verdict).toEqual({
		lost: 0,
		phantom: 0,
		double: 0,
		outOfOrder: 0,
		deadLetters: 0,
		unpublished: 0,
		details: []
	});
	expect(isClean(verdict)).toBe(true);
});

const of = (consumer: string) => `consumer = '${consumer}' AND key = '${first.key}'`;

it.each([
	[
		"lost",
		"an acknowledged command",
		"orders",
		`DELETE FROM chaos_command WHERE key = '${first.key}'`
	],
	[
		"lost",
		"the event of a command",
		"orders",
		`DELETE FROM outbox WHERE payload->>'key' = '${first.key}'`
	],
	[
		"lost",
		"the reader's effect",
		"catalog",
		`DELETE FROM chaos_effect WHERE ${of("chaos-reader")}`
	],
	[
		"lost",
		"the observer's effect",
		"catalog",
		`DELETE FROM chaos_effect WHERE ${of("chaos-observer")}`
	],
	["lost", "the writer's effect", "orders", `DELETE FROM chaos_effect WHERE ${of("chaos-writer")}`],
	[
		"lost",
		"the version that was answered",
		"orders",
		`UPDATE chaos_command SET version = 9 WHERE key = '${first.key}'`
	],
	[
		"phantom",
		"a command of nobody",
		"orders",
		`INSERT INTO chaos_command VALUES (gen_random_uuid(), '${one}', 4)`
	],
	[
		"phantom",
		"a refused command",
		"orders",
		`INSERT INTO chaos_command VALUES ('${refused}', '${one}', 4)`
	],
	[
		"phantom",
		"an effect of no event",
		"catalog",
		`UPDATE chaos_effect SET event_id = gen_random_uuid() WHERE ${of("chaos-observer")}`
	],
	[
		"phantom",
		"an event of what was rolled back",
		"orders",
		`DELETE FROM chaos_command WHERE key = '${first.key}'`
	],
	...CONSUMERS.map(
		({ name, group }) =>
			[
				"double",
				`an effect of ${name}`,
				group as "orders" | "catalog",
				`INSERT INTO chaos_effect (consumer, event_id, account, version, position, key)
				 SELECT consumer, event_id, account, version, 4, key FROM chaos_effect WHERE ${of(name)}`
			] as const
	),
	[
		"outOfOrder",
		"two effects of the reader",
		"catalog",
		`UPDATE chaos_effect SET position = 3 - position WHERE consumer = 'chaos-reader' AND position < 3`
	],
	[
		"outOfOrder",
		"two effects of the writer",
		"orders",
		`UPDATE chaos_effect SET position = 5 - position WHERE consumer = 'chaos-writer' AND position > 1`
	],
	[
		"outOfOrder",
		"an account ahead of its commands",
		"orders",
		`UPDATE chaos_account SET version = 4 WHERE id = '${one}'`
	],
	[
		"outOfOrder",
		"a gap in the commands",
		"orders",
		`DELETE FROM chaos_command WHERE key = '${second.key}'`
	],
	[
		"deadLetters",
		"an event given up",
		"catalog",
		`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id, aggregate_version, envelope, reason, deliveries)
		VALUES ('chaos-reader', gen_random_uuid(), 'account.posted.v1', 'account', gen_random_uuid(), 1, '{}', 'the handler failed', 8)`
	],
	[
		"unpublished",
		"an event left behind",
		"catalog",
		"UPDATE outbox SET published_at = NULL WHERE id = 1"
	]
] as const)("finds %s: %s", async (kind, _, group, sql) => {
	const verdict = await verdictAfter(group, sql);
	expect(verdict[kind]).toBeGreaterThan(0);
	expect(verdict.details.some(detail => detail.startsWith(`${kind}: `))).toBe(true);
	expect(isClean(verdict)).toBe(false);
});

it("counts an effect that comes again as double and not as out of order too", async () => {
	const { double, outOfOrder } = await verdictAfter(
		"catalog",
		`INSERT INTO chaos_effect (consumer, event_id, account, version, position, key)
		 SELECT consumer, event_id, account, version, 4, key FROM chaos_effect WHERE ${of("chaos-reader")}`
	);
	expect([double, outOfOrder]).toEqual([1, 0]);
});

it("holds a client that gave up to nothing", async () => {
	const done = commands[5]!;
	ledger.told.get(done.key)!.outcome = "unknown";
	ledger.ask({ key: randomUUID(), account: one, refuse: false });
	expect(isClean(await verdictOf({ orders, catalog }))).toBe(true);
});

it("finds an answer that contradicts the one before", async () => {
	const told = ledger.told.get(first.key)!;
	ledger.hear(told, { version: 1 });
	ledger.hear(told, "unknown");
	expect((await verdictOf({ orders, catalog })).double).toBe(0);
	ledger.hear(told, { version: 2 });
	expect((await verdictOf({ orders, catalog })).double).toBe(1);
});

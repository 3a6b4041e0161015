import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { MAX_ATTEMPTS } from "../lib/events/inbox.ts";
import { Api } from "../tests/support/api.ts";
import { testConfig } from "../tests/support/node.ts";
import {
	launch,
	newDataDir,
	runCommand,
	startOneProcess,
	type Running
} from "../tests/support/process.ts";
import { until } from "../tests/support/until.ts";

const config = testConfig();
let system: Running;
let api: Api;
let notifications: Database;
let users: Database;
beforeAll(async () => {
	system = await startOneProcess({ DATABASE_URL: config.DATABASE_URL!, DEMO_DATA: "false" });
	api = new Api(system.urls);
	users = new Database("users", databaseUrl(config, "users"));
	notifications = new Database("notifications", databaseUrl(config, "notifications"));
	await notifications.query(
		"ALTER TABLE recipient ADD CONSTRAINT no_poison CHECK (username <> 'poison')"
	);
}, 60_000);
afterAll(async () => {
	await Promise.all([users.close(), notifications.close()]);
	await system.stop();
	system.cleanUp();
});

const events = (...args: string[]) =>
	runCommand("bin/events.ts", args, { DATA_DIR: system.dataDir });
/** Whatever is listed. */
interface Listed {
	readonly items: readonly Record<string, unknown>[];
	readonly events: readonly object[];
}
const json = async (...args: string[]): Promise<Listed> =>
	JSON.parse((await events(...args, "--json")).output) as Listed;

/** Somebody whom `recipients` cannot take. Answers the event's id and the dead letter's. */
async function poison(): Promise<{ eventId: string; letterId: string }> {
	const [id, eventId] = [randomUUID(), randomUUID()];
	await notifications.query(
		"INSERT INTO inbox_attempt (consumer, event_id, attempts) VALUES ('recipients', $1, $2)",
		[eventId, MAX_ATTEMPTS]
	);
	const data = { userId: id, email: "eve@example.com", username: "poison", name: null };
	await users.query(
		`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload)
		 VALUES ($1, 'user.created.v1', 'user', $2, 1, $3::jsonb)`,
		[eventId, id, JSON.stringify(data)]
	);
	const letter = await until(
		() =>
			notifications.one<{ id: string }>("SELECT id FROM dead_letter WHERE event_id = $1", [
				eventId
			]),
		"the dead letter"
	);
	return { eventId, letterId: `notifications-${letter.id}` };
}

it("tells what waits, as tables or as JSON", async () => {
	await api.newCustomer();
	const { code, output } = await events("topics");
	expect(code).toBe(0);
	expect(output).toMatch(/^TOPIC +MESSAGES +NEWEST +UNPUBLISHED +OLDEST +SET ASIDE\n/);
	expect(output).toMatch(/^user\.events +\d+ +\d{4}-\S+ +\d+ /m);
	expect(output).toMatch(/^user\.events +recipients +notifications +0 +0 /m);
	expect(output).not.toContain("\u001b");
	const { items } = await json("topics");
	expect(items.map(({ topic }) => topic)).toContain("user.events");

	expect((await events("outbox")).output).toMatch(/^GROUP +LEADER [^]*^users +all-\S+ +0/m);
}, 60_000);

it("shows the newest events and what led to what", async () => {
	const { username } = await api.newCustomer();
	const { id } = (await users.one<{ id: string }>(
		"SELECT event_id AS id FROM outbox WHERE type = 'user.created.v1' AND payload->>'username' = $1",
		[username]
	))!;
	await until(async () => {
		const { events: story } = await json("trace", id);
		// The welcome, and the link that confirms the address.
		const sent = story.filter(event => "type" in event && event.type === "notification.sent.v1");
		return sent.length === 2;
	}, "the story");
	expect((await events("trace", id)).output).toMatch(
		/^user\.created\.v1 {2}users {2}\+0 ms .*\n│ {4}\w+ handled \+[^]*\n└─ notification\.sent\.v1 {2}notifications {2}\+/m
	);
	// Registered, asked to confirm the address, signed in.
	const { output } = await events("tail", "--topic", "user.events", "-n", "3");
	const [head, ...lines] = output.trim().split("\n");
	expect(head).toMatch(/^RECORDED +GROUP /);
	expect(lines).toHaveLength(3);
	expect(lines[0]).toMatch(new RegExp(`^\\S+ +users +user\\.created\\.v1 .*${id}`));

	const following = launch("bin/events.ts", ["tail", "--follow", "--json"], {
		DATA_DIR: system.dataDir
	});
	await following.says(new RegExp(id));
	const { registered } = await api.newCustomer();
	await following.says(new RegExp(`"userId":"${registered.body.id}"`));
	await following.stop();
	const told = following.output().trim().split("\n");
	const ids = told.map(line => (JSON.parse(line) as { id: string }).id);
	expect(new Set(ids).size).toBe(ids.length);
}, 60_000);

it("replays dead letters, as a dry run has shown them", async () => {
	const { eventId, letterId } = await poison();
	expect((await events("dead-letters", "list")).output).toMatch(
		new RegExp(`^${letterId} +dead +recipients +user\\.created\\.v1 .* 0 +.*no_poison`, "m")
	);
	expect((await json("dead-letters", "list", "--consumer", "recipients")).items).toMatchObject([
		{ id: letterId, eventId }
	]);
	const { output: shown } = await events("dead-letters", "show", letterId);
	expect(shown).toMatch(/event {8}user\.created\.v1 [^]*no_poison[^]*"username": "poison"/);

	const failing = await events("dead-letters", "replay", letterId);
	expect(failing.code).toBe(1);
	expect(failing.output).toMatch(/ planned\n[^]* failed: .*no_poison/);

	const dry = await events("dead-letters", "replay", "--topic", "user.events", "--dry-run");
	expect(dry.code).toBe(0);
	// What another consumer of the group made of the event is told as well.
	expect(dry.output).toMatch(
		new RegExp(
			`^${letterId} +recipients .* user\\.created\\.v1 +event notification\\.sent\\.v1 `,
			"m"
		)
	);
	const snapshot = /--snapshot (\S+)/.exec(dry.output)![1]!;
	await notifications.query("ALTER TABLE recipient DROP CONSTRAINT no_poison");
	const done = await json("dead-letters", "replay", "--snapshot", snapshot);
	expect(done.items).toMatchObject([{ id: letterId, outcome: "resolved" }]);
	expect(await events("dead-letters", "list")).toEqual({ code: 0, output: "There are none.\n" });
	expect((await json("dead-letters", "list", "--state", "resolved")).items).toHaveLength(1);
	await notifications.query("UPDATE recipient SET username = 'eve' WHERE username = 'poison'");
	await notifications.query(
		"ALTER TABLE recipient ADD CONSTRAINT no_poison CHECK (username <> 'poison')"
	);
}, 60_000);

it("discards a dead letter, with a reason", async () => {
	const { letterId } = await poison();
	const without = await events("dead-letters", "discard", letterId);
	expect(without).toMatchObject({ code: 1, output: expect.stringContaining("--reason") });
	const { code, output } = await events(
		"dead-letters",
		"discard",
		letterId,
		"--reason",
		"of no use",
		"--by",
		"ada"
	);
	expect({ code, output }).toEqual({
		code: 0,
		output: expect.stringContaining(`${letterId} is discarded.`)
	});
	const { items } = await json("dead-letters", "list", "--all", "--consumer", "recipients");
	expect(items.at(-1)).toMatchObject({ state: "discarded", settledBy: "ada", note: "of no use" });
	await users.query("DELETE FROM outbox WHERE payload->>'username' = 'poison'");
}, 60_000);

it("makes a projection anew", async () => {
	const { code, output } = await events("rebuild", "recipients");
	expect(output).toMatch(/^recipients is made anew of \d+ events, in \d+ ms\.\n$/);
	expect(code).toBe(0);
}, 60_000);

it("says in one line what is wrong, with exit code 1", async () => {
	const nowhere = newDataDir();
	const mistakes: [string[], RegExp][] = [
		[["dead-letters", "show", "orders-999"], /^There is no such dead letter\.$/],
		[["dead-letters", "show", "nonsense"], /^id must match pattern/],
		[["dead-letters", "replay"], /^Say which, in one way/],
		[["dead-letters", "replay", "--snapshot", randomUUID()], /^This snapshot is not known/],
		[["outbox", "retry", randomUUID()], /^There is no event of this id that was set aside\.$/],
		[["tail", "-n", "none"], /whole number from 1 to 1000/]
	];
	for (const [args, message] of mistakes) {
		const { code, output } = await events(...args);
		expect({ args, code, output: output.trim() }).toEqual({
			args,
			code: 1,
			output: expect.stringMatching(message)
		});
		expect(output.trim().split("\n")).toHaveLength(1);
	}
	const away = await runCommand("bin/events.ts", ["topics"], { DATA_DIR: nowhere });
	expect(away).toMatchObject({ code: 1, output: expect.stringContaining("Nothing runs here") });
	rmSync(nowhere, { recursive: true });
}, 90_000);

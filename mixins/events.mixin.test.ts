import { randomUUID } from "node:crypto";
import { Type } from "typebox";
import { Params } from "../contracts/common.ts";
import { contract } from "../lib/contract.ts";
import { databaseUrl, type Config } from "../lib/config.ts";
import type { Database } from "../lib/database.ts";
import { migrate } from "../lib/migrations.ts";
import { startNode, type ValenceNode } from "../lib/node.ts";
import { implement } from "../lib/service.ts";
import { testConfig } from "../tests/support/node.ts";
import { until } from "../tests/support/until.ts";
import { events } from "./events.mixin.ts";
import { relay } from "./relay.mixin.ts";

/** What each consumer was given, as `<aggregate>@<version>`. */
let given: Record<string, string[]>;
let config: Config;
let nodes: ValenceNode[];

const listener = (name: string, ordered = true) =>
	implement(contract({ name, actions: {}, events: {}, failures: {} }))({
		mixins: [events("orders", { ordered })],
		actions: {},
		events: {
			async "session.revoked.v1"(event) {
				(given[name] ??= []).push(`${event.aggregateid}@${event.aggregateversion}`);
			}
		}
	});
const relayOf = (group: "users" | "catalog") =>
	implement(contract({ name: `relay-${group}`, actions: {}, events: {}, failures: {} }))({
		mixins: [relay(group)],
		actions: {}
	});

/** One process with these consumers and the relays of two groups that record. */
async function start(...consumers: ReturnType<typeof listener>[]): Promise<ValenceNode> {
	const node = await startNode(config, {
		units: [],
		extra: [...consumers, relayOf("users"), relayOf("catalog")]
	});
	nodes.push(node);
	return node;
}
async function stop(): Promise<void> {
	await Promise.all(nodes.splice(0).map(node => node.stop()));
}
beforeEach(async () => {
	config = testConfig();
	given = {};
	nodes = [];
	for (const group of ["users", "catalog", "orders"] as const)
		await migrate(group, databaseUrl(config, group));
});
afterEach(stop);

const record = (db: Database, id: string, ...versions: number[]) =>
	db.transaction(async tx => {
		for (const version of versions)
			tx.record(
				"session.revoked.v1",
				{ id, version },
				{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
			);
	});
const published = (...databases: Database[]) =>
	until(async () => {
		for (const db of databases)
			if (await db.one("SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1")) return false;
		return true;
	}, "everything is published");
const purge = (db: Database, id: string, upTo: number) =>
	db.query("DELETE FROM outbox WHERE aggregate_id = $1 AND aggregate_version <= $2", [id, upTo]);
const at = (id: string, ...versions: number[]) => versions.map(version => `${id}@${version}`);

describe("in one process, a consumer that is new", () => {
	/** A system with a history: some of it is purged, and one consumer knows it all. */
	async function withHistory() {
		const { runtime } = await start(listener("old"));
		const [users, catalog] = [runtime.database("users"), runtime.database("catalog")];
		const ids = {
			whole: randomUUID(),
			cut: randomUUID(),
			rested: randomUUID(),
			away: randomUUID()
		};
		await record(users, ids.whole, 1, 2, 3);
		await record(users, ids.cut, 1, 2, 3, 4, 5);
		await record(users, ids.rested, 1, 2);
		await record(catalog, ids.away, 1, 2);
		await published(users, catalog);
		await purge(users, ids.cut, 3);
		await purge(users, ids.rested, 2);
		expect(given["old"]).toHaveLength(12);
		await stop();
		return ids;
	}

	it("is given what the outboxes of all groups still have, in order, and all that comes", async () => {
		const ids = await withHistory();
		const { runtime } = await start(listener("old"), listener("young"), listener("free", false));
		const [users, catalog] = [runtime.database("users"), runtime.database("catalog")];
		await published(users, catalog);
		const history = [...at(ids.whole, 1, 2, 3), ...at(ids.cut, 4, 5), ...at(ids.away, 1, 2)];
		for (const name of ["young", "free"])
			expect(given[name]!.toSorted()).toEqual(history.toSorted());
		for (const id of Object.values(ids)) {
			const versions = given["young"]!.filter(event => event.startsWith(id));
			expect(versions).toEqual(versions.toSorted());
		}
		// The others knew it.
		expect(given["old"]).toHaveLength(12);
		for (const [id, version] of [
			[ids.whole, 4],
			[ids.cut, 6],
			// Nothing of it was left.
			[ids.rested, 3]
		] as const)
			await record(users, id, version);
		await published(users);
		const later = [...at(ids.whole, 4), ...at(ids.cut, 6), ...at(ids.rested, 3)];
		for (const name of ["old", "young", "free"])
			expect(given[name]!.slice(-3).toSorted()).toEqual(later.toSorted());
		expect(await runtime.database("orders").query("SELECT 1 FROM dead_letter")).toEqual([]);
	});

	it("is new only once", async () => {
		await withHistory();
		const first = await start(listener("young"));
		await published(first.runtime.database("users"), first.runtime.database("catalog"));
		const { length } = given["young"]!;
		await stop();
		const { runtime } = await start(listener("young"));
		expect(
			await runtime.database("users").query("SELECT 1 FROM outbox WHERE published_at IS NULL")
		).toEqual([]);
		expect(given["young"]).toHaveLength(length);
		expect(
			await runtime
				.database("orders")
				.query("SELECT consumer, aggregate_type FROM inbox_topic ORDER BY consumer")
		).toEqual([
			{ consumer: "old", aggregate_type: "session" },
			{ consumer: "young", aggregate_type: "session" }
		]);
	});

	it("does not begin where a database does not answer: its history would be missed", async () => {
		await withHistory();
		const { runtime } = await start(listener("old"));
		const catalog = runtime.database("catalog");
		await catalog.query("ALTER TABLE outbox RENAME COLUMN published_at TO gone_at");
		await stop();
		await expect(start(listener("young"))).rejects.toThrow(/published_at/);
	});
});

describe("two commands that lock the same rows the other way round", () => {
	const bridge = contract({
		name: "bridge",
		failures: {},
		events: {},
		actions: {
			cross: {
				summary: "Cross",
				access: "public",
				rest: { route: "POST /bridge", tag: "Test" },
				params: Params({ from: Type.Integer(), to: Type.Integer() }),
				result: Type.Null()
			}
		}
	});

	it.each([
		["without a key", []],
		["with an Idempotency-Key each", ["a", "b"]]
	])("both succeed, %s", async (_, keys) => {
		let tries = 0;
		const { promise: bothHaveOne, resolve: haveBoth } = Promise.withResolvers<void>();
		const crossing = implement(bridge)({
			mixins: [events("orders")],
			actions: {
				async cross({ params: { from, to } }) {
					await this.transaction(async tx => {
						const pass = (id: number) =>
							tx.query("UPDATE plank SET steps = steps + 1 WHERE id = $1", [id]);
						await pass(from);
						if (++tries === 2) haveBoth();
						await bothHaveOne;
						await pass(to);
					});
					return null;
				}
			}
		});
		const { broker, runtime } = await start(crossing);
		const db = runtime.database("orders");
		await db.query("CREATE TABLE plank (id int PRIMARY KEY, steps int NOT NULL DEFAULT 0)");
		await db.query("INSERT INTO plank VALUES (1), (2)");
		const cross = (from: number, to: number, idempotencyKey: string | undefined) =>
			broker.call("bridge.cross", { from, to }, {
				headers: idempotencyKey === undefined ? {} : { idempotencyKey }
			} as object);
		const crossed = await Promise.all([cross(1, 2, keys[0]), cross(2, 1, keys[1])]);
		expect(crossed).toEqual([null, null]);
		expect(tries).toBe(3);
		expect(await db.query("SELECT steps FROM plank")).toEqual([{ steps: 2 }, { steps: 2 }]);
		expect(await db.query("SELECT key FROM idempotency_key ORDER BY key")).toEqual(
			keys.map(key => ({ key }))
		);
	});
});

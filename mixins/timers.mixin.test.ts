import { randomUUID } from "node:crypto";
import { contract } from "../lib/contract.ts";
import { databaseUrl, type Config } from "../lib/config.ts";
import { currentContext, runInContext } from "../lib/context.ts";
import type { Database } from "../lib/database.ts";
import { migrate } from "../lib/migrations.ts";
import { startNode, type ValenceNode } from "../lib/node.ts";
import { implement } from "../lib/service.ts";
import { testConfig } from "../tests/support/node.ts";
import { until } from "../tests/support/until.ts";
import { events } from "./events.mixin.ts";
import { clearTimer, findDeadline, setTimer, timers, type TimerHandler } from "./timers.mixin.ts";

const clock = contract({ name: "clock", actions: {}, events: {}, failures: {} });

let config: Config;
let nodes: ValenceNode[];
let db: Database;
/** What the handlers do, by kind; a test sets it. */
let handlers: Record<"bell" | "alarm", TimerHandler>;
const fired = async () =>
	(await db.query<{ ref_id: string }>("SELECT ref_id FROM fired ORDER BY seq")).map(
		row => row.ref_id
	);
const ring: TimerHandler = (tx, refId) =>
	tx.query("INSERT INTO fired (ref_id) VALUES ($1)", [refId]);

const startClock = async () => {
	const node = await startNode(config, {
		units: [],
		extra: [
			implement(clock)({
				mixins: [
					events("orders"),
					timers("orders", {
						bell: (...args) => handlers.bell(...args),
						alarm: (...args) => handlers.alarm(...args)
					})
				],
				actions: {}
			})
		]
	});
	nodes.push(node);
	return node;
};
beforeEach(async () => {
	config = testConfig();
	await migrate("orders", databaseUrl(config, "orders"));
	nodes = [];
	handlers = { bell: ring, alarm: ring };
	db = (await startClock()).runtime.database("orders");
	await db.query("CREATE TABLE fired (seq bigint GENERATED ALWAYS AS IDENTITY, ref_id uuid)");
});
afterEach(() => Promise.all(nodes.map(node => node.stop())));

const set = (kind: string, refId: string, inMs: number) =>
	db.transaction(tx => setTimer(tx, kind, refId, inMs));
const timer = (refId: string) =>
	db.one<{ done: boolean; attempts: number; last_error: string | null; wait: number }>(
		`SELECT done_at IS NOT NULL AS done, attempts, last_error,
		   extract(epoch FROM fire_at - clock_timestamp())::float AS wait FROM timer WHERE ref_id = $1`,
		[refId]
	);
const allDone = (ids: readonly string[]) =>
	until(
		async () =>
			(await db.one<{ n: number }>(
				"SELECT count(*)::int AS n FROM timer WHERE ref_id = ANY ($1::uuid[]) AND done_at IS NULL",
				[ids]
			))!.n === 0,
		"all timers done"
	);

describe("a timer", () => {
	it("fires once, at its time, in the order of their times", async () => {
		const [late, soon, never] = [randomUUID(), randomUUID(), randomUUID()];
		await set("bell", never, 60_000);
		await db.transaction(async tx => {
			await setTimer(tx, "bell", late, 60);
			await setTimer(tx, "bell", soon, 20);
			expect(Date.parse((await findDeadline(tx, "bell", late))!)).toBeGreaterThan(0);
		});
		await allDone([late, soon]);
		expect(await fired()).toEqual([soon, late]);
		expect(await timer(never)).toMatchObject({ done: false });
		expect(await findDeadline(db, "bell", late)).toBeUndefined();
	});

	it("fires once with two nodes", async () => {
		await startClock();
		const ids = Array.from({ length: 30 }, () => randomUUID());
		await Promise.all(ids.map(id => set("bell", id, Math.random() * 200)));
		await allDone(ids);
		expect((await fired()).sort()).toEqual(ids.toSorted());
	});

	it("is not set by what is rolled back", async () => {
		const id = randomUUID();
		await expect(
			db.transaction(async tx => {
				await setTimer(tx, "bell", id, 0);
				throw new Error("changed my mind");
			})
		).rejects.toThrow("changed my mind");
		expect(await timer(id)).toBeUndefined();
	});

	it("can be taken back, and set anew", async () => {
		const [cleared, reset] = [randomUUID(), randomUUID()];
		await db.transaction(async tx => {
			await setTimer(tx, "bell", cleared, 0);
			await setTimer(tx, "bell", reset, 0);
			await clearTimer(tx, "bell", cleared);
			await setTimer(tx, "bell", reset, 60_000);
		});
		const witness = randomUUID();
		await set("bell", witness, 0);
		await allDone([witness]);
		expect(await fired()).toEqual([witness]);
		await set("bell", reset, 0);
		await allDone([reset]);
		expect(await fired()).toEqual([witness, reset]);
	});

	it("may be set anew by its own handler", async () => {
		let rings = 0;
		handlers.bell = async (tx, refId) => {
			await ring(tx, refId, config);
			if (++rings < 3) await setTimer(tx, "bell", refId, 0);
		};
		const id = randomUUID();
		await set("bell", id, 0);
		await until(async () => (await fired()).length === 3, "three rings");
		await allDone([id]);
		expect(await fired()).toEqual([id, id, id]);
	});

	it("is tried again after its handler failed, and holds nobody up meanwhile", async () => {
		const [bad, good] = [randomUUID(), randomUUID()];
		let failures = 0;
		handlers.bell = async (tx, refId) => {
			await ring(tx, refId, config);
			if (refId === bad && failures++ < 1) throw new Error("broken");
		};
		await set("bell", bad, 0);
		await until(async () => (await timer(bad))?.attempts === 1, "a failure");
		await set("bell", good, 0);
		await allDone([good]);
		expect(await timer(bad)).toMatchObject({ done: false, last_error: "Error: broken" });
		await allDone([bad]);
		// What the failed one did is undone.
		expect(await fired()).toEqual([good, bad]);
	});

	it("waits five minutes at most, however often it failed", async () => {
		handlers.alarm = async () => {
			throw new Error("broken");
		};
		const id = randomUUID();
		await set("alarm", id, 60_000);
		await db.query("UPDATE timer SET attempts = 5000, fire_at = now() WHERE ref_id = $1", [id]);
		const { wait } = await until(async () => {
			const row = await timer(id);
			return row!.attempts === 5_001 && row!.last_error !== null && row;
		}, "another failure");
		expect(wait).toBeGreaterThan(290);
		expect(wait).toBeLessThanOrEqual(300);
	});

	it("does not bring forward what was set anew while its handler failed", async () => {
		const id = randomUUID();
		let resetting: Promise<void> | undefined;
		handlers.bell = async (tx, refId) => {
			// It waits for us, and comes before the failure is written down.
			resetting ??= set("bell", refId, 60_000);
			await tx.query("SELECT pg_sleep(0.05)");
			throw new Error("broken");
		};
		await set("bell", id, 0);
		await until(() => resetting !== undefined, "the reset");
		await resetting;
		await until(async () => (await timer(id))!.wait > 50, "the new deadline");
		const witness = randomUUID();
		await set("alarm", witness, 0);
		await allDone([witness]);
		expect((await timer(id))!.wait).toBeGreaterThan(50);
	});

	it("that fires while it is cleared does not end in a deadlock", async () => {
		const deadlocks = async () =>
			(await db.one<{ deadlocks: number }>(
				"SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()"
			))!.deadlocks;
		const before = await deadlocks();
		await db.query("CREATE TABLE thing (id uuid PRIMARY KEY)");
		const id = randomUUID();
		await db.query("INSERT INTO thing VALUES ($1)", [id]);
		let waiting = () => {};
		const firing = new Promise<void>(resolve => {
			waiting = resolve;
		});
		handlers.bell = async (tx, refId) => {
			waiting();
			await tx.query("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", [refId]);
			await ring(tx, refId, config);
		};
		await db.transaction(async tx => {
			await tx.query("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", [id]);
			await set("bell", id, 0);
			await firing;
			await clearTimer(tx, "bell", id);
		});
		await allDone([id]);
		expect(await timer(id)).toMatchObject({ attempts: 1 });
		expect(await fired()).toEqual([id]);
		expect(await deadlocks()).toBe(before);
	});

	/** As a node leaves a timer that has claimed it and then died, or stands still. */
	const claim = (id: string, seconds: number, attempts = 1) =>
		db.query(
			`UPDATE timer SET attempts = $3, lease_until = clock_timestamp() + $2 * interval '1 second' WHERE ref_id = $1`,
			[id, seconds, attempts]
		);
	/** Long enough for what is due to fire. */
	const othersFire = async () => {
		const witness = randomUUID();
		await set("alarm", witness, 0);
		await allDone([witness]);
	};
	const firedOf = async (id: string) => (await fired()).filter(ref => ref === id).length;

	it("is claimed by a node for a while, and counted before its handler runs", async () => {
		const id = randomUUID();
		let seen: unknown;
		handlers.bell = async (tx, refId) => {
			// In another transaction: what a node that dies here leaves behind.
			seen = await db.one(
				"SELECT attempts, done_at IS NULL AS open, extract(epoch FROM lease_until - clock_timestamp())::int AS lease FROM timer WHERE ref_id = $1",
				[refId]
			);
			await ring(tx, refId, config);
		};
		await set("bell", id, 0);
		await allDone([id]);
		expect(seen).toEqual({ attempts: 1, open: true, lease: expect.any(Number) });
		expect((seen as { lease: number }).lease).toBeGreaterThan(25);
	});

	it("whose node has died is fired by another when the claim has run out, and not before", async () => {
		const id = randomUUID();
		await db.transaction(async tx => {
			await setTimer(tx, "bell", id, 0);
			await tx.query(
				"UPDATE timer SET attempts = 1, lease_until = clock_timestamp() + interval '1 hour' WHERE ref_id = $1",
				[id]
			);
		});
		await othersFire();
		expect(await firedOf(id)).toBe(0);
		await claim(id, -1);
		await allDone([id]);
		expect(await firedOf(id)).toBe(1);
		expect(await timer(id)).toMatchObject({ attempts: 2, done: true });
	});

	it.each(["cleared", "set anew", "claimed by another node"])(
		"that is %s after it was claimed does not fire",
		async what => {
			const id = randomUUID();
			const transaction = db.transaction.bind(db);
			// The node stands still between its claim and its transaction.
			const standing = jest.spyOn(db, "transaction");
			let met = false;
			standing.mockImplementation(async (...args) => {
				const claimed = await db.one<{ attempts: number }>(
					"SELECT attempts FROM timer WHERE ref_id = $1 AND lease_until IS NOT NULL AND done_at IS NULL",
					[id]
				);
				if (claimed && !met) {
					met = true;
					await transaction(async tx => {
						if (what === "cleared") await clearTimer(tx, "bell", id);
						if (what === "set anew") await setTimer(tx, "bell", id, 60_000);
						if (what === "claimed by another node")
							await tx.query("UPDATE timer SET attempts = 2 WHERE ref_id = $1", [id]);
					});
				}
				return transaction(...args);
			});
			await set("bell", id, 0);
			await until(() => met, "its claim");
			await othersFire();
			standing.mockRestore();
			expect(await firedOf(id)).toBe(0);
			expect((await timer(id))!.last_error).toBeNull();
		}
	);

	it("works on behalf of what set it", async () => {
		const id = randomUUID();
		let seen: object = {};
		handlers.bell = async tx => {
			seen = currentContext();
			tx.record(
				"session.revoked.v1",
				{ id, version: 1 },
				{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
			);
		};
		const context = { requestId: "r1", correlationId: "c1", causationId: "e1" };
		await runInContext(context, () => set("bell", id, 0));
		await allDone([id]);
		expect(seen).toEqual(context);
		// So does what its transaction records.
		expect(await db.one("SELECT headers FROM outbox WHERE aggregate_id = $1", [id])).toEqual({
			headers: context
		});
	});
});

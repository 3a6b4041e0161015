import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DataTypes, type Model, type ModelStatic } from "sequelize";
import { Type } from "typebox";
import { testDatabase } from "../tests/support/database.ts";
import { somebody, startTestNode, testConfig, type TestNode } from "../tests/support/node.ts";
import { databaseUrl, type Config } from "./config.ts";
import { Database, isRetryable, requireDurableCommits, type Tx } from "./database.ts";
import { declareEvents, InvalidEventError } from "./events/catalog.ts";
import { migrate } from "./migrations.ts";
import { startNode } from "./node.ts";
import { createSigningKeys } from "./signing-keys.ts";
import { StartupError } from "./startup-error.ts";

describe("a node", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());
	it("answers", async () => {
		expect(await node.call("users-events.status", {}, somebody())).toMatchObject({
			database: "up",
			unpublished: 0
		});
	});
});

describe("a database that may forget what it has confirmed", () => {
	const refusal = /^The database of the group users has synchronous_commit = off/;
	const prepare = async (): Promise<{ config: Config; url: string }> => {
		const config = testConfig({ AUTH_KEYS: await createSigningKeys() });
		const url = databaseUrl(config, "users");
		await migrate("users", url);
		return { config, url };
	};
	const setUp = async (url: string, sql: string) => {
		const database = new Database("users", url, { poolSize: 1 });
		await database.query(sql.replace("$name", `"${new URL(url).pathname.slice(1)}"`));
		await database.close();
	};

	it("is refused at the start of a node, with what to do", async () => {
		const { config, url } = await prepare();
		await setUp(url, "ALTER DATABASE $name SET synchronous_commit = off");
		const start = () => startNode(config, { units: ["users"] });
		await expect(start()).rejects.toThrow(refusal);
		await expect(start()).rejects.toThrow(StartupError);
		const advice = await start().catch((error: Error) => error.message);
		const [, command] = /`(.+)`/.exec(advice as string)!;
		await setUp(url, command!);
		await (await start()).stop();
	});

	it.each([
		["on", /^$/],
		["local", /^$/],
		["off", refusal]
	])("is known by what its URL sets: %s", async (setting, expected) => {
		const { url } = await prepare();
		const set = `${url}?options=${encodeURIComponent(`-c synchronous_commit=${setting}`)}`;
		const database = new Database("users", set, { poolSize: 1 });
		const refused = await requireDurableCommits(database).catch((error: Error) => error.message);
		expect(refused ?? "").toMatch(expected);
		await database.close();
	});
});

describe("a transaction", () => {
	let db: Database;
	beforeAll(async () => {
		db = await testDatabase("users");
		await db.query("CREATE TABLE thing (id int PRIMARY KEY, name text)");
	});
	beforeEach(() => db.query("TRUNCATE thing"));
	afterAll(() => db.close());
	const things = async () =>
		(await db.query<{ id: number }>("SELECT id FROM thing ORDER BY id")).map(({ id }) => id);
	const insert = (tx: Tx, id: number) => tx.query("INSERT INTO thing VALUES ($1, 'x')", [id]);
	/** Ends the connection of the transaction from the outside, as a failover does. */
	const terminate = async (tx: Tx) => {
		const { pid } = (await tx.one<{ pid: number }>("SELECT pg_backend_pid() AS pid"))!;
		await db.query("SELECT pg_terminate_backend($1)", [pid]);
		return pid;
	};
	const pids = async () =>
		(
			await Promise.all(
				Array.from({ length: 5 }, () =>
					db.one<{ pid: number }>("SELECT pg_backend_pid() AS pid, pg_sleep(0.02)")
				)
			)
		).map(row => row!.pid);

	it("answers what its work answers, and undoes everything where that throws", async () => {
		const answer = await db.transaction(async tx => {
			await insert(tx, 1);
			expect(await things()).toEqual([]);
			return "done";
		});
		expect(answer).toBe("done");
		const failure = new Error("changed my mind");
		const failed = db.transaction(async tx => {
			await insert(tx, 2);
			throw failure;
		});
		await expect(failed).rejects.toBe(failure);
		expect(await things()).toEqual([1]);
	});

	it("does not pretend to have committed where a failed statement was swallowed", async () => {
		let woken = false;
		const failed = db.transaction(async tx => {
			tx.afterCommit(() => {
				woken = true;
			});
			await insert(tx, 1);
			await insert(tx, 1).catch(() => {});
		});
		await expect(failed).rejects.toThrow("was rolled back");
		expect(await things()).toEqual([]);
		expect(woken).toBe(false);
	});

	it("whose connection breaks fails, is worth a retry, and leaves no broken one behind", async () => {
		let broken = 0;
		const during = db.transaction(async tx => {
			await insert(tx, 1);
			broken = await terminate(tx);
			await insert(tx, 2);
		});
		const error = await during.catch((failure: unknown) => failure);
		expect(isRetryable(error)).toBe(true);
		const between = db.transaction(async tx => {
			await insert(tx, 3);
			await terminate(tx);
			// Nobody asks anything of it when the news comes.
			await sleep(50);
		});
		expect(isRetryable(await between.catch((failure: unknown) => failure))).toBe(true);
		expect(await things()).toEqual([]);
		expect(await pids()).not.toContain(broken);
		await db.transaction(tx => insert(tx, 4));
		expect(await things()).toEqual([4]);
	});

	it("survives that all idle connections are ended at once", async () => {
		await pids();
		const one = await testDatabaseClient(db);
		await one.query(
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
		);
		await one.close();
		await sleep(50);
		await db.transaction(tx => insert(tx, 1));
		expect(await things()).toEqual([1]);
	});

	it("of maintenance may take longer than others", async () => {
		const timeout = (tx: Tx) =>
			tx.one<{ value: string }>("SELECT current_setting('statement_timeout') AS value");
		expect(await db.transaction(timeout)).toEqual({ value: "4s" });
		expect(await db.transaction(timeout, undefined, { patient: true })).toEqual({ value: "0" });
		expect(await db.transaction(timeout)).toEqual({ value: "4s" });
	});

	describe("that PostgreSQL undoes to end a deadlock", () => {
		beforeEach(() => db.query("INSERT INTO thing VALUES (1, ''), (2, '')"));
		const names = async () =>
			(await db.query<{ name: string }>("SELECT name FROM thing WHERE id < 3 ORDER BY id")).map(
				({ name }) => name
			);
		/** Two that write the same two rows, each the other's first one last, once both have their first. */
		const cross = (repeatable: boolean) => {
			const tries: Record<string, number> = { a: 0, b: 0 };
			const woken: string[] = [];
			const first = { a: Promise.withResolvers<void>(), b: Promise.withResolvers<void>() };
			const write = (tx: Tx, name: string, id: number) =>
				tx.query("UPDATE thing SET name = name || $2 WHERE id = $1", [id, name]);
			const run = (name: "a" | "b", rows: readonly [number, number]) =>
				db.transaction(
					async tx => {
						tries[name]!++;
						tx.afterCommit(() => woken.push(name));
						const id = randomUUID();
						await insert(tx, rows[0] + 10);
						await write(tx, name, rows[0]);
						tx.record(
							"session.revoked.v1",
							{ id, version: 1 },
							{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
						);
						first[name].resolve();
						await Promise.all([first.a.promise, first.b.promise]);
						await write(tx, name, rows[1]);
						return name;
					},
					undefined,
					{ repeatable }
				);
			return { tries, woken, both: Promise.allSettled([run("a", [1, 2]), run("b", [2, 1])]) };
		};
		const facts = async () =>
			(await db.one<{ n: number }>("SELECT count(*)::int AS n FROM outbox"))!.n;

		it("is done once more, as if it had not been there before", async () => {
			const before = await facts();
			const { tries, woken, both } = cross(true);
			expect(await both).toEqual([
				{ status: "fulfilled", value: "a" },
				{ status: "fulfilled", value: "b" }
			]);
			expect(tries["a"]! + tries["b"]!).toBe(3);
			for (const name of await names()) expect(["ab", "ba"]).toContain(name);
			expect([...woken].sort()).toEqual(["a", "b"]);
			expect((await facts()) - before).toBe(2);
		});

		it("is not, where it may have done something else", async () => {
			const { tries, both } = cross(false);
			const failed = (await both).filter(({ status }) => status === "rejected");
			expect(failed).toEqual([
				{ status: "rejected", reason: expect.objectContaining({ code: "40P01" }) }
			]);
			expect(tries).toEqual({ a: 1, b: 1 });
		});

		it("is done twice at most, and not for another reason", async () => {
			for (const [code, times] of [
				["40P01", 2],
				["40001", 2],
				["55P03", 1],
				["57014", 1],
				["08006", 1],
				["ECONNRESET", 1]
			] as const) {
				const work = jest.fn(async () => {
					throw Object.assign(new Error("x"), { code });
				});
				const failed = db.transaction(work, undefined, { repeatable: true });
				await expect(failed).rejects.toMatchObject({ code });
				expect([code, work.mock.calls.length]).toEqual([code, times]);
			}
		});
	});

	describe("that a Sequelize model joins", () => {
		let Thing: ModelStatic<Model<{ id: number; name: string }>>;
		beforeAll(() => {
			Thing = db.sequelize.define(
				"thing",
				{ id: { type: DataTypes.INTEGER, primaryKey: true }, name: DataTypes.TEXT },
				{ tableName: "thing", timestamps: false }
			);
		});

		it("sees what the model wrote, which nobody else does before the commit", async () => {
			await db.transaction(async tx => {
				const { transaction } = tx;
				await insert(tx, 1);
				await Thing.create({ id: 2, name: "y" }, { transaction });
				expect(await tx.query("SELECT name FROM thing ORDER BY id")).toEqual([
					{ name: "x" },
					{ name: "y" }
				]);
				expect(await Thing.count({ transaction })).toBe(2);
				expect(await Thing.count()).toBe(0);
				expect(tx.transaction).toBe(transaction);
			});
			expect(await things()).toEqual([1, 2]);
		});

		it("takes the model's writes along when it is rolled back", async () => {
			const failed = db.transaction(async ({ transaction }) => {
				await Thing.create({ id: 1, name: "y" }, { transaction });
				await Thing.update({ name: "z" }, { where: { id: 1 }, transaction });
				throw new Error("changed my mind");
			});
			await expect(failed).rejects.toThrow("changed my mind");
			expect(await things()).toEqual([]);
		});
	});

	describe("that records a fact", () => {
		const revoked = (id: string) =>
			({ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }) as const;
		const recorded = (id: string) =>
			db.query("SELECT type FROM outbox WHERE aggregate_id = $1 ORDER BY aggregate_version", [id]);
		const record = (id: string, type: string, data: unknown) =>
			db.transaction(async tx => {
				await insert(tx, 1);
				tx.record(type as "session.revoked.v1", { id, version: 1 }, data as never);
			});

		it("stores it where it commits, and tells the relay then", async () => {
			const id = randomUUID();
			const told = jest.fn();
			db.onRecorded = told;
			await db.transaction(async tx => {
				tx.record("session.revoked.v1", { id, version: 1 }, revoked(id));
				tx.record("session.revoked.v1", { id, version: 2 }, revoked(id));
				await sleep(10);
				expect(told).not.toHaveBeenCalled();
			});
			expect(told).toHaveBeenCalledTimes(1);
			await db.transaction(tx => insert(tx, 1));
			expect(told).toHaveBeenCalledTimes(1);
			db.onRecorded = undefined;
			expect(await recorded(id)).toHaveLength(2);
		});

		it("refuses data that breaks the contract, without telling what is in it", async () => {
			const id = randomUUID();
			const { until: _until, ...partly } = revoked(id);
			for (const data of [partly, { ...revoked(id), reason: "secret-reason" }, {}, null, "text"]) {
				const error: unknown = await record(id, "session.revoked.v1", data).catch(e => e);
				expect(error).toBeInstanceOf(InvalidEventError);
				expect(String(error)).toContain("The data of session.revoked.v1 breaks its contract");
				expect(String(error)).not.toContain("secret-reason");
				expect(isRetryable(error)).toBe(false);
			}
			expect(await recorded(id)).toEqual([]);
			// What else the transaction did is undone as well.
			expect(await things()).toEqual([]);
		});

		it("refuses what no contract declares, and what no stream would take", async () => {
			const id = randomUUID();
			await expect(record(id, "session.sung.v1", revoked(id))).rejects.toThrow(
				"No contract declares the event session.sung.v1."
			);
			declareEvents({
				events: {
					"blob.kept.v1": { summary: "A test's", data: Type.Object({ text: Type.String() }) }
				}
			});
			await expect(record(id, "blob.kept.v1", { text: "é".repeat(450_000) })).rejects.toThrow(
				"The data of blob.kept.v1 has 900011 bytes; at most 900000 can be published."
			);
			expect(await recorded(id)).toEqual([]);
		});

		it("refuses a version of an aggregate that there is already", async () => {
			const id = randomUUID();
			await record(id, "session.revoked.v1", revoked(id));
			await db.query("TRUNCATE thing");
			await expect(record(id, "session.revoked.v1", revoked(id))).rejects.toMatchObject({
				code: "23505"
			});
			expect(await things()).toEqual([]);
		});
	});
});

const testDatabaseClient = async ({ group, url }: Database): Promise<Database> =>
	new Database(group, url, { poolSize: 1 });

describe("what is worth a retry", () => {
	const error = (properties: object, message = "x") =>
		Object.assign(new Error(message), properties);
	it.each([
		error({ code: "40P01" }),
		error({ code: "57014" }),
		error({ code: "ECONNREFUSED" }),
		error({ code: "EAI_AGAIN" }),
		error({ code: "ENOTFOUND" }),
		error({ retryable: true }),
		error({}, "Connection terminated unexpectedly"),
		error({}, "timeout exceeded when trying to connect"),
		error({ name: "SequelizeConnectionError" }),
		error({ parent: { code: "40001" } })
	])("is the trouble of the database or the network: %o", failure => {
		expect(isRetryable(failure)).toBe(true);
	});
	it.each([
		error({ code: "23505" }),
		error({ code: "ENOENT" }),
		error({}),
		"text",
		undefined,
		null
	])("is nothing else: %o", failure => {
		expect(isRetryable(failure)).toBe(false);
	});
});

import {
	cpSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { testConfig } from "../tests/support/node.ts";
import { BreakableServer } from "../bin/breakable-server.ts";
import { freePorts } from "../bin/ports.ts";
import { launch, runCommand } from "../tests/support/process.ts";
import { until } from "../tests/support/until.ts";
import { databaseUrl, GROUPS, type Group } from "./config.ts";
import {
	migrate,
	migrationNames,
	migrationStatus,
	NewerSchemaError,
	OlderSchemaError,
	requireCurrentSchema,
	rollback
} from "./migrations.ts";

const ROOT = join(import.meta.dirname, "..");
/** The address of a database of the group that does not exist yet. */
const newUrl = (group: Group = "orders"): string => databaseUrl(testConfig(), group);

async function sql<Row extends object>(url: string, text: string): Promise<Row[]> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		return (await client.query<Row>(text)).rows;
	} finally {
		await client.end();
	}
}
/** Everything in the database that a migration makes. */
const schemaOf = (url: string) =>
	sql(
		url,
		`SELECT 'column' AS kind, table_name || '.' || column_name AS name,
		   concat_ws(' ', data_type, is_nullable, column_default, generation_expression) AS definition
		 FROM information_schema.columns WHERE table_schema = 'public'
		 UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
		 UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		 UNION ALL SELECT 'function', p.oid::regprocedure::text, prosrc FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
		 UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		 UNION ALL SELECT 'sequence', sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'
		 UNION ALL SELECT 'type', typname, typtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
		 ORDER BY 1, 2, 3`
	);
const pause = (url: string) =>
	sql<{ waiting: boolean }>(
		url,
		"SELECT count(*) > 0 AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	).then(([row]) => row!.waiting);

describe.each(GROUPS)("the migrations of %s", group => {
	it("go up, down and up again, and leave nothing in between", async () => {
		const url = newUrl(group);
		const names = migrationNames(group);
		expect(names[0]).toBe("0001-events");
		expect(await migrate(group, url)).toEqual(names);
		const schema = await schemaOf(url);
		expect(await rollback(group, url, names.length)).toEqual(names.toReversed());
		expect(
			(await schemaOf(url)).filter(({ name }: any) => !name.startsWith("schema_migration"))
		).toEqual([]);
		expect(await migrate(group, url)).toEqual(names);
		expect(await schemaOf(url)).toEqual(schema);
	});

	it("have numbers without gaps", () => {
		expect(migrationNames(group).map(name => Number(name.slice(0, 4)))).toEqual(
			migrationNames(group).map((_, index) => index + 1)
		);
	});
});

describe("migrating", () => {
	const names = migrationNames("orders");
	const newest = names.at(-1)!;

	it("does what is pending, once", async () => {
		const url = newUrl();
		expect(await migrate("orders", url)).toEqual(names);
		expect(await migrate("orders", url)).toEqual([]);
		expect(await rollback("orders", url)).toEqual([newest]);
		expect(await migrationStatus("orders", url)).toEqual({
			applied: names.slice(0, -1),
			pending: [newest],
			unknown: []
		});
		expect(await migrate("orders", url)).toEqual([newest]);
	});

	it("takes back no more than there is", async () => {
		const url = newUrl();
		await migrate("orders", url);
		expect(await rollback("orders", url, 99)).toEqual(names.toReversed());
		expect(await rollback("orders", url)).toEqual([]);
	});

	it("is told about, without making anything", async () => {
		const url = newUrl();
		expect(await migrationStatus("orders", url)).toEqual({
			applied: [],
			pending: names,
			unknown: []
		});
		await expect(sql(url, "SELECT 1")).rejects.toMatchObject({ code: "3D000" });
	});

	it("happens once when many begin at the same time", async () => {
		const url = newUrl();
		const applied = await Promise.all(Array.from({ length: 5 }, () => migrate("orders", url)));
		expect(applied.flat()).toEqual(names);
	});

	it("waits for another that is at it", async () => {
		const url = newUrl();
		await migrate("orders", url);
		await rollback("orders", url);
		const other = new pg.Client({ connectionString: url });
		await other.connect();
		await other.query("SELECT pg_advisory_lock($1)", [0x76616c65]);
		let done = false;
		const migrating = migrate("orders", url).finally(() => {
			done = true;
		});
		await until(() => pause(url), "it waits");
		expect(done).toBe(false);
		await other.end();
		expect(await migrating).toEqual([newest]);
	});
});

describe("a database that does not fit", () => {
	it("is older: a node refuses it, by name", async () => {
		const url = newUrl();
		await expect(requireCurrentSchema("orders", url)).rejects.toThrow(OlderSchemaError);
		await migrate("orders", url);
		await expect(requireCurrentSchema("orders", url)).resolves.toBeUndefined();
		const taken = await rollback("orders", url);
		await expect(requireCurrentSchema("orders", url)).rejects.toThrow(
			new RegExp(`orders is older.*${taken[0]}.*npm run db -- migrate`)
		);
	});

	it("is newer: nobody touches it", async () => {
		const url = newUrl();
		await migrate("orders", url);
		await sql(url, "INSERT INTO schema_migration (name) VALUES ('9999-future')");
		for (const attempt of [migrate, rollback, requireCurrentSchema]) {
			const refusal = attempt("orders", url);
			await expect(refusal).rejects.toThrow(NewerSchemaError);
			await expect(refusal).rejects.toThrow("9999-future");
		}
		expect((await migrationStatus("orders", url)).unknown).toEqual(["9999-future"]);
		expect((await migrationStatus("orders", url)).applied).toContain("0001-events");
	});

	it("cannot be reached: says so instead of taking it for empty", async () => {
		const [port, url] = [await freePorts(1), new URL(newUrl())];
		url.port = String(port);
		await expect(migrationStatus("orders", url.href)).rejects.toMatchObject({
			code: "ECONNREFUSED"
		});
	});
});

describe("npm run db", () => {
	let copy: string;
	let env: Record<string, string>;
	beforeEach(() => {
		// A checkout of its own, since `create` writes into it.
		copy = mkdtempSync(join(tmpdir(), "valence-db-"));
		for (const folder of ["bin", "contracts", "lib", "mixins", "services", "package.json"])
			cpSync(join(ROOT, folder), join(copy, folder), { recursive: true });
		symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
		env = { DATABASE_URL: testConfig().DATABASE_URL! };
	});
	afterEach(() => rmSync(copy, { recursive: true }));
	const db = (...args: string[]) => runCommand(join(copy, "bin", "db.ts"), args, env);
	const ordersUrl = () => `${env["DATABASE_URL"]}_orders`;

	it("migrates, tells and takes back", async () => {
		const before = await db("status");
		expect(before.code).toBe(1);
		for (const group of GROUPS) expect(before.output).toContain(`${group}  PENDING  0001-events`);

		const migrated = await db("migrate");
		expect(migrated.code).toBe(0);
		for (const group of GROUPS)
			expect(migrated.output).toContain(`${group}: applied ${migrationNames(group).join(", ")}`);
		const after = await db("status");
		expect(after.code).toBe(0);
		expect(after.output).not.toContain("PENDING");

		const newest = migrationNames("orders").at(-1)!;
		expect((await db("rollback", "orders")).output).toBe(`orders: took back ${newest}\n`);
		const again = await db("status", "orders");
		expect(again.code).toBe(1);
		expect(again.output).toContain(`orders  PENDING  ${newest}`);
		expect(again.output).not.toContain("users");
		expect((await db("migrate")).output).toMatch(/users: up to date\n.*orders: applied/s);
	}, 30_000);

	it("tells what a newer version has applied", async () => {
		await migrate("orders", ordersUrl());
		await sql(ordersUrl(), "INSERT INTO schema_migration (name) VALUES ('9999-future')");
		const status = await db("status", "orders");
		expect(status.code).toBe(1);
		expect(status.output).toContain("orders  UNKNOWN  9999-future (applied by a newer version)");
		const refused = await db("migrate", "orders");
		expect(refused.code).toBe(1);
		expect(refused.output).toContain("made by a newer version");
		expect(refused.output).not.toMatch(/ at .*\.ts:\d+/);
	});

	it("writes the next migration, which does nothing yet and is found", async () => {
		const folder = join(copy, "services", "orders", "migrations");
		const last = migrationNames("orders").length;
		const created = await db("create", "orders", "Add a gift wrap!");
		expect(created.code).toBe(0);
		const name = `${String(last + 1).padStart(4, "0")}-add-a-gift-wrap`;
		expect(readdirSync(folder)).toContain(`${name}.ts`);
		expect(readFileSync(join(folder, `${name}.ts`), "utf8")).toMatch(/export const up: Migration/);
		expect((await db("migrate", "orders")).output).toContain(name);
		expect((await db("rollback", "orders")).output).toBe(`orders: took back ${name}\n`);
	}, 30_000);

	it("leaves nothing of a migration that fails, and keeps what went before", async () => {
		const file = join(copy, "services", "orders", "migrations", "9001-broken.ts");
		writeFileSync(
			file,
			`export const up = async ({ query }) => {
				await query("CREATE TABLE half (id int)");
				await query("INSERT INTO half VALUES ('not a number')");
			};
			export const down = async () => {};`
		);
		const failed = await db("migrate", "orders");
		expect(failed.code).toBe(1);
		expect(failed.output).toMatch(/9001-broken/);
		expect(await migrationStatus("orders", ordersUrl())).toEqual({
			applied: migrationNames("orders"),
			pending: [],
			unknown: []
		});
		expect(await sql(ordersUrl(), "SELECT to_regclass('half') AS half")).toEqual([{ half: null }]);
		expect((await db("status", "orders")).output).toContain("PENDING  9001-broken");
	}, 30_000);

	it.each([
		[["rollback", "orders", "--steps", "0"], /--steps takes a whole number from 1/],
		[["migrate", "gateway"], /Allowed choices are users, catalog, orders, notifications/],
		[["create", "orders", "!?"], /needs a letter or a digit/]
	])("explains what it does not understand: %j", async (args, explanation) => {
		const { code, output } = await db(...args);
		expect(code).toBe(1);
		expect(output).toMatch(explanation);
		expect(output).not.toMatch(/ at .*\.ts:\d+/);
	});
});

describe("a node of a cluster", () => {
	it("waits, alive but not ready, for its schema and for NATS, and says for what", async () => {
		const nats = await BreakableServer.nats();
		await nats.kill();
		const config = testConfig();
		const url = databaseUrl(config, "users");
		await migrate("users", url);
		const [missing] = await rollback("users", url);
		const opsPort = await freePorts(1);
		const node = launch("bin/node.ts", ["users"], {
			DATABASE_URL: config.DATABASE_URL!,
			AUTH_KEYS: config.AUTH_KEYS!,
			ENCRYPTION_KEYS: config.ENCRYPTION_KEYS!,
			NATS_URL: nats.url,
			// A cache that is away keeps nobody from starting.
			REDIS_URL: "redis://127.0.0.1:1",
			OPS_PORT: String(opsPort),
			NODE_NAME: "users-test"
		});
		try {
			const ask = async (path: string) => {
				const response = await fetch(`http://127.0.0.1:${opsPort}${path}`);
				return { status: response.status, body: (await response.json()) as { missing: string[] } };
			};
			const isMissing = (what: RegExp) =>
				until(
					async () =>
						(await ask("/ready").catch(() => undefined))?.body.missing?.some(m => what.test(m)),
					`/ready tells ${what}`
				);
			await isMissing(/users is older/);
			expect((await ask("/health")).status).toBe(200);
			const { status, body } = await ask("/ready");
			expect(status).toBe(503);
			expect(body.missing).toEqual([expect.stringContaining(missing!)]);
			expect(node.output()).toContain(
				"users-test: not ready: The database of the group users is older"
			);

			await migrate("users", url);
			await isMissing(/NATS at 127\.0\.0\.1:\d+ cannot be reached/);
			await nats.start();
			await node.says(/ready with users/);
			expect((await ask("/ready")).status).toBe(200);

			await nats.kill();
			await isMissing(/^NATS$/);
			await nats.start();
			await until(async () => (await ask("/ready")).status === 200, "it is ready again");
		} finally {
			expect(await node.stop("SIGTERM")).toBe(0);
			await nats.stop();
		}
	}, 60_000);
});

/** Schema changes of one group: umzug over the group's folder, one node at a time. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { Umzug, type UmzugStorage } from "umzug";
import type { Group } from "./config.ts";

export interface MigrationContext {
	/** Runs SQL inside the migration's transaction. */
	readonly query: (sql: string, bind?: readonly unknown[]) => Promise<Record<string, unknown>[]>;
}
/** One direction of a schema change. It runs in a transaction of its own: all of it happens or nothing. */
export type Migration = (context: MigrationContext) => Promise<void>;

interface MigrationFile {
	up: Migration;
	down: Migration;
}

const SERVICES = join(import.meta.dirname, "..", "services");
const LOCK = 0x76616c65;

export const migrationsFolder = (group: Group): string => join(SERVICES, group, "migrations");

/** Names of the group's migrations in the order in which they apply. */
export const migrationNames = (group: Group): string[] =>
	readdirSync(migrationsFolder(group))
		.filter(file => /^\d{4}-[a-z0-9-]+\.ts$/.test(file))
		.map(file => file.replace(/\.ts$/, ""))
		.sort();

/** What was applied, and what is there to apply. `unknown` were applied by a newer version of this code. */
export interface MigrationStatus {
	readonly applied: readonly string[];
	readonly pending: readonly string[];
	readonly unknown: readonly string[];
}

/** The database holds migrations that this code does not know: it was made by a newer version. */
export class NewerSchemaError extends Error {
	constructor(group: Group, unknown: readonly string[]) {
		super(
			`The database of the group ${group} was made by a newer version of Valence (it has ${unknown.join(", ")}). Start that version, or restore a backup from before.`
		);
		this.name = "NewerSchemaError";
	}
}

/** The database lacks migrations that this code needs. */
export class OlderSchemaError extends Error {
	constructor(group: Group, pending: readonly string[]) {
		super(
			`The database of the group ${group} is older than this version of Valence needs (missing: ${pending.join(", ")}). Run \`npm run db -- migrate\`.`
		);
		this.name = "OlderSchemaError";
	}
}

/** Applies what is pending and returns the names. Makes the database itself where it is missing. */
export const migrate = async (group: Group, url: string): Promise<string[]> =>
	withMigrator(group, await connectOrCreate(url), async (umzug, applied) => {
		refuseUnknown(group, applied);
		return (await umzug.up()).map(({ name }) => name);
	});

/** Takes back the newest `steps` migrations and returns their names. */
export const rollback = async (group: Group, url: string, steps = 1): Promise<string[]> =>
	withMigrator(group, await connect(url), async (umzug, applied) => {
		refuseUnknown(group, applied);
		return (await umzug.down({ step: steps })).map(({ name }) => name);
	});

/** What is applied and pending, read without a lock and without making anything. */
export async function migrationStatus(group: Group, url: string): Promise<MigrationStatus> {
	const client = await connect(url).catch(error => {
		if (!isMissingDatabase(error)) throw error;
	});
	try {
		const applied = client ? await readApplied(client) : [];
		const known = migrationNames(group);
		return {
			applied,
			pending: known.filter(name => !applied.includes(name)),
			unknown: applied.filter(name => !known.includes(name))
		};
	} finally {
		await client?.end();
	}
}

/** Throws an OlderSchemaError or NewerSchemaError unless the database is just what this code needs. */
export async function requireCurrentSchema(group: Group, url: string): Promise<void> {
	const { pending, unknown } = await migrationStatus(group, url);
	if (unknown.length > 0) throw new NewerSchemaError(group, unknown);
	if (pending.length > 0) throw new OlderSchemaError(group, pending);
}

function refuseUnknown(group: Group, applied: readonly string[]): void {
	const known = migrationNames(group);
	const unknown = applied.filter(name => !known.includes(name));
	if (unknown.length > 0) throw new NewerSchemaError(group, unknown);
}

async function connect(url: string): Promise<pg.Client> {
	const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
	// A lost connection also rejects the query under way; without a listener it would end the process.
	client.on("error", () => {});
	await client.connect();
	return client;
}

const isMissingDatabase = (error: unknown): boolean =>
	(error as { code?: string }).code === "3D000";

async function connectOrCreate(url: string): Promise<pg.Client> {
	try {
		return await connect(url);
	} catch (error) {
		if (!isMissingDatabase(error)) throw error;
	}
	const server = new URL(url);
	const name = decodeURIComponent(server.pathname.slice(1));
	server.pathname = "/postgres";
	const client = await connect(server.href);
	try {
		await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
	} catch (error) {
		// Another node was quicker.
		if (!["42P04", "23505"].includes((error as { code?: string }).code ?? "")) throw error;
	} finally {
		await client.end();
	}
	return connect(url);
}

async function readApplied(client: pg.Client): Promise<string[]> {
	const { rows: found } = await client.query<{ table: string | null }>(
		"SELECT to_regclass('schema_migration')::text AS table"
	);
	if (!found[0]?.table) return [];
	const { rows } = await client.query<{ name: string }>(
		"SELECT name FROM schema_migration ORDER BY name"
	);
	return rows.map(({ name }) => name);
}

async function withMigrator<T>(
	group: Group,
	client: pg.Client,
	work: (umzug: Umzug<MigrationContext>, applied: readonly string[]) => Promise<T>
): Promise<T> {
	try {
		// One migrator at a time; the lock goes with the connection.
		await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
		await client.query(
			"CREATE TABLE IF NOT EXISTS schema_migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
		);
		const storage: UmzugStorage<MigrationContext> = {
			executed: () => readApplied(client),
			// Written inside the migration's own transaction, see `inTransaction`.
			logMigration: () => Promise.resolve(),
			unlogMigration: () => Promise.resolve()
		};
		const context: MigrationContext = {
			query: async (sql, bind = []) =>
				(await client.query(sql, [...bind])).rows as Record<string, unknown>[]
		};
		const inTransaction = async (run: Migration, record: string, name: string) => {
			await client.query("BEGIN");
			try {
				await run(context);
				await client.query(record, [name]);
				await client.query("COMMIT");
			} catch (error) {
				// Where the connection is gone, so is the transaction; the first error tells more.
				await client.query("ROLLBACK").catch(() => {});
				throw error;
			}
		};
		const umzug = new Umzug<MigrationContext>({
			context,
			storage,
			logger: undefined,
			migrations: await Promise.all(
				migrationNames(group).map(async name => {
					const file = pathToFileURL(join(migrationsFolder(group), `${name}.ts`)).href;
					const { up, down } = (await import(file)) as MigrationFile;
					return {
						name,
						up: () => inTransaction(up, "INSERT INTO schema_migration (name) VALUES ($1)", name),
						down: () => inTransaction(down, "DELETE FROM schema_migration WHERE name = $1", name)
					};
				})
			)
		});
		return await work(umzug, await readApplied(client));
	} finally {
		await client.end();
	}
}

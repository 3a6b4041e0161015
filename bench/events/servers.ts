/** PostgreSQL and NATS for one run, with stores of their own that are removed afterwards. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "nats";
import pg from "pg";
import { databaseUrl, readConfig, type Group } from "../../lib/config.ts";
import { startPostgres } from "../../lib/embedded-postgres.ts";
import { migrate } from "../../lib/migrations.ts";
import type { Feature, NodeMethods } from "./node.process.ts";
import { Part, type Methods } from "./part.ts";
import type { StreamMethods } from "./stream.process.ts";
import { BreakableServer } from "../../bin/breakable-server.ts";

export interface Servers extends AsyncDisposable {
	readonly natsUrl: string;
	readonly pids: { readonly postgres: number; readonly nats: number };
	readonly versions: { readonly postgres: string; readonly nats: string };
	/** Starts a process with a node of a group, which its `start` starts. It ends with the servers at the latest. */
	readonly node: (name: string, group: Group, ...features: Feature[]) => Promise<Part<NodeMethods>>;
	/** Starts a process for JetStream by itself; likewise. */
	readonly stream: (name: string) => Promise<Part<StreamMethods>>;
	/** A connection to the group's database, or to `postgres`, which nothing that is measured uses. */
	readonly connect: (database: Group | "postgres") => Promise<pg.Client & AsyncDisposable>;
}

/** Where a sample comes from: the aggregate, whose row the writer locks. */
const SOURCES = "CREATE TABLE sample_source (id uuid PRIMARY KEY, version int NOT NULL)";
/** What a handler writes. No key: that nothing is handled twice is up to the inbox, and is counted. */
const SAMPLES =
	"CREATE TABLE sample (number int NOT NULL, taken_at timestamptz NOT NULL DEFAULT clock_timestamp())";

/** Starts both; PostgreSQL syncs every commit to the disk, NATS does as it does by default. */
export async function startServers(): Promise<Servers> {
	await using stack = new AsyncDisposableStack();
	const folder = mkdtempSync(join(tmpdir(), "valence-bench-"));
	stack.defer(() => rmSync(folder, { recursive: true, force: true }));
	const nats = stack.adopt(await BreakableServer.nats(), server => server.stop());
	const postgres = stack.adopt(await startPostgres({ folder: join(folder, "postgres") }), server =>
		server.stop()
	);
	// Without the check of results, which is for development.
	const env = {
		NODE_ENV: "production",
		LOG_LEVEL: "warn",
		DATA_DIR: folder,
		DATABASE_URL: postgres.url,
		NATS_URL: nats.url
	};
	const config = readConfig(env);
	const connectTo = async (database: Group | "postgres") => {
		const client = new pg.Client({
			connectionString:
				database === "postgres" ? `${postgres.url}/postgres` : databaseUrl(config, database)
		});
		// The server may be stopped first.
		client.on("error", () => {});
		await client.connect();
		return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
	};
	for (const [group, table] of [
		["orders", SOURCES],
		["catalog", SAMPLES]
	] as const) {
		await migrate(group, databaseUrl(config, group));
		await using client = await connectTo(group);
		await client.query(table);
	}
	const versions = {
		postgres: await postgresVersion(connectTo),
		nats: await natsVersion(nats.url)
	};
	const owned = stack.move();
	const start = <M extends Methods>(name: string, script: string, args: readonly string[]) =>
		owned.use(new Part<M>(name, script, args, { ...env, NODE_NAME: name })).ready();
	return {
		node: (name, group, ...features) => start(name, "node.process.ts", [group, ...features]),
		stream: name => start(name, "stream.process.ts", []),
		natsUrl: nats.url,
		pids: { postgres: postgres.pid, nats: nats.pid },
		versions,
		connect: connectTo,
		[Symbol.asyncDispose]: () => owned.disposeAsync()
	};
}

async function postgresVersion(connectTo: Servers["connect"]): Promise<string> {
	await using client = await connectTo("postgres");
	const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
	return rows[0]!.server_version;
}

async function natsVersion(servers: string): Promise<string> {
	const connection = await connect({ servers });
	const version = connection.info!.version;
	await connection.close();
	return version;
}

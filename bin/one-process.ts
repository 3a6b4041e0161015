/** The whole system in this process, with a database of its own unless one is given. */
import { randomBytes } from "node:crypto";
import {
	databaseUrl,
	GROUPS,
	lacksDatabase,
	readConfig,
	UNITS,
	type Config
} from "../lib/config.ts";
import { lockDataFolder, ownEncryptionKeys, signingKeys } from "../lib/data-folder.ts";
import { startPostgres, type EmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { migrate } from "../lib/migrations.ts";
import { startNode, type ValenceNode } from "../lib/node.ts";
import { startOps } from "../lib/ops.ts";
import { loadDemoData } from "./demo-data.ts";
import { callAsOperator, leaveDoor } from "./operator.ts";

export interface OneProcess {
	/** The configuration in force: with the embedded database and keys filled in. */
	readonly config: Config;
	readonly node: ValenceNode;
	readonly url: string;
	readonly opsUrl: string;
	readonly demoData: boolean;
	readonly postgres: EmbeddedPostgres | undefined;
	/** Stops everything in order. */
	stop(): Promise<void>;
}

export interface StartOptions {
	readonly progress: (step: string) => void;
	/** Ends the start at its next step; what was started by then is stopped. */
	readonly signal: AbortSignal;
	/** Told of the database as soon as it runs, for whoever has to end it at once. */
	readonly onDatabase: (postgres: EmbeddedPostgres) => void;
}

/** Starts everything. Throws a StartupError, ConfigError or NewerSchemaError with a message for a person. */
export async function startOneProcess(
	env: NodeJS.ProcessEnv,
	{ progress, signal, onDatabase }: StartOptions
): Promise<OneProcess> {
	const given = readConfig(env);
	// The last thing started is the first to be stopped.
	const undo: (() => unknown)[] = [];
	let database: EmbeddedPostgres | undefined;
	const stop = async () => {
		for (const step of undo.splice(0).reverse()) await step();
	};
	try {
		const folder = lockDataFolder(given.DATA_DIR);
		undo.push(() => folder.unlock());
		const postgres = lacksDatabase(given)
			? await startPostgres({
					folder: `${folder.path}/postgres`,
					port: given.EMBEDDED_DATABASE_PORT,
					progress
				})
			: undefined;
		if (postgres) {
			undo.push(() => postgres.stop());
			database = postgres;
			onDatabase(postgres);
		}
		const config = Object.freeze({
			...given,
			...(postgres ? { DATABASE_URL: postgres.url } : {}),
			...(await signingKeys(given, folder)),
			ENCRYPTION_KEYS: given.ENCRYPTION_KEYS ?? (await ownEncryptionKeys(folder))
		});
		for (const group of GROUPS) {
			signal.throwIfAborted();
			const applied = await migrate(group, databaseUrl(config, group));
			if (applied.length > 0) progress(`migrating the database ${group}: ${applied.join(", ")}`);
		}
		const demoData = config.DEMO_DATA ?? postgres !== undefined;
		signal.throwIfAborted();
		if (demoData) await loadDemoData(config, progress);
		signal.throwIfAborted();
		const node = await startNode(config, { units: UNITS });
		undo.push(() => node.stop());
		const token = randomBytes(32).toString("base64url");
		const ops = await startOps(config, {
			readiness: () => node.readiness(),
			metrics: () => node.runtime.metrics.text(),
			operate: {
				token,
				call: (action, params, client) => callAsOperator(node.broker, action, params, client)
			}
		});
		undo.push(() => ops.close());
		const port = String(node.broker.metadata["gatewayPort"] ?? config.PORT);
		const opsUrl = `http://${hostName(config.HOST)}:${ops.port}`;
		undo.push(leaveDoor(folder.path, { pid: process.pid, opsUrl, token }));
		return {
			config,
			node,
			url: `http://${hostName(config.HOST)}:${port}`,
			opsUrl,
			demoData,
			postgres,
			stop
		};
	} catch (error) {
		await stop();
		throw database?.explain(error) ?? error;
	}
}

const hostName = (host: string): string => (["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host);

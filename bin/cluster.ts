/** `npm run cluster`: a cluster on this machine, every service group in a process of its own. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import {
	databaseUrl,
	GROUPS,
	lacksDatabase,
	readConfig,
	UNITS,
	type Config,
	type Unit
} from "../lib/config.ts";
import {
	lockDataFolder,
	ownEncryptionKeys,
	signingKeys,
	type DataFolder
} from "../lib/data-folder.ts";
import { freePort, startPostgres, type EmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { migrate } from "../lib/migrations.ts";
import { startTime } from "../lib/pid.ts";
import { onShutdown } from "../lib/shutdown.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die, progressLine } from "./console.ts";
import { DEMO_LOGINS, loadDemoData } from "./demo-data.ts";
import { Child, endLeftover, findBinary } from "./processes.ts";

interface NodeEntry {
	readonly nodeId: string;
	readonly unit: Unit;
	readonly child: Child;
	readonly port: number | undefined;
	readonly opsPort: number;
}

/** What `cluster.json` tells: who runs where, for people, tests and the REPL. */
interface ClusterFile {
	readonly pid: number;
	readonly urls: readonly string[];
	readonly servers: Record<string, { url: string; pid?: number; started?: string }>;
	readonly nodes: readonly {
		nodeId: string;
		unit: Unit;
		pid: number;
		port?: number;
		opsPort: number;
	}[];
}

const READY_WITHIN_MS = 60_000;
const say = (text: string) => console.log(`  ${text}`);
const began = performance.now();

const undo: (() => Promise<void> | void)[] = [];
const killable: { kill(): void }[] = [];
let embedded: EmbeddedPostgres | undefined;
let stopping = false;

async function stopAll(): Promise<void> {
	for (const step of undo.splice(0).reverse()) await step();
}

/** Ends the start at its next step where we were told to stop meanwhile. */
function goOn(): void {
	if (stopping) throw new StartupError("Stopped while starting.");
}

const { replicas, demoData } = new Command("npm run cluster --")
	.description("Runs Valence as a cluster on this machine")
	.option(
		"--replicas <unit=n,…>",
		"how many nodes of a unit, as in catalog=2,gateway=2",
		parseReplicas,
		new Map()
	)
	.option("--demo-data", "load the demo catalog and log-ins", false)
	.parse()
	.opts<{ replicas: Map<Unit, number>; demoData: boolean }>();

function parseReplicas(text: string): Map<Unit, number> {
	return new Map(
		text.split(",").map((part): [Unit, number] => {
			const [unit = "", count = ""] = part.split("=");
			if (!(UNITS as readonly string[]).includes(unit) || !/^[1-9]\d?$/.test(count))
				die(
					new StartupError(
						`--replicas: '${part}' is not understood. Write catalog=2,gateway=2; units are ${UNITS.join(", ")}.`
					)
				);
			return [unit as Unit, Number(count)];
		})
	);
}

const servers: Record<string, { readonly url: string; readonly child?: { readonly pid: number } }> =
	{};
const nodes: NodeEntry[] = [];
/** Known once there is a folder for it. */
let writeClusterFile = () => {};

function writeClusterFileTo(file: string): void {
	const content: ClusterFile = {
		pid: process.pid,
		urls: nodes.flatMap(({ port }) => (port === undefined ? [] : [`http://127.0.0.1:${port}`])),
		servers: Object.fromEntries(
			Object.entries(servers).map(([name, { url, child }]) => [
				name,
				{ url, ...(child ? { pid: child.pid, started: startTime(child.pid) } : {}) }
			])
		),
		nodes: nodes.map(({ nodeId, unit, child, port, opsPort }) => ({
			nodeId,
			unit,
			pid: child.pid,
			...(port === undefined ? {} : { port }),
			opsPort
		}))
	};
	// It names the database's password.
	writeFileSync(`${file}.new`, `${JSON.stringify(content, null, "\t")}\n`, { mode: 0o600 });
	// At once, for whoever reads it right now.
	renameSync(`${file}.new`, file);
}

/** A server on loopback, with its data in `folder`. */
async function startServer(
	name: string,
	file: string,
	folder: string,
	urlFor: (port: number) => string,
	argsFor: (port: number) => string[]
): Promise<void> {
	mkdirSync(folder, { recursive: true });
	const port = await freePort();
	goOn();
	const child = new Child({
		name,
		file,
		args: argsFor(port),
		onLine: () => {},
		onEnd: why => say(`${name} has ended (${why}) and is started again`),
		onRestart: () => writeClusterFile()
	});
	killable.push(child);
	undo.push(() => child.stop());
	// Before anything can go wrong: the next run ends what this one leaves behind.
	servers[name.replace("-server", "")] = { url: urlFor(port), child };
	writeClusterFile();
	await untilListening(port, name);
}

async function untilListening(port: number, name: string): Promise<void> {
	for (const until = Date.now() + 10_000; Date.now() < until; await sleep(30)) {
		const open = await new Promise<boolean>(done => {
			const socket = new Socket()
				.once("error", () => done(false))
				.once("connect", () => done(true));
			socket.connect(port, "127.0.0.1");
			socket.setTimeout(1_000, () => socket.destroy());
			socket.once("close", () => done(false));
			socket.once("connect", () => socket.destroy());
		});
		if (open) return;
	}
	throw new StartupError(`${name} did not open its port ${port} within 10 s.`);
}

/** The servers that were not given by URL; what an earlier run left behind is ended first. */
async function startServers(config: Config, folder: DataFolder, file: string): Promise<void> {
	if (existsSync(file)) {
		const before = JSON.parse(readFileSync(file, "utf8")) as ClusterFile;
		for (const { pid, started } of Object.values(before.servers))
			if (pid && started) await endLeftover(pid, started);
	}
	// Missing ones are named before anything is started.
	const nats = config.NATS_URL ?? findBinary("nats-server", "NATS_URL");
	const redis = config.REDIS_URL ?? findBinary("redis-server", "REDIS_URL");
	if (config.NATS_URL) servers["nats"] = { url: nats };
	else {
		const store = join(folder.path, "nats");
		await startServer(
			"nats-server",
			nats,
			store,
			port => `nats://127.0.0.1:${port}`,
			port => ["-a", "127.0.0.1", "-js", "-p", String(port), "-sd", store]
		);
	}
	if (config.REDIS_URL) servers["redis"] = { url: redis };
	else {
		const store = join(folder.path, "redis");
		// A cache: nothing in it has to outlive it.
		const forgetful = ["--save", "", "--appendonly", "no"];
		await startServer(
			"redis-server",
			redis,
			store,
			port => `redis://127.0.0.1:${port}`,
			port => ["--port", String(port), "--bind", "127.0.0.1", "--dir", store, ...forgetful]
		);
	}
	if (lacksDatabase(config)) await startDatabase(config, folder);
}

async function startDatabase(config: Config, folder: DataFolder): Promise<void> {
	goOn();
	const postgres = await startPostgres({
		folder: join(folder.path, "postgres"),
		port: config.EMBEDDED_DATABASE_PORT,
		progress: progressLine(),
		// Ten connections for each group and node, and one for each relay.
		settings: ["max_connections=500"]
	});
	embedded = postgres;
	killable.push(postgres);
	undo.push(() => postgres.stop());
	postgres.died.catch(async error => {
		if (stopping) return;
		stopping = true;
		await stopAll();
		die(error);
	});
	servers["postgres"] = { url: postgres.url, child: postgres };
	writeClusterFile();
}

function startNodes(config: Config, env: NodeJS.ProcessEnv): void {
	let opsPort = config.OPS_PORT;
	for (const unit of UNITS)
		for (let index = 0; index < (replicas.get(unit) ?? 1); index++) {
			const nodeId = `${unit}-${index + 1}`;
			const port = unit === "gateway" ? config.PORT + index : undefined;
			const entry = { nodeId, unit, port, opsPort: opsPort++ };
			const child = new Child({
				name: nodeId,
				file: process.execPath,
				args: [join(import.meta.dirname, "node.ts"), unit],
				env: {
					...env,
					NODE_NAME: nodeId,
					OPS_PORT: String(entry.opsPort),
					...(port === undefined ? {} : { PORT: String(port) })
				},
				ipc: true,
				onLine: line => console.log(line.startsWith(nodeId) ? `  ${line}` : `  ${nodeId}: ${line}`),
				onEnd: why => say(`${nodeId} has ended (${why}) and is started again`),
				onRestart: () => writeClusterFile()
			});
			killable.push(child);
			nodes.push({ ...entry, child });
		}
	undo.push(async () => {
		// The door first, so that nothing comes in that the others could not finish.
		await Promise.all(
			nodes.filter(({ unit }) => unit === "gateway").map(({ child }) => child.stop())
		);
		await Promise.all(nodes.map(({ child }) => child.stop()));
	});
}

async function untilReady(): Promise<void> {
	const until = Date.now() + READY_WITHIN_MS;
	for (const { nodeId, opsPort } of nodes) {
		for (;;) {
			const ready = await fetch(`http://127.0.0.1:${opsPort}/ready`).then(
				({ ok }) => ok,
				() => false
			);
			if (ready || stopping) break;
			if (Date.now() > until)
				throw new StartupError(`${nodeId} is not ready after ${READY_WITHIN_MS / 1000} s.`);
			await sleep(50);
		}
	}
}

async function start(): Promise<void> {
	console.log("Valence is starting as a cluster");
	const config = readConfig();
	if (config.PORT === 0 || config.OPS_PORT === 0)
		throw new StartupError(
			"In a cluster PORT and OPS_PORT are the first of several; set them to numbers above 0."
		);
	const folder = lockDataFolder(config.DATA_DIR);
	undo.push(() => folder.unlock());
	const file = join(folder.path, "cluster.json");
	writeClusterFile = () => writeClusterFileTo(file);
	undo.push(() => rmSync(file, { force: true }));
	await startServers(config, folder, file);
	const database = servers["postgres"]
		? { DATABASE_URL: servers["postgres"].url, DATABASE_URL_FILE: "" }
		: {};
	const keys = await signingKeys(config, folder);
	const env: NodeJS.ProcessEnv = {
		// Loading is most of a node's start; Node keeps what it has compiled.
		NODE_COMPILE_CACHE: join(folder.path, "compile-cache"),
		...process.env,
		...database,
		NATS_URL: servers["nats"]!.url,
		REDIS_URL: servers["redis"]!.url,
		// By their file where they have one, so that the nodes see them change.
		AUTH_KEYS: keys.AUTH_KEYS_FILE ? "" : keys.AUTH_KEYS,
		AUTH_KEYS_FILE: keys.AUTH_KEYS_FILE ?? "",
		ENCRYPTION_KEYS: config.ENCRYPTION_KEYS ?? (await ownEncryptionKeys(folder)),
		// What stands in files is in the variables by now.
		NATS_URL_FILE: "",
		REDIS_URL_FILE: "",
		ENCRYPTION_KEYS_FILE: ""
	};
	const progress = progressLine();
	const withDatabase: Config = { ...config, ...database };
	for (const group of GROUPS) {
		goOn();
		const applied = await migrate(group, databaseUrl(withDatabase, group));
		if (applied.length > 0) progress(`migrating the database ${group}: ${applied.join(", ")}`);
	}
	goOn();
	if (demoData || config.DEMO_DATA) await loadDemoData(withDatabase, progress);
	goOn();
	startNodes(config, env);
	writeClusterFile();
	await untilReady();
	goOn();
	console.log(`\nValence is ready after ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
	for (const { nodeId, child, port, opsPort } of nodes)
		say(
			`${nodeId.padEnd(18)} pid ${String(child.pid).padEnd(8)} ${port === undefined ? "".padEnd(28) : `http://127.0.0.1:${port}`.padEnd(28)} ops ${opsPort}`
		);
	for (const [name, { url }] of Object.entries(servers))
		say(`${name.padEnd(18)} ${url.replace(/:[^:@/]+@/, ":…@")}`);
	if (demoData || config.DEMO_DATA)
		say(`log-ins            ${DEMO_LOGINS.join(", ")} with ${config.DEMO_PASSWORD}`);
	console.log(`\n  All of this stands in ${file}. Ctrl-C stops the cluster.\n`);
}

const starting = start();
onShutdown({
	async stop() {
		stopping = true;
		await starting.catch(() => {});
		await stopAll();
	},
	abandon: () => killable.forEach(child => child.kill()),
	timeoutMs: 60_000,
	say
});
await starting.catch(async (error: unknown) => {
	// Where we were told to stop, the handler above ends the process.
	if (stopping) return;
	await stopAll().catch(() => {});
	die(embedded?.explain(error) ?? error);
});

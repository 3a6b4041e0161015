/**
 * One replica of the proving ground: a real node, configured by its environment as `npm run node` is.
 * `node bin/chaos/node.ts writer` answers commands (POST /post) on PORT; `reader` has none to answer.
 * Tells its parent, where there is one, when it is ready and how many deliveries it absorbed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { readConfig, type Config } from "../../lib/config.ts";
import { isRetryable, type Database } from "../../lib/database.ts";
import { startNode, type ValenceNode } from "../../lib/node.ts";
import { die } from "../console.ts";
import { post, Refused, ROLES, servicesOf, type Command, type Role } from "./services.ts";

/** What a replica tells over IPC. */
export type ReplicaMessage = { readonly ready: true } | { readonly absorbed: number };

const RETRY_MS = 500;
/** So little that a kill hides hardly anything. */
const REPORT_MS = 50;

const tell = (message: ReplicaMessage) => {
	if (process.connected) process.send!(message);
};

async function startWhenPossible(config: Config, role: Role): Promise<ValenceNode> {
	for (;;) {
		try {
			return await startNode(config, { units: [], extra: servicesOf(role) });
		} catch (error) {
			if (!isRetryable(error)) throw error;
			await sleep(RETRY_MS);
		}
	}
}

/** 200 with the version, 409 where it is refused; anything else leaves the client in doubt. */
async function answer(
	db: Database,
	request: IncomingMessage,
	response: ServerResponse
): Promise<void> {
	const reply = (status: number, body: object) =>
		response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
	try {
		reply(200, { version: await post(db, (await json(request)) as Command) });
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

// A parent that is gone cannot stop us any more.
process.once("disconnect", () => process.exit(1));
try {
	const [role] = process.argv.slice(2);
	if (!ROLES.some(known => known === role))
		throw new Error(`There is no role '${role}'; name one of ${ROLES.join(", ")}.`);
	const config = readConfig();
	const node = await startWhenPossible(config, role as Role);
	if (role === "writer") {
		const db = node.runtime.database("orders");
		const server = createServer((request, response) => void answer(db, request, response));
		server.listen(config.PORT, config.HOST, () => tell({ ready: true }));
	} else tell({ ready: true });
	void reportAbsorbed(node);
} catch (error) {
	die(error);
}

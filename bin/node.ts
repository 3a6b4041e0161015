/** `npm run node -- <unit>…`: one node of a cluster, configured by its environment. */
import { setTimeout as sleep } from "node:timers/promises";
import { readConfig, UNITS, type Config, type Unit } from "../lib/config.ts";
import { OlderSchemaError } from "../lib/migrations.ts";
import { startNode, type ValenceNode } from "../lib/node.ts";
import { startOps, type OpsServer } from "../lib/ops.ts";
import { onShutdown } from "../lib/shutdown.ts";
import { StartupError } from "../lib/startup-error.ts";
import { isRetryable } from "../lib/database.ts";
import { die } from "./console.ts";

const RETRY_MS = 2_000;
const say = (text: string) => console.log(`${process.env["NODE_NAME"] ?? "node"}: ${text}`);
let node: ValenceNode | undefined;
let ops: OpsServer | undefined;
let starting: Promise<ValenceNode | undefined> | undefined;
const stopping = new AbortController();
let missing = ["starting"];

function readUnits(args: readonly string[]): Unit[] {
	const unknown = args.filter(arg => !(UNITS as readonly string[]).includes(arg));
	if (args.length === 0 || unknown.length > 0)
		throw new StartupError(
			`${unknown.length > 0 ? `There is no unit called ${unknown.join(", ")}. ` : ""}Name one or more of: ${UNITS.join(", ")}.`
		);
	return [...new Set(args as Unit[])];
}

/** A node that finds an older schema, or no database, waits for what an operator has to do. */
async function startWhenPossible(
	config: Config,
	units: readonly Unit[]
): Promise<ValenceNode | undefined> {
	while (!stopping.signal.aborted) {
		try {
			return await startNode(config, { units });
		} catch (error) {
			if (!(error instanceof OlderSchemaError) && !isRetryable(error)) throw error;
			const { message } = error as Error;
			if (missing[0] !== message) say(`not ready: ${message}`);
			missing = [message];
			await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {});
		}
	}
	return undefined;
}

try {
	const units = readUnits(process.argv.slice(2));
	const config = readConfig(process.env, units);
	onShutdown({
		async stop() {
			stopping.abort();
			// A node that is about to start may have taken work already: it is stopped in order as well.
			const started = await starting?.catch(() => undefined);
			await started?.stop();
			await ops?.close();
		},
		abandon: () => {},
		timeoutMs: config.DRAIN_MS + 10_000,
		say
	});
	ops = await startOps(config, {
		readiness: async () => (node ? node.readiness() : missing),
		metrics: () => node?.runtime.metrics.text()
	});
	starting = startWhenPossible(config, units);
	node = await starting;
	if (node && !stopping.signal.aborted) say(`ready with ${units.join(", ")}${portOf(node)}`);
} catch (error) {
	die(error);
}

function portOf({ broker }: ValenceNode): string {
	const port: unknown = broker.metadata["gatewayPort"];
	return typeof port === "number" ? ` on port ${port}` : "";
}

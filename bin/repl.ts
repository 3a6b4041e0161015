/** `npm run repl`: a prompt inside a running cluster, as a node without services. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import { brokerOptions } from "../lib/broker.ts";
import { readConfig } from "../lib/config.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die } from "./console.ts";

/** The cluster's NATS: from the environment, or of the cluster that runs on this machine. */
function natsUrl(): string {
	const { NATS_URL, DATA_DIR } = readConfig();
	if (NATS_URL) return NATS_URL;
	const file = join(DATA_DIR, "cluster.json");
	if (!existsSync(file))
		throw new StartupError(
			"There is no cluster to join: start one with `npm run cluster`, or set NATS_URL to the one you mean."
		);
	return (JSON.parse(readFileSync(file, "utf8")) as { servers: { nats: { url: string } } }).servers
		.nats.url;
}

try {
	const config = readConfig({ ...process.env, NATS_URL: natsUrl(), REDIS_URL: "" });
	const broker = new ServiceBroker({
		...brokerOptions(config, `repl-${process.pid}`),
		replOptions: { delimiter: "valence $", customCommands: [] }
	});
	await broker.start();
	broker.repl();
} catch (error) {
	die(error);
}

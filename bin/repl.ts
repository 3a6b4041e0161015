/** `npm run repl`: a prompt inside a running cluster, as a node without services. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import { brokerOptions } from "../lib/broker.ts";
import { readConfig, type Config } from "../lib/config.ts";
import { connectNats } from "../lib/nats.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die } from "./console.ts";

/** The NATS of the cluster that runs on this machine. */
function ownNats({ DATA_DIR }: Config): string {
	const file = join(DATA_DIR, "cluster.json");
	const { servers } = existsSync(file)
		? (JSON.parse(readFileSync(file, "utf8")) as { servers: { nats?: { url: string } } })
		: { servers: {} };
	if (!servers.nats)
		throw new StartupError(
			"There is no cluster to join: start one with `npm run cluster`, or set NATS_URL to the one you mean."
		);
	return servers.nats.url;
}

try {
	const config = readConfig({ ...process.env, REDIS_URL: "", REDIS_URL_FILE: "" });
	const NATS_URL = config.NATS_URL ?? ownNats(config);
	// The broker would go on trying for ever.
	await (await connectNats(NATS_URL, "valence-repl")).close();
	const broker = new ServiceBroker({
		...brokerOptions({ ...config, NATS_URL }, `repl-${process.pid}`),
		replOptions: { delimiter: "valence $", customCommands: [] }
	});
	await broker.start();
	broker.repl();
} catch (error) {
	die(error);
}

/**
 * The broker as Moleculer's own tools want it, from the same settings as every node of ours:
 * `moleculer-runner --config moleculer.config.ts services/orders/*.service.ts`
 */
import type { BrokerOptions } from "moleculer";
import { brokerOptions } from "./lib/broker.ts";
import { readConfig } from "./lib/config.ts";
import { bindRuntime, createRuntime } from "./lib/runtime.ts";

export default async function options(): Promise<BrokerOptions> {
	const config = readConfig();
	const runtime = await createRuntime(config);
	return {
		...brokerOptions(config, config.NODE_NAME ?? `runner-${process.pid}`),
		// The runner has no handling of signals but this one.
		skipProcessEventRegistration: false,
		created: broker => bindRuntime(broker, runtime),
		stopped: () => runtime.close()
	};
}

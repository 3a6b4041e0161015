/** A node that is killed in tests: its one action never answers. Arguments: NATS_URL, the node's id. */
import { ServiceBroker } from "moleculer";
import { brokerOptions } from "../../lib/broker.ts";
import { readConfig } from "../../lib/config.ts";

const [NATS_URL = "", nodeID = ""] = process.argv.slice(2);
const broker = new ServiceBroker(
	brokerOptions(readConfig({ NATS_URL, LOG_LEVEL: "error" }), nodeID)
);
broker.createService({
	name: "slow",
	actions: {
		echo: { access: "public", handler: ({ params }: { params: object }) => params } as never,
		hang: { access: "public", handler: () => new Promise<never>(() => {}) } as never
	}
});
await broker.start();
console.log("ready");

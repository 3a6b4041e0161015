/** A node of its own process with one small service, for tests that kill it: `node echo-node.ts <NATS URL> <node id>`. */
import { ServiceBroker } from "moleculer";
import { ValenceTransporter } from "../../lib/nats-transporter.ts";
import { natsOptions } from "../../lib/nats.ts";

const [, , url = "", nodeID = ""] = process.argv;
const broker = new ServiceBroker({
	nodeID,
	logger: false,
	transporter: new ValenceTransporter(natsOptions(url, nodeID)) as never
});
broker.createService({
	name: "echo",
	actions: {
		say: (ctx: { params: object }) => ctx.params,
		hang: () => new Promise(() => {})
	}
});
await broker.start();
console.log("ready");

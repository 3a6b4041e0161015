/** What the framework costs: the stock moleculer-web in front of one local action, with no option that makes a difference. */
import type { AddressInfo } from "node:net";
import { ServiceBroker } from "moleculer";
import ApiGateway from "moleculer-web";
import { PRODUCT } from "./product.ts";

// As quiet as Valence is while it is measured.
const broker = new ServiceBroker({ logLevel: "warn" });
broker.createService({
	name: "products",
	actions: { get: () => PRODUCT }
});
const gateway = broker.createService({
	name: "api",
	mixins: [ApiGateway],
	settings: {
		ip: "127.0.0.1",
		port: 0,
		routes: [{ path: "/api/v1", aliases: { "GET /products/:id": "products.get" } }]
	}
} as never) as unknown as { readonly server: { address(): AddressInfo } };
await broker.start();
process.send?.(`http://127.0.0.1:${gateway.server.address().port}`);
process.once("disconnect", () => process.exit());

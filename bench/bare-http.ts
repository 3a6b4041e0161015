/** The floor: node:http alone, making the JSON of one product for each request. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PRODUCT } from "./product.ts";

const server = createServer((_, response) => {
	// Each time anew, as whoever reads it from somewhere must.
	const body = JSON.stringify(PRODUCT);
	response.writeHead(200, {
		"Content-Type": "application/json; charset=utf-8",
		"Content-Length": Buffer.byteLength(body)
	});
	response.end(body);
});
server.listen(0, "127.0.0.1", () =>
	process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
);
process.once("disconnect", () => process.exit());

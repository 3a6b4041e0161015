/** Ports of the loopback interface, for servers that are started again at the same address. */
import { createServer } from "node:net";

/**
 * The first of so many neighbouring ports that nobody listens on, below those that systems give to
 * outgoing connections: one of these might take a node's port while the node starts again.
 */
export async function freePorts(count: number): Promise<number> {
	for (;;) {
		const first = 10_000 + Math.floor(Math.random() * 20_000);
		const ports = Array.from({ length: count }, (_, index) => first + index);
		const free = await Promise.all(ports.map(isFree));
		if (free.every(Boolean)) return first;
	}
}

const isFree = (port: number): Promise<boolean> =>
	new Promise(done => {
		const server = createServer().once("error", () => done(false));
		server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
	});

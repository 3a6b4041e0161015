/** Clients that hold connections and give nothing for them. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD = "GET /api/v1/products/lamp HTTP/1.1\r\nHost: x\r\nX-Slow: ";
const BODY =
	"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{";
const BYTE_EVERY_MS = 500;

export interface SlowClients {
	/** Connections that say nothing. */
	readonly idle: number;
	/** Connections that send a head or a body, byte by byte; whoever is turned away comes again. */
	readonly slow: number;
}

/** Opens so many; they are closed with the scope. */
export async function openSlowClients(
	url: string,
	{ idle, slow }: SlowClients
): Promise<Disposable> {
	const { hostname, port } = new URL(url);
	const sockets = new Set<Socket>();
	let isOpen = true;
	const open = (begin: string): Socket => {
		const socket = connect(Number(port), hostname);
		sockets.add(socket);
		socket.on("error", () => {});
		// What it is told does not matter to it.
		socket.resume();
		socket.on("close", () => {
			sockets.delete(socket);
			if (isOpen) open(begin);
		});
		if (begin !== "") socket.write(begin);
		return socket;
	};
	const all = [
		...Array.from({ length: idle }, () => open("")),
		...Array.from({ length: slow }, (_, i) => open(i % 2 ? HEAD : BODY))
	];
	await Promise.all(all.map(socket => once(socket, "connect")));
	const timer = setInterval(() => {
		for (const socket of sockets) if (socket.bytesWritten > 0) socket.write("x");
	}, BYTE_EVERY_MS);
	return {
		[Symbol.dispose]() {
			isOpen = false;
			clearInterval(timer);
			for (const socket of sockets) socket.destroy();
		}
	};
}

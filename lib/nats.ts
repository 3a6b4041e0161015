/** How we connect to NATS, for calls and for events alike. */
import type { ConnectionOptions, NatsConnection } from "nats";

/** Options from a URL list (`nats://user:password@host:4222,…`): reconnects for ever and soon. */
export function natsOptions(urls: string, name: string): ConnectionOptions {
	const parsed = urls.split(",").map(url => new URL(url));
	const [first] = parsed;
	return {
		servers: parsed.map(({ host }) => host),
		name,
		...(first?.username
			? { user: decodeURIComponent(first.username), pass: decodeURIComponent(first.password) }
			: {}),
		...(first?.protocol === "tls:" ? { tls: {} } : {}),
		maxReconnectAttempts: -1,
		reconnectTimeWait: 200,
		reconnectJitter: 100,
		pingInterval: 5_000,
		maxPingOut: 2,
		waitOnFirstConnect: true
	};
}

/** Follows a connection's status; answers whether it stands. Moleculer itself does not notice when it breaks. */
export function watchConnection(connection: NatsConnection): () => boolean {
	let up = true;
	void (async () => {
		for await (const { type } of connection.status()) {
			if (type === "disconnect") up = false;
			if (type === "reconnect") up = true;
		}
	})();
	return () => up && !connection.isClosed();
}

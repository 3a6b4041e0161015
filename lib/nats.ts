/** How we connect to NATS, for calls and for events alike. */
import { connect, type ConnectionOptions, type NatsConnection } from "nats";
import { StartupError } from "./startup-error.ts";

/** NATS does not answer, or lacks JetStream. It may be about to start, so trying again is worth it. */
export class NatsUnreachableError extends StartupError {
	readonly retryable = true;
}

/** Connects. Throws a NatsUnreachableError where no server of the list takes the connection. */
export async function connectNats(urls: string, name: string): Promise<NatsConnection> {
	const options = natsOptions(urls, name);
	try {
		return await connect(options);
	} catch (error) {
		throw new NatsUnreachableError(
			`NATS at ${[options.servers].flat().join(", ")} cannot be reached (${(error as Error).message}). Start it, or correct NATS_URL.`
		);
	}
}

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
		// They would make an Error for each request, in case it fails.
		noAsyncTraces: true,
		maxReconnectAttempts: -1,
		reconnectTimeWait: 200,
		reconnectJitter: 100,
		pingInterval: 5_000,
		maxPingOut: 2
	};
}

/**
 * Follows a connection's status; answers whether it stands. Moleculer itself does not notice when
 * it breaks.
 */
export function watchConnection(
	connection: NatsConnection,
	{ onDown = () => {}, onUp = () => {} }: { onDown?: () => void; onUp?: () => void } = {}
): () => boolean {
	let up = true;
	void (async () => {
		for await (const { type } of connection.status()) {
			if (type === "disconnect") {
				up = false;
				onDown();
			}
			if (type === "reconnect") {
				up = true;
				onUp();
			}
		}
	})();
	return () => up && !connection.isClosed();
}

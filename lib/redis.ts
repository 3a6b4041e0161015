/** How every connection of ours to Redis is made. */
import type { RedisOptions } from "ioredis";

/** For a server at this URL. Whoever uses the connection has to get along while the server is away. */
export function redisOptions(url: string): RedisOptions {
	const { hostname, port, username, password, protocol, pathname } = new URL(url);
	return {
		host: hostname,
		port: Number(port || 6379),
		...(username ? { username: decodeURIComponent(username) } : {}),
		...(password ? { password: decodeURIComponent(password) } : {}),
		...(protocol === "rediss:" ? { tls: {} } : {}),
		db: Number(pathname.slice(1) || 0),
		// A slow answer is worse than none, and so is waiting for a server that is away.
		enableOfflineQueue: false,
		maxRetriesPerRequest: 1,
		commandTimeout: 300,
		connectTimeout: 2_000
	};
}

/** What a node's services share: the configuration, the databases, the event stream. Handed in, never imported. */
import type { ServiceBroker } from "moleculer";
import { databaseUrl, isCluster, type Config, type Group } from "./config.ts";
import { Database } from "./database.ts";
import { JetStream } from "./events/jetstream.ts";
import { LocalStream } from "./events/local-stream.ts";
import type { Inbox } from "./events/inbox.ts";
import type { EventStream } from "./events/stream.ts";
import { Metrics } from "./metrics.ts";

export interface Runtime {
	readonly config: Config;
	readonly stream: EventStream;
	readonly metrics: Metrics;
	/** The durable consumers of this node, by name; for those who operate them. */
	readonly inboxes: Map<string, Inbox>;
	/** The group's database; one pool in this process, opened at the first use. */
	readonly database: (group: Group) => Database;
	close(): Promise<void>;
}

export async function createRuntime(config: Config): Promise<Runtime> {
	const databases = new Map<Group, Database>();
	const stream = isCluster(config) ? await JetStream.connect(config) : new LocalStream();
	return {
		config,
		stream,
		metrics: new Metrics(),
		inboxes: new Map(),
		database(group) {
			let database = databases.get(group);
			if (!database) {
				database = new Database(group, databaseUrl(config, group), {
					poolSize: config.DATABASE_POOL_SIZE
				});
				databases.set(group, database);
			}
			return database;
		},
		async close() {
			await stream.close();
			await Promise.all([...databases.values()].map(database => database.close()));
		}
	};
}

const runtimes = new WeakMap<ServiceBroker, Runtime>();

// A closure and not a broker option: Moleculer deep-clones options and schemas, connections included.
export const bindRuntime = (broker: ServiceBroker, runtime: Runtime): void => {
	runtimes.set(broker, runtime);
};

/** The runtime of the broker that a service runs in. */
export function runtimeOf(broker: ServiceBroker): Runtime {
	const runtime = runtimes.get(broker);
	if (!runtime) throw new Error("This broker was not made by createBroker().");
	return runtime;
}

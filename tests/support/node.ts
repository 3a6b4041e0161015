/** A real node for service tests: real broker, real PostgreSQL, neighbours faked through their contracts. */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ServiceSchema } from "moleculer";
import type { Actions } from "../../contracts/index.ts";
import type { Role } from "../../contracts/users.ts";
import {
	databaseUrl,
	GROUPS,
	readConfig,
	type Config,
	type Group,
	type Unit
} from "../../lib/config.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import type { Identity } from "../../lib/identity.ts";
import { migrate } from "../../lib/migrations.ts";
import { startNode, type ValenceNode } from "../../lib/node.ts";

export interface TestNode extends ValenceNode {
	readonly config: Config;
	/** Calls an action as nobody, or as somebody. */
	call<K extends keyof Actions>(
		action: K,
		params: Actions[K]["params"],
		user?: Identity
	): Promise<Actions[K]["result"]>;
	/** What the group has recorded, oldest first. */
	recorded(group: Group, type?: string): Promise<Pick<Envelope, "type" | "data">[]>;
	/** Waits until the group's outbox is empty: everybody has handled everything. */
	settled(group: Group): Promise<void>;
}

/** A configuration with fresh databases in the shared test server. */
export function testConfig(env: Record<string, string> = {}): Config {
	const name = `t${randomUUID().replaceAll("-", "").slice(0, 12)}`;
	const data = join(process.env["TEST_FOLDER"]!, name);
	mkdirSync(data);
	return readConfig({
		NODE_ENV: "test",
		PORT: "0",
		OPS_PORT: "0",
		DATABASE_URL: `${process.env["TEST_POSTGRES_URL"]}/${name}`,
		DATABASE_POOL_SIZE: "5",
		DATA_DIR: data,
		AUTH_KEYS: process.env["TEST_AUTH_KEYS"],
		ENCRYPTION_KEYS: process.env["TEST_ENCRYPTION_KEYS"],
		LOG_LEVEL: "fatal",
		NODE_NAME: name,
		...env
	});
}

/** Starts a node with the given units on migrated, empty databases. */
export async function startTestNode(
	units: readonly Unit[],
	{ env = {}, fakes = [] }: { env?: Record<string, string>; fakes?: readonly ServiceSchema[] } = {}
): Promise<TestNode> {
	const config = testConfig(env);
	for (const group of GROUPS)
		if (units.includes(group)) await migrate(group, databaseUrl(config, group));
	const node = await startNode(config, { units, extra: fakes });
	const database = (group: Group) => node.runtime.database(group);
	return {
		...node,
		config,
		call: (action, params, user) =>
			node.broker.call(action, params as never, { meta: { user } }) as never,
		recorded: (group, type) =>
			database(group).query(
				"SELECT type, payload AS data FROM outbox WHERE type = coalesce($1, type) ORDER BY id",
				[type ?? null]
			),
		async settled(group) {
			for (const until = Date.now() + 10_000; Date.now() < until;) {
				const row = await database(group).one<{ n: number }>(
					"SELECT count(*)::int AS n FROM outbox WHERE published_at IS NULL"
				);
				if (row!.n === 0) return;
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			throw new Error(`The outbox of ${group} is not empty after 10 s.`);
		}
	};
}

/** Somebody signed in. */
export const somebody = (...roles: Role[]): Identity => ({
	id: randomUUID(),
	roles: roles.length > 0 ? roles : ["customer"],
	sessionId: randomUUID()
});

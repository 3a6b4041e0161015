import type { Group } from "../../lib/config.ts";
import { databaseUrl } from "../../lib/config.ts";
import { Database } from "../../lib/database.ts";
import { migrate } from "../../lib/migrations.ts";
import { testConfig } from "./node.ts";

/** An empty, migrated database of a group, without a node. The caller closes it. */
export async function testDatabase(group: Group): Promise<Database> {
	const url = databaseUrl(testConfig(), group);
	await migrate(group, url);
	return new Database(group, url, { poolSize: 5 });
}

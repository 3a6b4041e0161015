/** The demo catalog and log-ins, for those who want to look around. */
import { databaseUrl, type Config } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { loadDemoCatalog } from "../services/catalog/products.demo.ts";
import { loadDemoUsers } from "../services/users/users.demo.ts";

export const DEMO_LOGINS = ["admin@valence.test", "staff@valence.test", "customer@valence.test"];

/** Loads what is not there yet; a second load changes nothing. */
export async function loadDemoData(
	config: Config,
	progress: (step: string) => void
): Promise<void> {
	const users = new Database("users", databaseUrl(config, "users"));
	const catalog = new Database("catalog", databaseUrl(config, "catalog"));
	try {
		await loadDemoUsers(users, config.DEMO_PASSWORD);
		await loadDemoCatalog(catalog, (done, total) =>
			progress(`loading the demo catalog: ${done} of ${total} products`)
		);
	} finally {
		await users.close();
		await catalog.close();
	}
}

/** Jest's global set-up: one PostgreSQL for all suites; each makes databases of its own in it. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres, type EmbeddedPostgres } from "../../lib/embedded-postgres.ts";
import { createEncryptionKey } from "../../lib/encryption.ts";
import { createSigningKeys } from "../../lib/signing-keys.ts";

declare global {
	var testPostgres: { server: EmbeddedPostgres; folder: string } | undefined;
}

export default async function setUp(): Promise<void> {
	const folder = mkdtempSync(join(tmpdir(), "valence-test-"));
	const server = await startPostgres({
		folder: join(folder, "postgres"),
		// The tests kill processes, never the machine.
		settings: ["fsync=off", "max_connections=300"]
	});
	globalThis.testPostgres = { server, folder };
	process.env["TEST_POSTGRES_URL"] = server.url;
	process.env["TEST_FOLDER"] = folder;
	process.env["TEST_AUTH_KEYS"] = await createSigningKeys();
	process.env["TEST_ENCRYPTION_KEYS"] = createEncryptionKey();
}

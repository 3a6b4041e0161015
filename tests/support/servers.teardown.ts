import { rmSync } from "node:fs";
import "./servers.setup.ts";

export default async function tearDown(): Promise<void> {
	const { server, folder } = globalThis.testPostgres!;
	await server.stop();
	rmSync(folder, { recursive: true, force: true });
}

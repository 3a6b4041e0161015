import { startCluster, type Running } from "../support/process.ts";

declare global {
	var clusterUnderTest: Running | undefined;
}

export default async function setUp(): Promise<void> {
	const system = await startCluster("gateway=2", { RATE_LIMIT_FACTOR: "0" });
	globalThis.clusterUnderTest = system;
	process.env["TEST_CLUSTER_URLS"] = system.urls.join();
	process.env["TEST_CLUSTER_URLS_DATA"] = system.dataDir;
}

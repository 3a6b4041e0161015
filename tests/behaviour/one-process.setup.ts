import { startOneProcess, type Running } from "../support/process.ts";

declare global {
	var oneProcessUnderTest: Running | undefined;
}

export default async function setUp(): Promise<void> {
	const system = await startOneProcess({ RATE_LIMIT_FACTOR: "0" });
	globalThis.oneProcessUnderTest = system;
	process.env["TEST_ONE_PROCESS_URLS"] = system.urls.join();
	process.env["TEST_ONE_PROCESS_URLS_DATA"] = system.dataDir;
}

/** What is measured: each a process of its own, ended with the scope that started it. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { newDataDir, startCluster, startOneProcess } from "../tests/support/process.ts";

export const SHAPES = ["one-process", "cluster"] as const;
export type Shape = (typeof SHAPES)[number];

export interface Server extends AsyncDisposable {
	readonly url: string;
	/** The process that all others of the server descend from. */
	readonly pid: number;
}

/** Without the check of results, which is for development; the limits count and are never reached. */
const ENVIRONMENT = { NODE_ENV: "production", LOG_LEVEL: "warn", RATE_LIMIT_FACTOR: "1000000" };

/** Starts one of the servers beside which Valence is measured. */
export async function startBare(file: "bare-http.ts" | "bare-web.ts"): Promise<Server> {
	const child = fork(join(import.meta.dirname, file), {
		env: { ...process.env, ...ENVIRONMENT },
		execArgv: []
	});
	const ended = once(child, "exit");
	const said = await Promise.race([once(child, "message"), ended.then(() => [])]);
	if (typeof said[0] !== "string") throw new Error(`bench/${file} ended before it listened.`);
	return {
		url: said[0],
		pid: child.pid!,
		async [Symbol.asyncDispose]() {
			child.kill("SIGKILL");
			await ended;
		}
	};
}

/** Starts Valence on free ports, with demo data in a folder of its own that is removed afterwards. */
export async function startValence(shape: Shape): Promise<Server> {
	const dataDir = newDataDir();
	const start = {
		"one-process": () => startOneProcess(ENVIRONMENT, dataDir),
		cluster: () => startCluster("", ENVIRONMENT, dataDir)
	}[shape];
	try {
		const running = await start();
		return {
			url: running.urls[0]!,
			pid: running.process.pid!,
			async [Symbol.asyncDispose]() {
				await running.stop();
				running.cleanUp();
			}
		};
	} catch (error) {
		// Its database may take a moment to notice the end.
		rmSync(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
		throw error;
	}
}

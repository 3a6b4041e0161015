/**
 * A replica to be: loads the packages, which is most of what a start takes, and waits to be told what
 * it is. None of our own code is loaded before that: it reads its environment as it is loaded.
 */
import "ajv";
import "ajv-formats";
import "ioredis";
import "jose";
import "moleculer";
import "nats";
import "pg";
import "pino";
import "prom-client";
import "sequelize";
import "typebox";
import "umzug";
import type { Part } from "./services.ts";

/** What a spare becomes. */
export interface Assignment {
	readonly part: Part;
	readonly env: Readonly<Record<string, string>>;
}

// A parent that is gone cannot stop us any more.
process.once("disconnect", () => process.exit(1));
process.on("message", (message: object) => {
	if (!("part" in message)) return;
	const { part, env } = message as Assignment;
	Object.assign(process.env, env);
	process.argv[2] = part;
	void (async () => {
		if (env["MUTANT"]) await import("../chaos/mutate.ts");
		await import("./node.ts");
	})();
});

/** `npm run db -- migrate|rollback|status|create|demo-data`: the schemas of all groups. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command } from "commander";
import {
	databaseUrl,
	GROUPS,
	lacksDatabase,
	readConfig,
	type Config,
	type Group
} from "../lib/config.ts";
import { lockDataFolder } from "../lib/data-folder.ts";
import { startPostgres } from "../lib/embedded-postgres.ts";
import {
	migrate,
	migrationNames,
	migrationsFolder,
	migrationStatus,
	rollback
} from "../lib/migrations.ts";
import { onShutdown } from "../lib/shutdown.ts";
import { StartupError } from "../lib/startup-error.ts";
import { loadDemoData } from "./demo-data.ts";
import { die, progressLine } from "./console.ts";

const group = () => new Argument("<group>", "the group").choices([...GROUPS]);
const someGroup = () =>
	new Argument("[group]", "the group; all where none is named").choices([...GROUPS]);

/** Runs work on the configured databases, or on the embedded ones while nobody else uses them. */
async function withDatabases(work: (config: Config) => Promise<void>): Promise<void> {
	const config = readConfig();
	if (!lacksDatabase(config)) return work(config);
	const folder = lockDataFolder(config.DATA_DIR);
	try {
		const postgres = await startPostgres({
			folder: join(folder.path, "postgres"),
			port: config.EMBEDDED_DATABASE_PORT,
			progress: progressLine()
		});
		onShutdown({
			stop: () => postgres.stop(),
			abandon: () => postgres.kill(),
			timeoutMs: 30_000
		});
		try {
			await work({ ...config, DATABASE_URL: postgres.url });
		} catch (error) {
			throw postgres.explain(error);
		} finally {
			await postgres.stop();
		}
	} finally {
		folder.unlock();
	}
}

const program = new Command("npm run db --").description("The database schemas of Valence");

program
	.command("migrate")
	.description("apply what is pending")
	.addArgument(someGroup())
	.action((only?: Group) =>
		withDatabases(async config => {
			for (const name of only ? [only] : GROUPS) {
				const applied = await migrate(name, databaseUrl(config, name));
				console.log(
					`${name}: ${applied.length > 0 ? `applied ${applied.join(", ")}` : "up to date"}`
				);
			}
		})
	);

program
	.command("rollback")
	.description("take back the newest migration of a group")
	.addArgument(group())
	.option("--steps <number>", "how many", "1")
	.action((name: Group, { steps }: { steps: string }) =>
		withDatabases(async config => {
			const count = Number(steps);
			if (!Number.isInteger(count) || count < 1)
				throw new StartupError("--steps takes a whole number from 1.");
			const reverted = await rollback(name, databaseUrl(config, name), count);
			console.log(
				`${name}: ${reverted.length > 0 ? `took back ${reverted.join(", ")}` : "nothing to take back"}`
			);
		})
	);

program
	.command("status")
	.description("what is applied and what is pending; exit code 1 where something is")
	.addArgument(someGroup())
	.action((only?: Group) =>
		withDatabases(async config => {
			for (const name of only ? [only] : GROUPS) {
				const { applied, pending, unknown } = await migrationStatus(
					name,
					databaseUrl(config, name)
				);
				for (const migration of applied.filter(m => !unknown.includes(m)))
					console.log(`${name}  applied  ${migration}`);
				for (const migration of pending) console.log(`${name}  PENDING  ${migration}`);
				for (const migration of unknown)
					console.log(`${name}  UNKNOWN  ${migration} (applied by a newer version)`);
				if (pending.length + unknown.length > 0) process.exitCode = 1;
			}
		})
	);

program
	.command("create")
	.description("write an empty migration for a group")
	.addArgument(group())
	.argument("<name>", "what it does, in a few words")
	.action((name: Group, title: string) => {
		const slug = title
			.toLowerCase()
			.replace(/[^a-z0-9]+/g, "-")
			.replace(/^-|-$/g, "");
		if (!slug) throw new StartupError("The name needs a letter or a digit.");
		const last = Number(migrationNames(name).at(-1)?.slice(0, 4) ?? 0);
		const file = join(migrationsFolder(name), `${String(last + 1).padStart(4, "0")}-${slug}.ts`);
		mkdirSync(migrationsFolder(name), { recursive: true });
		writeFileSync(file, EMPTY_MIGRATION, { flag: "wx" });
		console.log(`Wrote ${file}`);
	});

program
	.command("demo-data")
	.description("load the demo catalog and log-ins")
	.action(() => withDatabases(config => loadDemoData(config, progressLine())));

const EMPTY_MIGRATION = `import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	await query(\`\`);
};

export const down: Migration = async ({ query }) => {
	await query(\`\`);
};
`;

await program.parseAsync().catch((error: unknown) => die(explain(error)));

/** The server's refusals as a person should read them. No URL: it holds a password. */
function explain(error: unknown): unknown {
	const { code, message } = error as { code?: string; message?: string };
	const reasons: Record<string, string> = {
		ECONNREFUSED: "nobody listens there",
		ENOTFOUND: "there is no such host",
		ETIMEDOUT: "it does not answer",
		"28P01": "the password is wrong",
		"28000": "it does not let this user in",
		"3D000": message ?? "there is no such database"
	};
	const reason = code && reasons[code];
	if (!reason) return error;
	return new StartupError(
		`The database server cannot be used: ${reason}. Look at DATABASE_URL (or the group's own, as in ORDERS_DATABASE_URL).`
	);
}

/** `npm start`: the whole system in one process. */
import type { EmbeddedPostgres } from "../lib/embedded-postgres.ts";
import { onShutdown } from "../lib/shutdown.ts";
import { DEMO_LOGINS } from "./demo-data.ts";
import { die, progressLine } from "./console.ts";
import { startOneProcess } from "./one-process.ts";

const began = performance.now();
const say = (text: string) => console.log(`  ${text}`);
const interrupt = new AbortController();
let database: EmbeddedPostgres | undefined;

console.log("Valence is starting");
const starting = startOneProcess(process.env, {
	progress: progressLine(),
	signal: interrupt.signal,
	onDatabase: postgres => {
		database = postgres;
	}
});

onShutdown({
	async stop() {
		interrupt.abort();
		const system = await starting.catch(() => undefined);
		await system?.stop();
	},
	abandon: () => database?.kill(),
	timeoutMs: 30_000,
	say
});

const system = await starting.catch((error: unknown) => {
	// Where we were told to stop, the handler above ends the process.
	if (!interrupt.signal.aborted) die(error);
	return new Promise<never>(() => {});
});
const { url, opsUrl, config, demoData, postgres } = system;
console.log(
	[
		"",
		`Valence is ready after ${((performance.now() - began) / 1000).toFixed(1)} s`,
		"",
		`  API        ${url}/api/v1`,
		`  Try it     ${url}/docs`,
		`  Health     ${url}/health   (operators: ${opsUrl}/ready)`,
		...(postgres
			? [`  Database   ${postgres.url.replace(/:[^:@]+@/, ":…@")} in ${config.DATA_DIR}/postgres`]
			: []),
		config.SMTP_URL
			? "  Mails      are sent by SMTP"
			: `  Mails      are kept in ${config.DATA_DIR}/mail`,
		...(demoData
			? [`  Log-ins    ${DEMO_LOGINS.join(", ")}`, `             password ${config.DEMO_PASSWORD}`]
			: []),
		"",
		"  Ctrl-C stops it.",
		""
	].join("\n")
);
postgres?.died.catch(async error => {
	if (interrupt.signal.aborted) return;
	await Promise.race([system.stop(), new Promise(resolve => setTimeout(resolve, 5_000))]);
	die(error);
});

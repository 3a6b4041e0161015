/** `npm start`: the whole system in one process. */
import { onShutdown } from "../lib/shutdown.ts";
import { DEMO_LOGINS } from "./demo-data.ts";
import { die, progressLine } from "./console.ts";
import { startOneProcess, type OneProcess } from "./one-process.ts";

const began = performance.now();
const say = (text: string) => console.log(`  ${text}`);
let system: OneProcess | undefined;
let stopping = false;

onShutdown({
	stop: async () => {
		stopping = true;
		await system?.stop();
	},
	abandon: () => system?.abandon(),
	timeoutMs: 30_000,
	say
});

console.log("Valence is starting");
try {
	system = await startOneProcess(process.env, progressLine());
} catch (error) {
	die(error);
}
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
	if (stopping) return;
	await Promise.race([system!.stop(), new Promise(resolve => setTimeout(resolve, 5_000))]);
	die(error);
});

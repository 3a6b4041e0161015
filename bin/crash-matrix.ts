/** `npm run crash-matrix`: kills the system at every step of an event's way, and checks the books after each. */
import { Command } from "commander";
import { die } from "./console.ts";
import { CASES } from "./crash-matrix/cases.ts";
import { Ground } from "./crash-matrix/ground.ts";
import { isCurrent, writeMatrix } from "./crash-matrix/document.ts";
import type { Row } from "./crash-matrix/outcome.ts";

const { only, write } = new Command("npm run crash-matrix --")
	.description("Kills the system at every step of an event's way, and checks the books after each")
	.option("--only <text>", "only the steps whose name contains this")
	.option("--write", "write what was seen to docs/crash-matrix.md")
	.parse()
	.opts<{ only?: string; write?: boolean }>();

let ground: Ground | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, () => {
		void (ground?.stop() ?? Promise.resolve()).finally(() => process.exit(130));
	});

try {
	ground = await Ground.start();
	const rows: Row[] = [];
	let failed = 0;
	const began = performance.now();
	for (const { name, run } of CASES.filter(each => !only || each.name.includes(only))) {
		const start = performance.now();
		const seconds = () => `${((performance.now() - start) / 1_000).toFixed(1)} s`.padStart(7);
		try {
			const row = await run(ground);
			rows.push(row);
			if (!row.ok) failed++;
			console.log(`${seconds()}  ${row.ok ? "clean   " : "VIOLATED"}  ${name}`);
			console.log(`           left: ${row.left}\n           next: ${row.next}`);
			console.log(`           absorbed: ${row.absorbed}`);
			for (const detail of row.verdict.details) console.log(`         ! ${detail}`);
		} catch (error) {
			failed++;
			console.log(`${seconds()}  FAILED    ${name}: ${String(error)}`);
		}
	}
	const took = Math.round((performance.now() - began) / 1_000);
	console.log(`\n${rows.length} steps in ${took} s, ${failed} failed`);
	if (!only && failed === 0) {
		if (write) await writeMatrix(rows);
		else if (!(await isCurrent(rows))) {
			console.log(
				"docs/crash-matrix.md tells something else. Write it with `npm run crash-matrix -- --write`."
			);
			failed++;
		}
	}
	process.exitCode = failed > 0 ? 1 : 0;
	await ground.stop();
} catch (error) {
	await ground?.stop();
	die(error);
}

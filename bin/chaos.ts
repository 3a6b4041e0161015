/** `npm run chaos`: breaks everything that can break under load, heals it, and counts what was lost or done twice. */
import { randomInt } from "node:crypto";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Ground } from "./chaos/ground.ts";
import { MUTANTS } from "./chaos/mutants.ts";
import { lineOf, run, tellResult, violations, type Result } from "./chaos/run.ts";
import { FAULTS, kindsOf, type FaultKind, type Profile } from "./chaos/schedule.ts";
import { die } from "./console.ts";

interface Options {
	readonly profile?: Profile;
	readonly seconds?: number;
	readonly seed: number;
	readonly only?: readonly FaultKind[];
	readonly json: boolean;
	readonly logs?: string;
	readonly control?: string;
	readonly controls: boolean;
}

const SECONDS: Record<Profile, number> = { small: 40, full: 600 };
/** A failed handler or publish waits at most half a minute for its next try; a heavy load has more to catch up with. */
const QUIET_WITHIN_MS: Record<Profile, number> = { small: 90_000, full: 600_000 };
/** Controls are brief: what is broken shows soon, and most of them never become quiet. */
const CONTROL_SECONDS = 25;
const CONTROL_QUIET_WITHIN_MS = 20_000;

const options = new Command("npm run chaos --")
	.description("Proves that nothing is lost and nothing done twice, whatever breaks")
	.addOption(
		new Option(
			"--profile <name>",
			"small: two replicas of each role; full: three, and longer faults (default: full; small for controls)"
		).choices(Object.keys(SECONDS))
	)
	.option(
		"--seconds <n>",
		"how long load and faults last (default: 600; small 40, controls 25)",
		parseSeconds
	)
	.option(
		"--seed <n>",
		"the seed of an earlier run, for the same faults",
		parseSeed,
		randomInt(2 ** 31)
	)
	.option(
		"--only <fault,…>",
		"only these kinds of faults, to look for what one of them does",
		parseKinds
	)
	.option("--json", "end with one line of JSON; all else goes to standard error", false)
	.option("--logs <folder>", "keep what the replicas print, with LOG_LEVEL=info")
	.addOption(
		new Option(
			"--control <mutant>",
			"run a deliberately broken variant of the code; 0 then means that it was caught"
		).choices(MUTANTS.map(({ name }) => name))
	)
	.option("--controls", "all broken variants, and the real code likewise", false)
	.parse()
	.opts<Options>();

function parseSeconds(text: string): number {
	if (!/^[1-9]\d{1,4}$/.test(text)) throw new InvalidArgumentError("It is a whole number from 10.");
	return Number(text);
}

function parseSeed(text: string): number {
	if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("It is a whole number.");
	return Number(text);
}

function parseKinds(text: string): FaultKind[] {
	const kinds = text.split(",") as FaultKind[];
	if (kinds.every(kind => Object.hasOwn(FAULTS, kind))) return [...new Set(kinds)];
	throw new InvalidArgumentError(`Kinds are ${Object.keys(FAULTS).join(", ")}.`);
}

const { seed, json, logs, control, controls } = options;
const isControl = controls || control !== undefined;
const profile = options.profile ?? (isControl ? "small" : "full");
const seconds = options.seconds ?? (isControl ? CONTROL_SECONDS : SECONDS[profile]);
const kinds = options.only ?? kindsOf(profile);
const out = json ? process.stderr : process.stdout;
const say = (line: string) => out.write(`${line}\n`);

let ground: Ground | undefined;
let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, () => {
		stopping = true;
		say(`\nstopping; the seed was ${seed}`);
		void (ground?.stop() ?? Promise.resolve()).finally(() => process.exit(130));
	});

async function runOnce(mutant?: string): Promise<Result> {
	const variant = mutant ? `, broken by ${mutant}` : "";
	say(`\nchaos, profile ${profile}, ${seconds} s, seed ${seed}${variant}`);
	const result = await run({
		profile,
		seconds,
		seed,
		kinds,
		mutant,
		logs,
		say,
		quietWithinMs: isControl ? CONTROL_QUIET_WITHIN_MS : QUIET_WITHIN_MS[profile],
		onMade: made => {
			ground = made;
		}
	});
	say(`\n${tellResult(result, kinds)}`);
	return result;
}

/** Each mutant has to be caught, and the real code, treated alike, to be clean: else the checker proves nothing. */
async function runControls(): Promise<boolean> {
	const lines: string[] = [];
	let caught = 0;
	for (const { name, what } of MUTANTS) {
		const isCaught = violations(await runOnce(name)) > 0;
		if (isCaught) caught++;
		lines.push(`  ${name.padEnd(21)}${(isCaught ? "caught" : "NOT CAUGHT").padEnd(12)}${what}`);
	}
	const { ok } = await runOnce();
	say(`\n${lines.join("\n")}`);
	say(`  ${"the real code".padEnd(21)}${ok ? "clean" : "NOT CLEAN"}`);
	say(`\n  seed ${seed}: caught ${caught} of ${MUTANTS.length}`);
	return ok && caught === MUTANTS.length;
}

async function runOne(): Promise<boolean> {
	const result = await runOnce(control);
	if (json) console.log(lineOf(result));
	if (!control) return result.ok;
	const isCaught = violations(result) > 0;
	say(`  ${control} was ${isCaught ? "caught" : "NOT caught"}`);
	return isCaught;
}

try {
	process.exitCode = (await (controls ? runControls() : runOne())) ? 0 : 1;
} catch (error) {
	// Where we were told to stop, the handler above ends the process.
	if (!stopping) {
		say(`the seed was ${seed}`);
		die(error);
	}
}

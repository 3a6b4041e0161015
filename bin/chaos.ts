/** `npm run chaos`: breaks everything that can break under load, heals it, and counts what was lost or done twice. */
import { randomInt } from "node:crypto";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Ground } from "./chaos/ground.ts";
import { lineOf, run, tellResult } from "./chaos/run.ts";
import type { Profile } from "./chaos/schedule.ts";
import { die } from "./console.ts";

interface Options {
	readonly seconds?: number;
	readonly seed: number;
	readonly profile: Profile;
	readonly json: boolean;
	readonly logs?: string;
}

const SECONDS: Record<Profile, number> = { small: 40, full: 600 };
/** A failed handler or publish waits at most half a minute for its next try. */
const QUIET_WITHIN_MS = 90_000;

const options = new Command("npm run chaos --")
	.description("Proves that nothing is lost and nothing done twice, whatever breaks")
	.addOption(
		new Option(
			"--profile <name>",
			"small: two replicas of each role; full: three, and longer faults"
		)
			.choices(Object.keys(SECONDS))
			.default("full")
	)
	.option("--seconds <n>", "how long load and faults last (small: 40, full: 600)", parseSeconds)
	.option(
		"--seed <n>",
		"the seed of an earlier run, for the same faults",
		parseSeed,
		randomInt(2 ** 31)
	)
	.option("--json", "end with one line of JSON; all else goes to standard error", false)
	.option("--logs <folder>", "keep what the replicas print, with LOG_LEVEL=info")
	.parse()
	.opts<Options>();

function parseSeconds(text: string): number {
	if (!/^\d{2,5}$/.test(text)) throw new InvalidArgumentError("It is a whole number from 10.");
	return Number(text);
}

function parseSeed(text: string): number {
	if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("It is a whole number.");
	return Number(text);
}

const { profile, seed, json, logs } = options;
const seconds = options.seconds ?? SECONDS[profile];
const out = json ? process.stderr : process.stdout;
const say = (line: string) => out.write(`${line}\n`);

let ground: Ground | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, () => {
		say(`\nstopping; the seed was ${seed}`);
		void (ground?.stop() ?? Promise.resolve()).finally(() => process.exit(130));
	});

try {
	say(`chaos, profile ${profile}, ${seconds} s, seed ${seed}`);
	const result = await run({
		profile,
		seconds,
		seed,
		quietWithinMs: QUIET_WITHIN_MS,
		logs,
		say,
		onMade: made => {
			ground = made;
		}
	});
	say(`\n${tellResult(result, profile)}`);
	if (json) console.log(lineOf(result));
	process.exitCode = result.ok ? 0 : 1;
} catch (error) {
	say(`the seed was ${seed}`);
	die(error);
}

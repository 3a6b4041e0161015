/** `npm run contracts -- diff <ref>`: what the contracts break since then, and for whom. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Command } from "commander";
import { allContracts } from "../contracts/index.ts";
import { additions, breakingChanges, FROZEN, type Addition } from "../lib/compatibility.ts";
import type { ServiceContract } from "../lib/contract.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die } from "./console.ts";
import { affectedBy, loadUnits, type Affected } from "./usage.ts";

interface Difference {
	readonly breaking: readonly {
		readonly change: string;
		readonly kind: string;
		readonly subject: string;
		readonly affects: readonly Affected[];
	}[];
	readonly added: readonly Addition[];
}

/** Not 1, which says that something breaks. */
const EXIT_FAILED = 2;

const git = (...args: string[]) => {
	const { error, status, stdout, stderr } = spawnSync("git", args, {
		cwd: join(import.meta.dirname, ".."),
		encoding: "utf8",
		maxBuffer: 64 * 2 ** 20
	});
	if (error) throw new StartupError(`git cannot be run: ${error.message}`);
	return { ok: status === 0, stdout, stderr };
};

/** What was published at a commit. */
function promisedAt(ref: string): ServiceContract[] {
	const commit = git("rev-parse", "--verify", `${ref}^{commit}`);
	if (!commit.ok)
		throw new StartupError(
			`git finds no commit '${ref}' (${commit.stderr.trim()}). Name a branch, a tag or a commit; what only the remote has, \`git fetch --tags\` brings (into a shallow clone: with \`--unshallow\`).`
		);
	const file = git("show", `${commit.stdout.trim()}:./${FROZEN}`);
	if (!file.ok)
		throw new StartupError(
			`There is no ${FROZEN} at '${ref}', so nothing was published then. Name a commit from \`git log -- ${FROZEN}\`.`
		);
	return JSON.parse(file.stdout) as ServiceContract[];
}

async function differenceSince(ref: string): Promise<Difference> {
	const promised = promisedAt(ref);
	const units = await loadUnits();
	return {
		breaking: breakingChanges(promised, allContracts).map(change => ({
			change: change.text,
			kind: change.kind,
			subject: change.subject,
			affects: affectedBy(change, promised, units)
		})),
		added: additions(promised, allContracts)
	};
}

function report({ breaking, added }: Difference, ref: string): string {
	const width = Math.max(
		...breaking.flatMap(({ affects }) => affects.map(({ who }) => who.length))
	);
	const rows = breaking.flatMap(({ change, kind, affects }) => [
		`${kind.padEnd(9)}${change}`,
		...affects.map(({ who, how }) => `${" ".repeat(9)}  ${who.padEnd(width)}  ${how}`),
		...(affects.length === 0 ? [`${" ".repeat(9)}  nobody here uses it`] : [])
	]);
	const news = added.map(({ kind, subject }) => `${kind.padEnd(9)}${subject}`);
	return [
		breaking.length === 0
			? `Every promise of ${ref} is kept.`
			: `Broken since ${ref}, and who relies on it in this working tree:\n\n${rows.join("\n")}\n\nNodes of ${ref} that still run, and events that are stored, rely on it as well.`,
		added.length === 0 ? "Nothing is new." : `New, and harmless:\n\n${news.join("\n")}`
	].join("\n\n");
}

const program = new Command("npm run contracts --")
	.description("What the services promise each other and their clients")
	.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_FAILED));

program
	.command("diff")
	.description(
		"what the working tree breaks of what was published, and for whom; exit code 1 where it does"
	)
	.argument("<ref>", "the commit, branch or tag to compare with")
	.option("--json", "one JSON object, for programs")
	.action(async (ref: string, { json }: { json?: boolean }) => {
		const difference = await differenceSince(ref);
		console.log(json ? JSON.stringify(difference, null, "\t") : report(difference, ref));
		process.exitCode = difference.breaking.length > 0 ? 1 : 0;
	});

await program.parseAsync().catch((error: unknown) => die(error, EXIT_FAILED));

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const file = "tests/types/wrong-uses.ts";

/** Numbers of the lines of the file in which the compiler finds a mistake, each once. */
function linesWithErrors(): number[] {
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	const { stdout } = spawnSync(
		process.execPath,
		[tsc, "-p", "tests/types/tsconfig.json", "--pretty", "false"],
		{ cwd: root, encoding: "utf8" }
	);
	// Every complaint counts, so that a mistake in another file is seen here as well.
	const complaints = stdout.split("\n").filter(line => /^\S.*\berror TS\d+/.test(line));
	const lines = complaints.map(complaint => {
		const place = /^(.+)\((\d+),\d+\): /.exec(complaint);
		if (place?.[1] !== file) throw new Error(`An error outside ${file}: ${complaint}`);
		return Number(place[2]);
	});
	return [...new Set(lines)].sort((a, b) => a - b);
}

const describeLines = (numbers: readonly number[], lines: readonly string[]): string[] =>
	numbers.map(number => `${number}: ${lines[number - 1]?.trim()}`);

describe("the types of the contracts", () => {
	it("refuse every wrong use, and nothing else", () => {
		const lines = readFileSync(join(root, file), "utf8").split("\n");
		const marked = lines.flatMap((line, index) => (line.includes("// wrong: ") ? [index + 1] : []));
		expect(marked.length).toBeGreaterThanOrEqual(11);
		expect(describeLines(linesWithErrors(), lines)).toEqual(describeLines(marked, lines));
	});
});

/** What imports show to people. */
import type { Counts, ImportOptions } from "./import.ts";

/** A status, and how it is said of some lines: `exists` → `5 exist`. */
export type Words = Readonly<Record<string, string>>;

export const count = (value: number): string => value.toLocaleString("en");

/** `3 imported, 2 exist, 0 rejected` */
export const countsIn = (counts: Counts, words: Words): string =>
	Object.entries({ ...words, rejected: words["rejected"] ?? "rejected" })
		.map(([status, word]) => `${count(counts[status]!)} ${word}`)
		.join(", ");

/**
 * A bar on a terminal, which says as well what is waited for; elsewhere a line for each tenth, and at least
 * each 10,000 lines.
 */
export function progressOf(
	words: Words,
	stream: NodeJS.WriteStream = process.stderr
): Pick<ImportOptions, "progress" | "onWait"> {
	let told = 0;
	let bar = "";
	return {
		progress(counts, total) {
			const { lines } = counts;
			const numbers = `${count(lines)} of ${count(total)} lines: ${countsIn(counts, words)}`;
			const filled = Math.round((lines / total) * 24);
			bar = `${"█".repeat(filled)}${"░".repeat(24 - filled)} ${numbers}`;
			if (stream.isTTY) stream.write(`\r\u001b[2K${bar}${lines === total ? "\n" : ""}`);
			else if (lines === total || lines - told >= Math.min(10_000, total / 10)) {
				told = lines;
				stream.write(`${numbers}\n`);
			}
		},
		onWait(events) {
			if (stream.isTTY)
				stream.write(`\r\u001b[2K${bar} (waits: ${count(events)} events are to be published)`);
		}
	};
}

export interface Finished {
	readonly counts: Counts;
	readonly seconds: number;
	readonly dryRun: boolean;
	/** Where the rejected lines are, if there are any. */
	readonly report: string | null;
}

/** What became of a file, in words for what has happened and for what would. */
export function importView(
	{ counts, seconds, dryRun, report }: Finished,
	{ done, would }: { readonly done: Words; readonly would: Words }
): string {
	const { lines } = counts;
	const speed = `${count(lines)} lines in ${seconds} s (${count(Math.round(lines / Math.max(seconds, 0.001)))} a second)`;
	const became = dryRun
		? `${countsIn(counts, would)}. Nothing was done.`
		: `${countsIn(counts, done)}.`;
	return `${speed}: ${became}${report ? `\nThe rejected lines are in ${report}, with what is wrong.` : ""}`;
}

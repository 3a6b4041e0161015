/** docs/crash-matrix.md: what a run of the matrix has seen. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FAULT_CASES } from "./faults.ts";
import type { Row } from "./outcome.ts";
import { POINT_CASES } from "./points.ts";

const FILE = join(import.meta.dirname, "..", "..", "docs", "crash-matrix.md");

const HEADINGS = ["Step", "Left behind", "What happens next", "Lost", "Double", "Absorbed"];

/** A row as the document has it. */
export const cellsOf = ({ step, left, next, absorbed, verdict }: Row): string[] => [
	step,
	left,
	next,
	String(verdict.lost),
	String(verdict.double),
	absorbed
];

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

const table = (rows: readonly Row[]): string =>
	[HEADINGS, HEADINGS.map(() => "---"), ...rows.map(cellsOf)].map(line).join("\n");

const text = (rows: readonly Row[]): string => {
	const of = (cases: readonly { readonly name: string }[]) =>
		rows.filter(({ name }) => cases.some(each => each.name === name));
	return `<!-- Written by \`npm run crash-matrix -- --write\` from what it saw; do not edit. -->

# Crash matrix

What a death at each step of an event's way leaves behind, and how it heals. Each row is a run on the real backbone:
PostgreSQL, NATS, a writer and a reader as processes. One command alone meets the trouble, so that it is known what this
leaves behind; fifty commands follow. In the end all work is done, and the books have to be in order: nothing lost,
nothing double, no effect of what nobody asked for, everything of an account in its order, no dead letter open, nothing
left in an outbox.

## A process dies

It kills itself (SIGKILL) at a crash point of \`lib/crash-point.ts\`; in the last row the handler does it. Except where
it is about dead letters, it dies once more at the same step in the midst of the fifty commands.

${table(of(POINT_CASES))}

The handler whose events become dead letters fails for the eighth time at once, and leases of jobs and timers are
ended early: half a minute of waiting would show nothing.

## Servers break, links are cut, a replica stands still

${table(of(FAULT_CASES))}

## Shown elsewhere

| Step | Where |
| --- | --- |
| relay and PostgreSQL half-open | \`npm run chaos\`: \`black-hole\` and \`lost-answers\` on the links of writers to PostgreSQL |
| relay cut off for long, NATS away for 35 s | \`npm run chaos -- --profile full\` |
| an acknowledgement is lost on the wire | above, after ack; \`npm run chaos\`: \`black-hole\` on the links of readers to NATS |
| PostgreSQL with \`synchronous_commit = off\` | refused at the start of a node: \`lib/database.test.ts\` |
| the outbox is purged too early, the inbox earlier than a replay | bounds of \`OUTBOX_RETENTION_DAYS\` and \`INBOX_RETENTION_DAYS\`: \`lib/config.ts\` |
| power is lost below NATS or PostgreSQL | not shown: killing a process does not take what its system has buffered |
`;
};

async function documentOf(rows: readonly Row[]): Promise<string> {
	// Only here: it cannot be loaded where Jest runs the tests of the matrix.
	const { format, resolveConfig } = await import("prettier");
	const options = await resolveConfig(FILE);
	return format(text(rows), { ...options, filepath: FILE });
}

/** The rows of the stored document, as cells. */
export const storedRows = (): string[][] =>
	readFileSync(FILE, "utf8")
		.split("\n")
		.filter(each => each.startsWith("| ") && !each.startsWith("| ---"))
		.map(each =>
			each
				.slice(1, -1)
				.split(" | ")
				.map(cell => cell.trim())
		)
		.filter(cells => cells.length === HEADINGS.length && cells[0] !== HEADINGS[0]);

/** Whether the stored document tells of just these rows. */
export async function isCurrent(rows: readonly Row[]): Promise<boolean> {
	try {
		return readFileSync(FILE, "utf8") === (await documentOf(rows));
	} catch {
		return false;
	}
}

export const writeMatrix = async (rows: readonly Row[]): Promise<void> =>
	writeFileSync(FILE, await documentOf(rows));

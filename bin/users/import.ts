/** Users of a file, handed over in batches, and what became of each. */
import { closeSync, openSync, realpathSync, rmSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { IMPORT_BATCH } from "../../contracts/users.ts";
import { StartupError } from "../../lib/startup-error.ts";
import type { Operator } from "../operator.ts";
import { csvLine, readCsv, type CsvRecord } from "./csv.ts";
import { Reader, tellProblem, type ReadOptions } from "./records.ts";

export interface ImportOptions extends ReadOptions {
	/** Where the rejected lines are written, with what is wrong with them. */
	readonly report: string;
	readonly dryRun?: boolean;
	/** False: do not wait until others have heard of those imported before. */
	readonly wait?: boolean;
	readonly progress: (done: Counts, total: number) => void;
	/** Told once, where it waits, how many events do. */
	readonly onWait: (events: number) => void;
}

export interface Counts {
	readonly lines: number;
	readonly imported: number;
	readonly exists: number;
	readonly rejected: number;
}

const NONE: Counts = { lines: 0, imported: 0, exists: 0, rejected: 0 };

/** A line, and the user in it or what is wrong with it. */
type Entry = { readonly record: CsvRecord } & ReturnType<Reader["read"]>;

/**
 * Each user is an event, and others' mails stand in the same line: this many events may wait there before
 * more are added.
 */
const MAX_WAITING = 5_000;
const LOOK_EVERY_MS = 250;

/**
 * Imports the users of a CSV file. One batch is under way at a time, and the file is read no further
 * meanwhile. Throws a StartupError before anything is done where the file as a whole cannot be used, and
 * where the system fails; the same call again then goes on.
 */
export async function importFile(
	system: Operator,
	file: string,
	options: ImportOptions
): Promise<Counts> {
	refuseSameFile(file, options.report);
	const total = await checkWhole(file, options);
	const report = new Report(options.report);
	let counts = NONE;
	try {
		for await (const batch of batchesOf(file, options)) {
			const verdicts = await settle(system, batch, options).catch((error: unknown) => {
				throw stoppedAt(batch[0]!.record.line, error);
			});
			for (const { record, problems } of verdicts) report.add(record, problems);
			counts = addUp(counts, verdicts);
			options.progress(counts, total);
		}
		return counts;
	} finally {
		report.close();
	}
}

/** The number of lines. Throws a StartupError where the header is wrong, or the file is no CSV. */
async function checkWhole(file: string, options: ReadOptions): Promise<number> {
	let lines = -1;
	for await (const { cells } of readCsv(file)) {
		if (lines === -1) void new Reader(cells, options);
		lines++;
	}
	if (lines === -1) throw new StartupError(`${file} is empty. Its first line names the columns.`);
	return lines;
}

async function* batchesOf(file: string, options: ReadOptions): AsyncGenerator<Entry[]> {
	let reader: Reader | undefined;
	let batch: Entry[] = [];
	for await (const record of readCsv(file)) {
		if (!reader) {
			reader = new Reader(record.cells, options);
			continue;
		}
		batch.push({ record, ...reader.read(record) });
		if (batch.length === IMPORT_BATCH) {
			yield batch;
			batch = [];
		}
	}
	if (batch.length > 0) yield batch;
}

interface Verdict {
	readonly record: CsvRecord;
	readonly status: "imported" | "exists" | "rejected";
	readonly problems: readonly string[];
}

async function settle(
	system: Operator,
	batch: readonly Entry[],
	{ dryRun = false, wait = true, onWait }: ImportOptions
): Promise<Verdict[]> {
	const users = batch.flatMap(entry => ("user" in entry ? [entry.user] : []));
	if (!dryRun && wait) await calm(system, onWait);
	const outcomes =
		users.length > 0 ? (await system.call("users.import", { users, dryRun })).outcomes : [];
	const answers = outcomes.values();
	return batch.map(entry => {
		const { record } = entry;
		if ("problems" in entry) return { record, status: "rejected", problems: entry.problems };
		const { status, problems } = answers.next().value!;
		return { record, status, problems: problems.map(tellProblem) };
	});
}

/** Waits until few enough events of the group are still to be published. */
async function calm(system: Operator, onWait: (events: number) => void): Promise<void> {
	for (let looks = 0; ; looks++) {
		const { unpublished } = await system.call("users-events.status", {});
		if (unpublished <= MAX_WAITING) return;
		if (looks === 0) onWait(unpublished);
		await sleep(LOOK_EVERY_MS);
	}
}

function addUp(counts: Counts, verdicts: readonly Verdict[]): Counts {
	const of = (status: Verdict["status"]) =>
		counts[status] + verdicts.filter(verdict => verdict.status === status).length;
	return {
		lines: counts.lines + verdicts.length,
		imported: of("imported"),
		exists: of("exists"),
		rejected: of("rejected")
	};
}

const stoppedAt = (line: number, error: unknown): StartupError =>
	new StartupError(
		`Stopped at line ${line}: ${(error as Error).message} What was imported before stays; the same command again goes on from there.`
	);

/** The rejected lines as CSV; there is no file where there are none. */
class Report {
	readonly #file: string;
	#descriptor: number | undefined;

	constructor(file: string) {
		this.#file = file;
		// That of an earlier run, whose lines may have been mended.
		rmSync(file, { force: true });
	}

	add({ line, text }: CsvRecord, problems: readonly string[]): void {
		if (problems.length === 0) return;
		if (this.#descriptor === undefined) {
			// There may be hashes of passwords in it.
			this.#descriptor = openSync(this.#file, "wx", 0o600);
			writeSync(this.#descriptor, csvLine(["line", "reason", "original"]));
		}
		writeSync(this.#descriptor, csvLine([line, problems.join("; "), text]));
	}

	close(): void {
		if (this.#descriptor !== undefined) closeSync(this.#descriptor);
	}
}

function refuseSameFile(file: string, report: string): void {
	const resolved = (path: string): string | undefined => {
		try {
			return realpathSync(path);
		} catch {
			return undefined;
		}
	};
	const target = resolved(report);
	if (target !== undefined && target === resolved(file))
		throw new StartupError("The report would take the place of the file.");
}

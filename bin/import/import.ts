/** What stands in a file, handed over in batches, and what became of each line. */
import { closeSync, openSync, realpathSync, rmSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../../lib/startup-error.ts";
import { csvLine } from "./csv.ts";
import type { FileRecord } from "./file.ts";

export interface ImportOptions {
	/** Where the rejected lines are written, with what is wrong with them. */
	readonly report: string;
	readonly dryRun?: boolean;
	/** False: do not wait until others have heard of what was imported before. */
	readonly wait?: boolean;
	readonly progress: (done: Counts, total: number) => void;
	/** Told once, where it waits, how many events do. */
	readonly onWait: (events: number) => void;
}

/** Lines in all, those that were rejected, and those that became something else. */
export type Counts = Readonly<Record<string, number>> & {
	readonly lines: number;
	readonly rejected: number;
};

/** A line, and what is in it or what is wrong with it. */
export type Entry<T> = { readonly record: FileRecord } & (
	{ readonly item: T } | { readonly problems: readonly string[] }
);

export interface Outcome {
	/** `rejected`, or one of the statuses. */
	readonly status: string;
	readonly problems: readonly string[];
}

/** What is imported, and how. */
export interface Job<T> {
	readonly file: string;
	/** What may become of a line that is not rejected. */
	readonly statuses: readonly string[];
	/** At most so many at once, and so many bytes of JSON where that is bounded. */
	readonly batch: { readonly lines: number; readonly bytes?: number };
	/** The number of lines. Throws a StartupError where the file as a whole cannot be used. */
	count(): Promise<number>;
	entries(): AsyncIterable<Entry<T>>;
	/** What became of each, in their order. */
	send(items: readonly T[]): Promise<readonly Outcome[]>;
	/** How many events of the group are still to be published. */
	waiting(): Promise<number>;
}

/**
 * What is imported is an event each, and others' mails stand in the same line: this many events may wait
 * there before more are added.
 */
const MAX_WAITING = 5_000;
const LOOK_EVERY_MS = 250;

/**
 * Imports what stands in a file. One batch is under way at a time, and the file is read no further
 * meanwhile. Throws a StartupError before anything is done where the file as a whole cannot be used, and
 * where the system fails; the same call again then goes on.
 */
export async function runImport<T>(job: Job<T>, options: ImportOptions): Promise<Counts> {
	refuseSameFile(job.file, options.report);
	const total = await job.count();
	const report = new Report(options.report);
	let counts: Counts = {
		lines: 0,
		...Object.fromEntries(job.statuses.map(status => [status, 0])),
		rejected: 0
	};
	try {
		for await (const batch of batchesOf(job)) {
			const verdicts = await settle(job, batch, options).catch((error: unknown) => {
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

async function* batchesOf<T>(job: Job<T>): AsyncGenerator<Entry<T>[]> {
	const most = job.batch;
	let batch: Entry<T>[] = [];
	let bytes = 0;
	for await (const entry of job.entries()) {
		const more =
			most.bytes !== undefined && "item" in entry
				? Buffer.byteLength(JSON.stringify(entry.item))
				: 0;
		if (
			batch.length === most.lines ||
			(batch.length > 0 && bytes + more > (most.bytes ?? Infinity))
		) {
			yield batch;
			batch = [];
			bytes = 0;
		}
		batch.push(entry);
		bytes += more;
	}
	if (batch.length > 0) yield batch;
}

type Verdict = Outcome & { readonly record: FileRecord };

async function settle<T>(
	job: Job<T>,
	batch: readonly Entry<T>[],
	{ dryRun = false, wait = true, onWait }: ImportOptions
): Promise<Verdict[]> {
	const items = batch.flatMap(entry => ("item" in entry ? [entry.item] : []));
	if (!dryRun && wait) await calm(job, onWait);
	const answers = (items.length > 0 ? await job.send(items) : []).values();
	return batch.map(entry => {
		const { record } = entry;
		if ("problems" in entry) return { record, status: "rejected", problems: entry.problems };
		return { record, ...answers.next().value! };
	});
}

/** Waits until few enough events of the group are still to be published. */
async function calm(
	job: Pick<Job<unknown>, "waiting">,
	onWait: (events: number) => void
): Promise<void> {
	for (let looks = 0; ; looks++) {
		const events = await job.waiting();
		if (events <= MAX_WAITING) return;
		if (looks === 0) onWait(events);
		await sleep(LOOK_EVERY_MS);
	}
}

function addUp(counts: Counts, verdicts: readonly Verdict[]): Counts {
	const sums: Record<string, number> = { ...counts };
	sums["lines"]! += verdicts.length;
	for (const { status } of verdicts) sums[status]!++;
	return sums as Counts;
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

	add({ line, text }: FileRecord, problems: readonly string[]): void {
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

/** Throws a StartupError where what is written would take the place of what is read. */
export function refuseSameFile(file: string, report: string): void {
	const resolved = (path: string): string | undefined => {
		try {
			return realpathSync(path);
		} catch {
			return undefined;
		}
	};
	const target = resolved(report);
	if (target !== undefined && target === resolved(file))
		throw new StartupError("What is written would take the place of the file.");
}

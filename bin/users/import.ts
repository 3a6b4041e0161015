/** Users of a CSV file. */
import { IMPORT_BATCH, type ImportedUser } from "../../contracts/users.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { readCsv } from "../import/csv.ts";
import {
	runImport,
	type Counts,
	type Entry,
	type ImportOptions,
	type Job
} from "../import/import.ts";
import type { Operator } from "../operator.ts";
import { Reader, tellProblem, type ReadOptions } from "./records.ts";

/** Imports them as `runImport` does. Throws a StartupError where the header is wrong, or the file is no CSV. */
export const importFile = (
	system: Operator,
	file: string,
	options: ImportOptions & ReadOptions
): Promise<Counts> => runImport(jobOf(system, file, options), options);

const jobOf = (
	system: Operator,
	file: string,
	options: ImportOptions & ReadOptions
): Job<ImportedUser> => ({
	file,
	statuses: ["imported", "exists"],
	batch: { lines: IMPORT_BATCH },
	count: () => countUsers(file, options),
	entries: () => entriesOf(file, options),
	async send(users) {
		const { dryRun = false } = options;
		const { outcomes } = await system.call("users.import", { users: [...users], dryRun });
		return outcomes.map(({ status, problems }) => ({
			status,
			problems: problems.map(tellProblem)
		}));
	},
	waiting: async () => (await system.call("users-events.status", {})).unpublished
});

async function countUsers(file: string, options: ReadOptions): Promise<number> {
	let lines = -1;
	for await (const { cells } of readCsv(file)) {
		if (lines === -1) void new Reader(cells, options);
		lines++;
	}
	if (lines === -1) throw new StartupError(`${file} is empty. Its first line names the columns.`);
	return lines;
}

async function* entriesOf(file: string, options: ReadOptions): AsyncGenerator<Entry<ImportedUser>> {
	let reader: Reader | undefined;
	for await (const record of readCsv(file)) {
		if (!reader) {
			reader = new Reader(record.cells, options);
			continue;
		}
		const read = reader.read(record);
		yield "user" in read ? { record, item: read.user } : { record, problems: read.problems };
	}
}

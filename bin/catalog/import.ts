/** Products of a file. */
import { IMPORT_BATCH, IMPORT_BYTES, type ImportedProduct } from "../../contracts/products.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { readCsv } from "../import/csv.ts";
import { readLines } from "../import/file.ts";
import { runImport, type Counts, type Entry, type ImportOptions } from "../import/import.ts";
import type { Operator } from "../operator.ts";
import { columnsOf, Judge, readLine, readRow } from "./records.ts";

export interface ProductImportOptions extends ImportOptions {
	/** Whether categories that are missing are made. */
	readonly makeCategories?: boolean;
}

/** The longest product that the schema lets through is shorter. */
const MAX_RECORD = 1_000_000;

/** `csv` or `jsonl`, by the name of a file. Throws a StartupError where it is neither. */
export function formatOf(file: string): "csv" | "jsonl" {
	if (/\.csv(?:\.gz)?$/i.test(file)) return "csv";
	if (/\.(?:jsonl|ndjson)(?:\.gz)?$/i.test(file)) return "jsonl";
	throw new StartupError(`${file} is neither .csv nor .jsonl.`);
}

/** Imports them as `runImport` does. Throws a StartupError where a header is wrong, or a file is no CSV. */
export function importProducts(
	system: Operator,
	file: string,
	options: ProductImportOptions
): Promise<Counts> {
	const { makeCategories = false, dryRun = false } = options;
	const entries = formatOf(file) === "csv" ? rowsOf : linesOf;
	return runImport<ImportedProduct>(
		{
			file,
			statuses: ["created", "updated", "unchanged"],
			batch: { lines: IMPORT_BATCH, bytes: IMPORT_BYTES },
			count: () => countOf(file),
			entries: () => entries(file),
			async send(products) {
				const params = { products: [...products], makeCategories, dryRun };
				const { outcomes } = await system.call("products.import", params);
				return outcomes.map(({ status, problems }) => ({
					status,
					problems: problems.map(({ field, message }) => `${field} ${message}`)
				}));
			},
			waiting: async () => (await system.call("catalog-events.status", {})).unpublished
		},
		options
	);
}

async function countOf(file: string): Promise<number> {
	let lines = 0;
	if (formatOf(file) === "jsonl") {
		for await (const _ of readLines(file, MAX_RECORD)) lines++;
		return lines;
	}
	for await (const { cells } of readCsv(file, { maxBytes: MAX_RECORD })) {
		if (lines === 0) void columnsOf(cells);
		lines++;
	}
	if (lines === 0) throw new StartupError(`${file} is empty. Its first line names the columns.`);
	return lines - 1;
}

async function* rowsOf(file: string): AsyncGenerator<Entry<ImportedProduct>> {
	const judge = new Judge();
	let columns: string[] | undefined;
	for await (const record of readCsv(file, { maxBytes: MAX_RECORD })) {
		if (columns) yield readRow(columns, record, judge);
		else columns = columnsOf(record.cells);
	}
}

async function* linesOf(file: string): AsyncGenerator<Entry<ImportedProduct>> {
	const judge = new Judge();
	for await (const record of readLines(file, MAX_RECORD)) yield readLine(record, judge);
}

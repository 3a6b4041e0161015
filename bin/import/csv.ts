/** CSV as RFC 4180 has it: line by line, whatever the size of the file. */
import { pipeline } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { StartupError } from "../../lib/startup-error.ts";
import { explainUnreadable, openFile, type FileRecord } from "./file.ts";

export interface CsvRecord extends FileRecord {
	readonly cells: readonly string[];
}

/** A quote that is not closed would have all that follows in one cell. */
const MAX_RECORD_BYTES = 65_536;

/**
 * The records of a file in UTF-8 (or UTF-16 with a byte order mark), its header first; empty lines are
 * passed over. Throws a StartupError where the file cannot be read, or a quote stands where none may.
 */
export async function* readCsv(
	file: string,
	{ maxBytes = MAX_RECORD_BYTES } = {}
): AsyncGenerator<CsvRecord> {
	const parser = parse({
		bom: true,
		raw: true,
		record_delimiter: ["\r\n", "\n"],
		relax_column_count: true,
		skip_empty_lines: true,
		max_record_size: maxBytes
	});
	// What goes wrong with the file comes out of the parser, which is read below.
	pipeline(openFile(file), parser, () => {});
	let line = 1;
	try {
		for await (const { record, raw } of parser as AsyncIterable<{
			record: string[];
			raw: string;
		}>) {
			const [empty] = /^[\r\n]*/.exec(raw)!;
			const text = raw.slice(empty.length).replace(/[\r\n]$/, "");
			line += empty.length;
			yield { line, cells: record, text };
			line += 1 + breaksIn(text);
		}
	} catch (error) {
		throw explain(error, file, line, maxBytes);
	}
}

const breaksIn = (text: string): number => text.match(/\r\n|\r|\n/g)?.length ?? 0;

function explain(error: unknown, file: string, line: number, maxBytes: number): unknown {
	if (error instanceof CsvError) {
		// Those before it may not have been handed out yet.
		const at = typeof error["lines"] === "number" ? error["lines"] : line;
		return new StartupError(
			error.code === "CSV_MAX_RECORD_SIZE"
				? `${file}, line ${at}: it has more than ${maxBytes} bytes. Is a quote not closed?`
				: `${file}, line ${at}: a quote stands where none may (inside quotes it is written twice), or is not closed.`
		);
	}
	return explainUnreadable(error, file);
}

/** A record as a line of CSV. */
export const csvLine = (cells: readonly (string | number)[]): string =>
	`${cells.map(cell => (/[",\r\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",")}\r\n`;

/** Files that are read line by line, whatever their size. */
import { createReadStream } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { StartupError } from "../../lib/startup-error.ts";

/** What stands in a file of one thing. */
export interface FileRecord {
	/** In which it begins, from 1. */
	readonly line: number;
	/** As it stands there, without its line break. */
	readonly text: string;
}

/** The bytes of a file, unpacked where its name ends in `.gz`. */
export function openFile(file: string): Readable {
	const bytes = createReadStream(file);
	// What goes wrong comes out at the end, where it is read.
	return file.endsWith(".gz") ? pipeline(bytes, createGunzip(), () => {}) : bytes;
}

/** Says of an error of the file system, or of what shall be unpacked, which file it is about. */
export function explainUnreadable(error: unknown, file: string): unknown {
	const { code, message } = error as NodeJS.ErrnoException;
	return code ? new StartupError(`${file} cannot be read: ${message}`) : error;
}

/**
 * The lines of a file in UTF-8; empty ones are passed over. They end at a line feed alone, as JSON has it:
 * other separators may stand inside. Throws a StartupError where it cannot be read, or a line is too long.
 */
export async function* readLines(file: string, maxLength: number): AsyncGenerator<FileRecord> {
	let line = 1;
	let rest = "";
	const recordOf = (text: string): FileRecord => ({
		line: line++,
		text: text.endsWith("\r") ? text.slice(0, -1) : text
	});
	try {
		for await (const chunk of openFile(file).setEncoding("utf8") as AsyncIterable<string>) {
			const texts = (
				rest + (line === 1 && rest === "" ? chunk.replace(/^\ufeff/, "") : chunk)
			).split("\n");
			rest = texts.pop()!;
			for (const text of texts) {
				const record = recordOf(text);
				if (record.text !== "") yield record;
			}
			if (rest.length > maxLength)
				throw new StartupError(`${file}, line ${line}: it has more than ${maxLength} characters.`);
		}
	} catch (error) {
		throw explainUnreadable(error, file);
	}
	if (rest !== "") yield recordOf(rest);
}

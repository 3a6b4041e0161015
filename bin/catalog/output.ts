/** Where commands write many lines: a file that is whole or not there, or standard output. */
import { createWriteStream, renameSync, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { StartupError } from "../../lib/startup-error.ts";

/**
 * Writes the lines, no faster than they are taken. A file gets its name once it is whole. Throws a StartupError
 * where it cannot be written.
 */
export async function writeLines(
	lines: AsyncIterable<string>,
	file: string | undefined
): Promise<void> {
	if (file === undefined) return pipeline(lines, process.stdout, { end: false });
	const part = `${file}.part`;
	try {
		await pipeline(lines, createWriteStream(part));
		renameSync(part, file);
	} catch (error) {
		rmSync(part, { force: true });
		const { code, syscall, message } = error as NodeJS.ErrnoException;
		throw code && syscall ? new StartupError(`${file} cannot be written: ${message}`) : error;
	}
}

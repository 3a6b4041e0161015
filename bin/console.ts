/** What commands say to the person in front of them. */
import { stripVTControlCharacters, styleText } from "node:util";
import { ConfigError } from "../lib/config.ts";
import { NewerSchemaError, OlderSchemaError } from "../lib/migrations.ts";
import { StartupError } from "../lib/startup-error.ts";

/** Says a line; on a terminal, a line that begins alike (up to its colon) takes the place of the one before. */
export function progressLine(stream: NodeJS.WriteStream = process.stdout): (step: string) => void {
	let last = "";
	return step => {
		const topic = step.split(":", 1)[0]!;
		const again = topic === last;
		last = topic;
		if (stream.isTTY) stream.write(`${again ? "\u001b[1A\u001b[2K" : ""}  ${step}\n`);
		else if (!again || /(\d+) of \1 /.test(step)) stream.write(`  ${step}\n`);
	};
}

type Cell = string | number | null;

/** Rows under their headings, in columns; numbers stand at the right, and what is not there is a dash. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
	const texts = rows.map(row => row.map(cell => (cell === null ? "–" : String(cell))));
	const widths = headings.map((heading, column) =>
		Math.max(...[heading, ...texts.map(row => row[column]!)].map(text => widthOf(text)))
	);
	const isNumeric = headings.map((_, column) =>
		rows.every(row => row[column] === null || typeof row[column] === "number")
	);
	const line = (cells: readonly string[]) =>
		cells
			.map((text, column) => {
				const padding = " ".repeat(widths[column]! - widthOf(text));
				return isNumeric[column] && rows.length > 0 ? padding + text : text + padding;
			})
			.join("  ")
			.trimEnd();
	return [paint("bold", line(headings)), ...texts.map(line)].join("\n");
}

const widthOf = (text: string): number => stripVTControlCharacters(text).length;

/** Coloured on a terminal that wants it, and plain anywhere else. */
export const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
	styleText(style, text, { stream: process.stdout });

/** Prints a result: as JSON for programs, else as a person reads it. */
export const show = <T>(
	result: T,
	{ json }: { readonly json?: boolean },
	view: (result: T) => string
): void => console.log(json ? JSON.stringify(result, null, "\t") : view(result));

/** Ends the process with a message that says what to do, without a stack where a person can mend it. */
export function die(error: unknown, code = 1): never {
	const mendable = [ConfigError, StartupError, NewerSchemaError, OlderSchemaError].some(
		kind => error instanceof kind
	);
	console.error(mendable ? `\n${(error as Error).message}` : error);
	process.exit(code);
}

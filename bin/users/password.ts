/** How a command is told a password: never by an argument, which everybody on the machine can read. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { StartupError } from "../../lib/startup-error.ts";

type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/**
 * The first line of the file, where one is named, or of `input`; at a terminal a person is asked twice, and
 * sees nothing of what is typed. Throws a StartupError where there is none.
 */
export async function readPassword(
	file: string | undefined,
	input: Input = process.stdin,
	output: NodeJS.WritableStream = process.stderr
): Promise<string> {
	const password =
		file !== undefined
			? firstLine(readFile(file))
			: input.isTTY
				? await askTwice(input, output)
				: firstLine(await text(input));
	if (password === "") throw new StartupError("There is no password. Nothing was done.");
	return password;
}

const firstLine = (content: string): string => content.split(/\r?\n/, 1)[0]!;

function readFile(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch (error) {
		throw new StartupError(`${file} cannot be read: ${(error as Error).message}`);
	}
}

async function askTwice(input: Input, output: NodeJS.WritableStream): Promise<string> {
	const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
	// It puts the terminal into raw mode; what it would echo goes nowhere.
	const typed = createInterface({ input, output: nowhere, terminal: true });
	const lines = typed[Symbol.asyncIterator]();
	const ask = async (question: string): Promise<string> => {
		output.write(question);
		const { value, done } = await lines.next();
		output.write("\n");
		if (done) throw new StartupError("Nothing was done.");
		return value;
	};
	try {
		const first = await ask("Password: ");
		if ((await ask("Once more: ")) !== first)
			throw new StartupError("These were two passwords. Nothing was done.");
		return first;
	} finally {
		typed.close();
	}
}

/** What start-up code says to the person in front of it. */
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

/** Ends the process with a message that says what to do, without a stack where a person can mend it. */
export function die(error: unknown, code = 1): never {
	const mendable = [ConfigError, StartupError, NewerSchemaError, OlderSchemaError].some(
		kind => error instanceof kind
	);
	console.error(mendable ? `\n${(error as Error).message}` : error);
	process.exit(code);
}

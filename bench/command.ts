/** What the measuring commands have in common: options, Ctrl-C, documents. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { InvalidArgumentError } from "commander";
import { format, resolveConfig } from "prettier";

/** Reads an option that is a whole number from 1. */
export const wholeNumber =
	(maximum: number): ((text: string) => number) =>
	text => {
		const value = /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN;
		if (!(value <= maximum))
			throw new InvalidArgumentError(`It is a whole number from 1 to ${maximum}.`);
		return value;
	};

/** Ctrl-C, as a reason to leave every scope in order so that what it started is ended. */
export class Interruption {
	readonly #happened: Promise<never>;
	#reason: Error | undefined;

	/** `onSignal` is told at the first one. A second ends us at once. */
	constructor(onSignal: () => void) {
		this.#happened = new Promise<never>((_, reject) => {
			for (const signal of ["SIGINT", "SIGTERM"])
				process.once(signal, () => {
					onSignal();
					this.#reason = new Error(`Ended by ${signal}.`);
					reject(this.#reason);
				});
		});
		this.#happened.catch(() => {});
	}

	/** The outcome of the work, or a rejection where it is interrupted. */
	orOutcome<T>(work: Promise<T>): Promise<T> {
		return Promise.race([work, this.#happened]);
	}

	/** Says what went wrong and ends the process; what was interrupted still has work under way. */
	fail(error: unknown): never {
		// A terminal's Ctrl-C reaches the servers as well: what they say of it is not the reason.
		const reason = this.#reason ?? error;
		console.error(reason instanceof Error ? reason.message : reason);
		process.exit(this.#reason ? 130 : 1);
	}
}

/** Writes Markdown in the format of the repository. */
export async function writeMarkdown(file: string, text: string): Promise<void> {
	const options = await resolveConfig(file);
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(file, await format(text, { ...options, filepath: file }));
}

/** The signing keys of a running node: they change with the time, and with the file that they come from. */
import { readFile } from "node:fs/promises";
import type { Config } from "./config.ts";
import { keysAt, readKeySet, type KeySet, type SigningKeys } from "./signing-keys.ts";
import { Ticker } from "./ticker.ts";

interface KeyRingOptions {
	/** Told once of each thing that is wrong with the file; the keys of before stay in force. */
	readonly onError: (error: Error) => void;
	readonly everyMs?: number;
}

/** How often the file is looked at. */
const EVERY_MS = 2_000;

export class KeyRing {
	#set: KeySet;
	#text: string | undefined;
	#wrong: string | undefined;
	readonly #ticker: Ticker | undefined;

	/** Throws an Error for a person where AUTH_KEYS is missing or not fit. */
	constructor(
		{ AUTH_KEYS, AUTH_KEYS_FILE }: Pick<Config, "AUTH_KEYS" | "AUTH_KEYS_FILE">,
		{ onError, everyMs = EVERY_MS }: KeyRingOptions
	) {
		this.#set = readKeySet(AUTH_KEYS);
		this.#text = AUTH_KEYS;
		if (AUTH_KEYS_FILE === undefined) return;
		this.#ticker = new Ticker(
			() => this.#read(AUTH_KEYS_FILE),
			everyMs,
			error => {
				const { message } = error as Error;
				if (message !== this.#wrong) onError(error as Error);
				this.#wrong = message;
			}
		);
		this.#ticker.start();
	}

	/** The keys of this moment. Take them once for what belongs together. */
	get now(): SigningKeys {
		return keysAt(this.#set, new Date());
	}

	/** Does not look at the file any more. */
	async close(): Promise<void> {
		await this.#ticker?.stop();
	}

	async #read(file: string): Promise<void> {
		const text = (await readFile(file, "utf8")).trim();
		if (text !== this.#text) this.#set = readKeySet(text);
		this.#text = text;
		this.#wrong = undefined;
	}
}

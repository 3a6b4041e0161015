/** `npm run keys -- create|rotate|list`: the keys that sign access tokens. */
import { existsSync, readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { readConfig } from "../lib/config.ts";
import { replaceSecret, signingKeysFile } from "../lib/data-folder.ts";
import { createEncryptionKey } from "../lib/encryption.ts";
import { keyStates, OVERLAP_SECONDS, rotated, type KeyState } from "../lib/key-rotation.ts";
import { createKey, createSigningKeys, readKeySet, type KeySet } from "../lib/signing-keys.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die, show, table } from "./console.ts";

interface Output {
	readonly json?: boolean;
}

/** The keys in use, and the file that they stand in; there is none where the variable itself holds them. */
function findKeys(): { readonly set: KeySet; readonly file: string | undefined } {
	const { AUTH_KEYS, AUTH_KEYS_FILE, DATA_DIR } = readConfig();
	if (AUTH_KEYS) return { set: parse(AUTH_KEYS), file: AUTH_KEYS_FILE };
	const file = signingKeysFile(DATA_DIR);
	if (!existsSync(file))
		throw new StartupError(
			`There are no keys: neither AUTH_KEYS nor AUTH_KEYS_FILE is set, and ${file} is not there. Set DATA_DIR to the folder of the instance.`
		);
	return { set: parse(readFileSync(file, "utf8")), file };
}

function parse(json: string): KeySet {
	try {
		return readKeySet(json);
	} catch (error) {
		throw new StartupError((error as Error).message);
	}
}

function parseOverlap(text: string): number {
	if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("It is a whole number of seconds.");
	return Number(text);
}

const DOES: Record<KeyState["state"], string> = {
	waiting: "waits",
	signing: "signs",
	verifying: "verifies",
	withdrawn: "is withdrawn"
};

const view = (states: readonly KeyState[]): string =>
	table(
		["KEY", "STATE", "SIGNS FROM", "UNTIL"],
		states.map(({ kid, state, signsFrom, until }) => [kid, DOES[state], signsFrom, until])
	);

const program = new Command("npm run keys --").description("The keys that sign access tokens");

program
	.command("create")
	.description("print a new JWK set with one private key, for AUTH_KEYS")
	.action(async () => {
		console.log(await createSigningKeys());
	});

program
	.command("rotate")
	.description(
		"add a key that signs after an overlap, and withdraw the older ones once their last token has ended; " +
			"in the file that holds the keys, or printed where AUTH_KEYS holds them itself"
	)
	.option(
		"--overlap <seconds>",
		"for how long the new key is known before it signs; longer than it takes to reach every node",
		parseOverlap,
		OVERLAP_SECONDS
	)
	.option("--json", "JSON, for programs")
	.action(async ({ overlap, ...options }: Output & { overlap: number }) => {
		const { set, file } = findKeys();
		const now = new Date();
		const next = rotated(set, await createKey(), now, overlap);
		const json = JSON.stringify(next);
		if (file === undefined) console.log(json);
		else {
			replaceSecret(file, json);
			show(keyStates(next, now), options, view);
		}
	});

program
	.command("list")
	.description("which key signs, waits or still verifies")
	.option("--json", "JSON, for programs")
	.action((options: Output) => show(keyStates(findKeys().set, new Date()), options, view));

program
	.command("create-encryption-key")
	.description("print a new key that secrets are encrypted with, for ENCRYPTION_KEYS")
	.action(() => console.log(createEncryptionKey()));

await program.parseAsync().catch((error: unknown) => die(error));

/** `npm run keys -- create` prints a new set of signing keys, for AUTH_KEYS. */
import { Command } from "commander";
import { createSigningKeys } from "../lib/signing-keys.ts";

const program = new Command("keys").description("Keys that sign access tokens");

program
	.command("create")
	.description("print a new JWK set with one private key, for AUTH_KEYS")
	.action(async () => {
		console.log(await createSigningKeys());
	});

await program.parseAsync();

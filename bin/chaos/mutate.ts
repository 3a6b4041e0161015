/** Loaded with --import before a replica: breaks the code that the replica then runs, as MUTANT says. */
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { mutantNamed, mutate } from "./mutants.ts";

const mutant = mutantNamed(process.env["MUTANT"] ?? "");
const url = pathToFileURL(join(import.meta.dirname, "..", "..", mutant.file)).href;

registerHooks({
	load(loaded, context, nextLoad) {
		const module = nextLoad(loaded, context);
		if (loaded !== url) return module;
		const { source } = module;
		const text = typeof source === "string" ? source : Buffer.from(source as Uint8Array).toString();
		return { ...module, source: mutate(mutant, text) };
	}
});

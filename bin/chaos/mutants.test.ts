import { parseSync } from "@swc/core";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MUTANTS, mutantNamed, mutate } from "./mutants.ts";

const sourceOf = (file: string) =>
	readFileSync(join(import.meta.dirname, "..", "..", file), "utf8");

it.each(MUTANTS.map(mutant => [mutant.name, mutant] as const))("%s fits the code", (_, mutant) => {
	const source = sourceOf(mutant.file);
	const broken = mutate(mutant, source);
	expect(broken).not.toBe(source);
	expect(() => parseSync(broken, { syntax: "typescript" })).not.toThrow();
});

it("is an error where the code has moved on", () => {
	const [mutant] = MUTANTS;
	const source = sourceOf(mutant!.file);
	expect(() => mutate(mutant!, "")).toThrow("0 times");
	expect(() => mutate(mutant!, source + source)).toThrow("2 times");
});

it("names those that there are where one is unknown", () => {
	expect(() => mutantNamed("no-such")).toThrow("no-inbox");
});

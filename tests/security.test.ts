import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const numbers = (letter: string, count: number) =>
	Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);

const HAZARDS = [...numbers("H", 13), ...numbers("D", 10), "V1"];
const rows = new Map(
	read("docs/security.md")
		.split("\n")
		.map(line => line.split("|").map(cell => cell.trim()))
		.filter(([, hazard]) => /^[HDV]\d+$/.test(hazard ?? ""))
		.map(([, hazard, , closedBy, shownBy]) => [hazard!, { closedBy: closedBy!, shownBy: shownBy! }])
);
const filesIn = (cell: string): string[] =>
	[...cell.matchAll(/`([\w./-]+\.ts)`/g)].map(([, file]) => file!);

describe("docs/security.md", () => {
	it("has a row for each hazard, and for nothing else", () => {
		expect([...rows.keys()]).toEqual(HAZARDS);
	});

	it.each([...rows])(
		"names code that closes %s, and tests that bear its number",
		(hazard, { closedBy, shownBy }) => {
			expect(filesIn(closedBy).map(file => read(file).length > 0)).toContain(true);
			expect(filesIn(shownBy).length).toBeGreaterThan(0);
			for (const file of filesIn(shownBy))
				expect(read(file)).toMatch(
					new RegExp(`["\`].*\\((?:[HDV]\\d+, )*${hazard}(?:, [HDV]\\d+)*\\)`)
				);
		}
	);
});

import { CASES } from "../bin/crash-matrix/cases.ts";
import { cellsOf, storedRows } from "../bin/crash-matrix/document.ts";
import { Ground } from "../bin/crash-matrix/ground.ts";
import { CRASH_POINTS } from "../lib/crash-point.ts";

// Each case is some processes from start to end, on a machine that may have much else to do.
jest.setTimeout(120_000);

describe("the crash matrix", () => {
	let ground: Ground;
	beforeAll(async () => {
		ground = await Ground.start();
	});
	afterAll(() => ground.stop());

	it.each(CASES.map(each => [each.name, each] as const))("%s", async (_, { run }) => {
		const row = await run(ground);
		expect(row.verdict.details).toEqual([]);
		expect(row.ok).toBe(true);
		expect(storedRows()).toContainEqual(cellsOf(row));
	});

	it("is stored with these steps and no others", () => {
		expect(storedRows().map(([step]) => step)).toEqual(CASES.map(({ step }) => step));
	});

	it("has a row for every crash point", () => {
		const names = new Set(CASES.map(({ name }) => name));
		expect(CRASH_POINTS.filter(point => !names.has(point))).toEqual([]);
		expect(names.size).toBe(CASES.length);
	});
});

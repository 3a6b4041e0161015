import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { csvLine, readCsv, type CsvRecord } from "./csv.ts";

describe("a CSV file", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "valence-csv-"));
	});
	afterEach(() => rmSync(folder, { recursive: true }));
	const read = async (content: string | Buffer): Promise<CsvRecord[]> => {
		const file = join(folder, "file.csv");
		writeFileSync(file, content);
		const records: CsvRecord[] = [];
		for await (const record of readCsv(file)) records.push(record);
		return records;
	};

	it("is read with the line in which each record begins, and its text", async () => {
		expect(await read('\ufeffa,b\r\n\r\n1,"two\r\nlines, and ""quotes"""\r\n\n3,4\n5,')).toEqual([
			{ line: 1, cells: ["a", "b"], text: "a,b" },
			{
				line: 3,
				cells: ["1", 'two\r\nlines, and "quotes"'],
				text: '1,"two\r\nlines, and ""quotes"""'
			},
			{ line: 6, cells: ["3", "4"], text: "3,4" },
			{ line: 7, cells: ["5", ""], text: "5," }
		]);
	});

	it("may be in UTF-16, as spreadsheets write it", async () => {
		const content = Buffer.from("\ufeffname\r\ncaf\u00e9\r\n", "utf16le");
		expect((await read(content)).map(({ cells }) => cells)).toEqual([["name"], ["caf\u00e9"]]);
	});

	it.each([
		['a,b\n1,"two\n3,4\n', /line \d: a quote stands/],
		['a,b\n1,2\n3,"4"5\n', /line 3: a quote stands/],
		['a,b\n1,2"\n', /line 2: a quote stands/],
		[`a,b\n1,"${"x\n".repeat(40_000)}`, /more than 65536 bytes. Is a quote not closed/]
	])("is refused where a quote stands in the wrong place (%#)", async (content, message) => {
		await expect(read(content)).rejects.toThrow(message);
	});

	it("is refused where it is not there", async () => {
		await expect(readCsv(join(folder, "none.csv")).next()).rejects.toThrow(
			/cannot be read: ENOENT/
		);
	});

	it("gives back what was written, whatever that is, each record in its line", async () => {
		const cell = fc.string({ unit: fc.constantFrom("a", ",", '"', "\r", "\n", " ", "\u00e9") });
		const records = fc.array(fc.tuple(cell, fc.constant("x"), cell), { minLength: 1 });
		await fc.assert(
			fc.asyncProperty(records, async rows => {
				const found = await read(rows.map(csvLine).join(""));
				expect(found.map(({ cells }) => cells)).toEqual(rows);
				let line = 1;
				for (const { line: told, text } of found) {
					expect(told).toBe(line);
					line += text.split(/\r\n|\r|\n/).length;
				}
			}),
			{ numRuns: 100 }
		);
	});
});

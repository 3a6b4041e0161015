import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { addCategory } from "../services/catalog/catalog.fixtures.ts";
import { testConfig } from "../tests/support/node.ts";
import { runCommand, startOneProcess, type Running } from "../tests/support/process.ts";

const config = testConfig();
let system: Running;
let database: Database;
let folder: string;
beforeAll(async () => {
	system = await startOneProcess({ DATABASE_URL: config.DATABASE_URL!, DEMO_DATA: "false" });
	database = new Database("catalog", databaseUrl(config, "catalog"));
	folder = mkdtempSync(join(tmpdir(), "valence-catalog-"));
	await addCategory(database, "lamps");
}, 60_000);
afterAll(async () => {
	await database.close();
	await system.stop();
	system.cleanUp();
	rmSync(folder, { recursive: true });
});

const catalog = (...args: string[]) =>
	runCommand("bin/catalog.ts", args, { DATA_DIR: system.dataDir });
const json = async <T>(...args: string[]): Promise<T> => {
	const { output } = await catalog(...args, "--json");
	return JSON.parse(output.slice(output.indexOf("{"))) as T;
};
const fileOf = (name: string, content: string | Buffer): string => {
	const file = join(folder, name);
	writeFileSync(file, content);
	return file;
};
const linesOf = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n");

it("imports a file, tells what became of each line, and changes nothing the next time", async () => {
	const rows = ["sku,name,price,category,attr.colour,stock", "L-1,Lamp,19.90,lamps,black,3"];
	const good = [...rows, "L-2,Lamp,5,lamps,,", "bad sku,Lamp,x,lamps,,", "L-4,Pot,5,home/pots,,"];
	const file = fileOf("lamps.csv", good.join("\n"));
	expect(await catalog("import", file, "--dry-run")).toEqual({
		code: 2,
		output: expect.stringMatching(
			/^4 of 4 lines: [^]*: 2 would be created, 0 would be updated, 0 unchanged, 2 would be rejected\. Nothing was done\.\n/
		)
	});
	expect(await database.query("SELECT FROM product")).toEqual([]);

	const report = `${file}.rejected.csv`;
	expect(await json("import", file)).toMatchObject({ lines: 4, created: 2, rejected: 2, report });
	expect(linesOf(report).slice(1)).toEqual([
		expect.stringMatching(/^4,"?sku must be: 1 to 64 .*; price\.amount must be integer"?,"bad sku/),
		expect.stringMatching(/^5,category is not known,"L-4,/)
	]);
	expect(await json("import", file, "--make-categories")).toMatchObject({
		created: 1,
		updated: 0,
		unchanged: 2,
		rejected: 1
	});
	const mended = fileOf("lamps.csv", [...rows, "L-2,Lamp,6.50,lamps,,"].join("\n"));
	expect(await json("import", mended)).toMatchObject({ updated: 1, unchanged: 1, report: null });
	expect(existsSync(report)).toBe(false);
}, 60_000);

it.each(["csv", "jsonl"])(
	"exports what an import takes, as .%s",
	async ending => {
		const file = join(folder, `all.${ending}`);
		expect(await catalog("export", file)).toEqual({
			code: 0,
			output: "  products: 3 of 3 written\n"
		});
		expect(existsSync(`${file}.part`)).toBe(false);
		const rows = await database.query<{ name: string }>("SELECT * FROM product ORDER BY sku");
		expect(await json("import", file)).toMatchObject({ lines: 3, unchanged: 3, rejected: 0 });
		await database.query(
			"TRUNCATE product, stock, stock_movement, price_history, reservation, reservation_line, category CASCADE"
		);
		expect(await json("import", file, "--make-categories")).toMatchObject({ created: 3 });
		const again = await database.query<{ name: string }>("SELECT * FROM product ORDER BY sku");
		const told = ({ name, ...row }: Record<string, unknown>) => [
			name,
			["sku", "slug", "price_amount", "attributes"].map(key => row[key])
		];
		expect(again.map(told)).toEqual(rows.map(told));
		expect(
			await database.one(
				"SELECT path FROM category JOIN product p ON p.category_id = category.id WHERE sku = 'L-4'"
			)
		).toEqual({ path: ["home", "pots"] });
	},
	60_000
);

it("makes products of a dump of Open Food Facts, packed or not", async () => {
	const dump = [
		"code\turl\tproduct_name\tbrands\tcategories_tags\tnutriscore_grade",
		'0001\t\t"Best" oats\tAda\ten:foods,en:cereals\tb',
		"0002\t\t\tAda\ten:cereals\t",
		"x\t\tNo code\t\t\t",
		"0003\t\tHaferflocken\t\t\tunknown"
	].join("\n");
	const [plain, packed] = [fileOf("off.csv", dump), fileOf("off.csv.gz", gzipSync(dump))];
	const out = join(folder, "off.jsonl");
	expect(await catalog("convert", "open-food-facts", packed, "-o", out)).toEqual({
		code: 0,
		output: "2 products; passed over: 1 without a name, 1 without a code.\n"
	});
	const { output } = await catalog("convert", "open-food-facts", plain);
	for (const line of linesOf(out)) expect(output).toContain(`${line}\n`);
	expect(await json("import", out, "--make-categories")).toMatchObject({ created: 2, rejected: 0 });
	expect(
		await database.one(
			"SELECT name, attributes->>'nutri-score' AS grade FROM product WHERE sku = 'OFF-0001'"
		)
	).toEqual({ name: '"Best" oats', grade: "B" });
}, 60_000);

it("says in one line what is wrong, with exit code 1", async () => {
	const good = fileOf("good.jsonl", "{}\n");
	const mistakes: [string[], RegExp][] = [
		[["import", fileOf("head.csv", "sku,nme\n")], /not known: "nme"\. Known are sku, /],
		[["import", fileOf("some.txt", "")], /is neither \.csv nor \.jsonl/],
		[["import", join(folder, "none.jsonl")], /cannot be read: ENOENT/],
		[
			["import", fileOf("torn.jsonl.gz", gzipSync("{}\n").subarray(0, 15))],
			/cannot be read: unexpected end/
		],
		[["import", good, "--report", good], /would take the place of the file/],
		[["export", join(folder, "no-folder", "all.csv")], /cannot be written: ENOENT/],
		[["convert", "open-food-facts", good], /is no dump of Open Food Facts.* code and product_name/]
	];
	for (const [args, message] of mistakes) {
		const { code, output } = await catalog(...args);
		expect({ args, code, output }).toEqual({
			args,
			code: 1,
			output: expect.stringMatching(message)
		});
		expect(
			output
				.trim()
				.split("\n")
				.filter(line => !line.endsWith("written"))
		).toHaveLength(1);
	}
}, 60_000);

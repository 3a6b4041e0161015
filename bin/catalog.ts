/** `npm run catalog -- import|export|convert`: products from files and to files. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { exportLines } from "./catalog/export.ts";
import { formatOf, importProducts } from "./catalog/import.ts";
import { convertOpenFoodFacts } from "./catalog/open-food-facts.ts";
import { writeLines } from "./catalog/output.ts";
import { die, progressLine, show } from "./console.ts";
import { refuseSameFile } from "./import/import.ts";
import { count, importView, progressOf } from "./import/views.ts";
import { explainRefusal, withSystem } from "./operator.ts";

const WORDS = {
	progress: { created: "created", updated: "updated", unchanged: "unchanged" },
	done: { created: "created", updated: "updated", unchanged: "unchanged" },
	would: {
		created: "would be created",
		updated: "would be updated",
		unchanged: "unchanged",
		rejected: "would be rejected"
	}
};

const program = new Command("npm run catalog --").description(
	"The products of the system that runs here"
);

interface FileOptions {
	readonly json?: boolean;
	readonly report?: string;
	readonly dryRun?: boolean;
	readonly makeCategories?: boolean;
	readonly wait: boolean;
}

program
	.command("import <file>")
	.description(
		"products of a .csv or .jsonl file, new or changed by their SKU; exit code 2 where a line is rejected"
	)
	.option("--dry-run", "only say what would happen")
	.option("--make-categories", "make the categories that are missing")
	.option(
		"--no-wait",
		"go on while thousands of events wait to be published; those of orders come later"
	)
	.option("--report <file>", "where rejected lines go; <file>.rejected.csv if not told otherwise")
	.option("--json", "JSON, for programs")
	.action((file: string, options: FileOptions) =>
		withSystem(
			async system => {
				const began = performance.now();
				const path = options.report ?? `${file}.rejected.csv`;
				const progress = progressOf(WORDS.progress);
				const counts = await importProducts(system, file, {
					...options,
					report: path,
					...progress
				});
				const seconds = Math.round((performance.now() - began) / 10) / 100;
				const dryRun = options.dryRun === true;
				const report = counts.rejected > 0 ? path : null;
				show({ ...counts, seconds, dryRun, report }, options, () =>
					importView({ counts, seconds, dryRun, report }, WORDS)
				);
				if (counts.rejected > 0) process.exitCode = 2;
			},
			{ service: "products" }
		)
	);

program
	.command("export [file]")
	.description(
		"all products as an import takes them, archived ones too; to standard output without a file"
	)
	.addOption(
		new Option("--format <format>", "where the name of the file does not tell").choices([
			"csv",
			"jsonl"
		])
	)
	.action((file: string | undefined, { format }: { format?: "csv" | "jsonl" }) =>
		withSystem(
			async system => {
				const say = progressLine(process.stderr);
				const told = (done: number, total: number) =>
					say(`products: ${done} of ${Math.max(done, total)} written`);
				const written = format ?? (file === undefined ? "jsonl" : formatOf(file));
				await writeLines(exportLines(system, written, told), file);
			},
			{ service: "products" }
		)
	);

function parseSeed(text: string): number {
	if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It is a whole number.");
	return Number(text);
}

program
	.command("convert")
	.description(
		"a dump of open data, which you bring, into lines that an import takes; needs no system"
	)
	.addArgument(new Argument("<source>", "whose dump it is").choices(["open-food-facts"]))
	.argument("<dump>", "its file, .gz or not")
	.option("-o, --output <file>", "where to; standard output if not told otherwise")
	.option(
		"--seed <n>",
		"prices and stock, which the dump does not have, follow from it",
		parseSeed,
		1
	)
	.action(async (_: string, dump: string, { output, seed }: { output?: string; seed: number }) => {
		if (output !== undefined) refuseSameFile(dump, output);
		const lines = convertOpenFoodFacts(dump, seed, ({ products, nameless, codeless }) =>
			console.error(
				`${count(products)} products; passed over: ${count(nameless)} without a name, ${count(codeless)} without a code.`
			)
		);
		await writeLines(lines, output);
	});

await program.parseAsync().catch((error: unknown) => die(explainRefusal(error)));

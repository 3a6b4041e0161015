/** All products as lines of a file that an import takes. */
import type { Actions } from "../../contracts/index.ts";
import { csvLine } from "../import/csv.ts";
import type { Operator } from "../operator.ts";
import { cellsOf, HEADER } from "./records.ts";

/** Reads page by page, as fast as somebody takes the lines; `told` hears how many there were and of how many. */
export async function* exportLines(
	system: Operator,
	format: "csv" | "jsonl",
	told: (done: number, total: number) => void
): AsyncGenerator<string> {
	if (format === "csv") yield csvLine(HEADER);
	let after: string | null = null;
	let done = 0;
	do {
		const page: Actions["products.export"]["result"] = await system.call(
			"products.export",
			after ? { after } : {}
		);
		const lines = page.items.map(product =>
			format === "csv" ? csvLine(cellsOf(product)) : `${JSON.stringify(product)}\n`
		);
		if (lines.length > 0) yield lines.join("");
		done += lines.length;
		told(done, page.total);
		after = page.after;
	} while (after);
}

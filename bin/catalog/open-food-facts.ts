/**
 * Products of Open Food Facts, from its dump in CSV: UTF-8 with tabs between the cells and no quotes, its columns as
 * https://static.openfoodfacts.org/data/data-fields.txt has them.
 */
import { createHash } from "node:crypto";
import { SHOP_CURRENCY } from "../../contracts/common.ts";
import type { ImportedProduct } from "../../contracts/products.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { slugOf } from "../../services/catalog/slug.ts";
import { readLines } from "../import/file.ts";

/** The longest line of the dump is far shorter. */
const MAX_LINE = 4_000_000;

export interface Converted {
	readonly products: number;
	readonly nameless: number;
	/** Without a code that can be a SKU. */
	readonly codeless: number;
}

type Cell = (column: string) => string;

/** One line of printable text, at most so many characters long. */
const plain = (text: string, length: number): string =>
	Array.from(text.replaceAll(/[\p{Cc}\p{Cs}\s]+/gu, " ").trim())
		.slice(0, length)
		.join("")
		.trim();

const first = (list: string): string => list.split(",", 1)[0]!;

/** `en:breakfast-cereals` → `groceries/breakfast-cereals`; the last tag is the narrowest. */
function categoryOf(cell: Cell): string {
	const tag = cell("main_category") || cell("categories_tags").split(",").at(-1)!;
	const slug = slugOf(tag.replace(/^[a-z]{2,3}:/, ""), "other-groceries");
	return slug === ROOT ? ROOT : `${ROOT}/${slug}`;
}
const ROOT = "groceries";

const grade = (text: string): string => (/^[a-e]$/i.test(text) ? text.toUpperCase() : "");

/** The dump has neither prices nor stock: both follow from the seed and the code, whatever else is in the file. */
function inventedFor(code: string, seed: number): Pick<ImportedProduct, "price" | "initialStock"> {
	const hash = createHash("sha256").update(`${seed} ${code}`).digest();
	// Squared, because a shop has more that is cheap; ends in 9 cents.
	const amount = Math.floor((hash.readUInt32BE(0) / 2 ** 32) ** 2 * 250) * 10 + 49;
	return { price: { amount, currency: SHOP_CURRENCY }, initialStock: hash[4]! };
}

/** A line by its columns, or why it is passed over. Pure. */
export function productOf(cell: Cell, seed: number): ImportedProduct | "nameless" | "codeless" {
	const name = plain(cell("product_name"), 200);
	if (name === "") return "nameless";
	const code = cell("code").trim();
	if (!/^\d{1,60}$/.test(code)) return "codeless";
	const image = cell("image_url").trim();
	const description = plain(cell("generic_name"), 10_000);
	const attributes = {
		brand: plain(first(cell("brands")), 200),
		quantity: plain(cell("quantity"), 200),
		"nutri-score": grade(cell("nutriscore_grade") || cell("nutrition_grade_fr")),
		nova: /^[1-4]$/.test(cell("nova_group")) ? cell("nova_group") : "",
		ean: code
	};
	return {
		sku: `OFF-${code}`,
		name,
		...(description ? { description } : {}),
		...inventedFor(code, seed),
		category: categoryOf(cell),
		attributes: Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== "")),
		images: /^https:\/\/[^\s\p{Cc}\p{Cs}<>"]{1,2000}$/u.test(image) ? [image] : []
	};
}

/**
 * The products of a dump as lines that an import takes; `told` hears in the end what became of them. Throws a
 * StartupError where it is no such dump.
 */
export async function* convertOpenFoodFacts(
	file: string,
	seed: number,
	told: (counts: Converted) => void
): AsyncGenerator<string> {
	const counts = { products: 0, nameless: 0, codeless: 0 };
	let columns: Map<string, number> | undefined;
	for await (const { text } of readLines(file, MAX_LINE)) {
		const cells = text.split("\t");
		if (!columns) {
			columns = new Map(cells.map((name, index) => [name, index]));
			const missing = ["code", "product_name"].filter(name => !columns!.has(name));
			if (missing.length > 0)
				throw new StartupError(
					`${file} is no dump of Open Food Facts: its first line does not name ${missing.join(" and ")}, with tabs between.`
				);
			continue;
		}
		const indices = columns;
		const product = productOf(name => cells[indices.get(name) ?? -1] ?? "", seed);
		if (typeof product === "string") {
			counts[product]++;
			continue;
		}
		counts.products++;
		yield `${JSON.stringify(product)}\n`;
	}
	if (!columns) throw new StartupError(`${file} is empty.`);
	told(counts);
}

/** What stands in a file as products to be imported, and products as they stand in one. Pure. */
import type { TSchema } from "typebox";
import { SHOP_CURRENCY } from "../../contracts/common.ts";
import { ImportedProduct } from "../../contracts/products.ts";
import { toJson } from "../../lib/schema-changes.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { createAjv, fieldErrors, type FieldError } from "../../lib/validator.ts";
import type { CsvRecord } from "../import/csv.ts";
import type { FileRecord } from "../import/file.ts";
import type { Entry } from "../import/import.ts";

const COLUMNS = [
	"sku",
	"name",
	"slug",
	"description",
	"price",
	"currency",
	"category",
	"attributes",
	"images",
	"status",
	"stock"
] as const;
type Column = (typeof COLUMNS)[number];
const REQUIRED = ["sku", "name", "price", "category"] as const;

/** Of an attribute that has a column of its own. */
const ATTRIBUTE = "attr.";

/** `19.9` → 1990. What is no amount is left to the schema to refuse. */
const minorUnits = (cell: string): unknown => {
	const [, units, cents = ""] = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(cell) ?? [];
	return units === undefined ? cell : Number(units) * 100 + Number(cents.padEnd(2, "0"));
};
const wholeNumber = (cell: string): unknown => (/^\d{1,15}$/.test(cell) ? Number(cell) : cell);
const json = (cell: string): unknown => {
	try {
		return JSON.parse(cell);
	} catch {
		return cell;
	}
};

/** A row by its columns as what it tells of a product; an empty cell says nothing. */
function productOf(columns: readonly string[], cells: readonly string[]): object {
	const told = new Map(
		columns.map((name, index) => [name, cells[index]!] as const).filter(([, cell]) => cell !== "")
	);
	const as = (column: Column, field: string, read: (cell: string) => unknown): object =>
		told.has(column) ? { [field]: read(told.get(column)!) } : {};
	const text = (column: Column) => as(column, column, cell => cell);
	const own = [...told].filter(([name]) => name.startsWith(ATTRIBUTE));
	const attributes = told.has("attributes") ? json(told.get("attributes")!) : {};
	return {
		...text("sku"),
		...text("name"),
		...text("slug"),
		...text("description"),
		...as("price", "price", cell => ({
			amount: minorUnits(cell),
			currency: told.get("currency") ?? SHOP_CURRENCY
		})),
		...text("category"),
		...(own.length > 0 && typeof attributes === "object"
			? {
					attributes: {
						...attributes,
						...Object.fromEntries(own.map(([name, cell]) => [name.slice(ATTRIBUTE.length), cell]))
					}
				}
			: told.has("attributes")
				? { attributes }
				: {}),
		...as("images", "images", cell => cell.split(/\s+/).filter(Boolean)),
		...text("status"),
		...as("stock", "initialStock", wholeNumber)
	};
}

/** The header of the files that are written. */
export const HEADER: readonly string[] = COLUMNS;

/** A product as a row below that header. */
export const cellsOf = (product: ImportedProduct): (string | number)[] => {
	const { amount, currency } = product.price;
	const cells: Record<Column, string | number> = {
		sku: product.sku,
		name: product.name,
		slug: product.slug ?? "",
		description: product.description ?? "",
		price: `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, "0")}`,
		currency,
		category: product.category,
		attributes: product.attributes === undefined ? "" : JSON.stringify(product.attributes),
		images: (product.images ?? []).join(" "),
		status: product.status ?? "",
		stock: product.initialStock ?? ""
	};
	return COLUMNS.map(column => cells[column]);
};

/** The columns that a header names. Throws a StartupError where one is not known, is there twice, or is missing. */
export function columnsOf(header: readonly string[]): string[] {
	const names = header.map(name => name.trim().toLowerCase());
	const known = `Known are ${COLUMNS.join(", ")}, and ${ATTRIBUTE}NAME for an attribute.`;
	const unknown = names.filter(
		name => !name.startsWith(ATTRIBUTE) && !(COLUMNS as readonly string[]).includes(name)
	);
	if (unknown.length > 0)
		throw new StartupError(
			`The header names columns that are not known: ${unknown.map(name => JSON.stringify(name)).join(", ")}. ${known}`
		);
	const twice = names.filter((name, index) => names.indexOf(name) < index);
	if (twice.length > 0) throw new StartupError(`The header names ${twice.join(", ")} twice.`);
	const missing = REQUIRED.filter(name => !names.includes(name));
	if (missing.length > 0)
		throw new StartupError(`The header does not name ${missing.join(" and ")}. ${known}`);
	return names;
}

/** `price.amount must be integer`; of a pattern what it is about, where its field says so. */
function inWords({ field, code, message }: FieldError): string {
	const schemas = ImportedProduct.properties as Record<string, TSchema & { description?: string }>;
	const about = code === "pattern" ? schemas[field]?.description : undefined;
	return `${field} ${about ? `must be: ${about}` : message}`;
}

const isProduct = createAjv({ defaults: false }).compile<ImportedProduct>(
	toJson(ImportedProduct) as object
);

/** Judges all products of a file, one after the other, and knows which SKUs have been there before. */
export class Judge {
	readonly #skus = new Map<string, number>();

	judge(record: FileRecord, product: unknown): Entry<ImportedProduct> {
		if (record.text.includes("\ufffd")) return { record, problems: ["is not in UTF-8"] };
		if (!isProduct(product))
			return { record, problems: fieldErrors(isProduct.errors).map(inWords) };
		const first = this.#skus.get(product.sku);
		if (first !== undefined) return { record, problems: [`sku is the same as in line ${first}`] };
		this.#skus.set(product.sku, record.line);
		return { record, item: product };
	}
}

/** A record of CSV. */
export function readRow(
	columns: readonly string[],
	record: CsvRecord,
	judge: Judge
): Entry<ImportedProduct> {
	const { length } = record.cells;
	if (length !== columns.length)
		return { record, problems: [`has ${length} cells, the header ${columns.length}`] };
	return judge.judge(record, productOf(columns, record.cells));
}

/** A line of JSON. */
export function readLine(record: FileRecord, judge: Judge): Entry<ImportedProduct> {
	let product: unknown;
	try {
		product = JSON.parse(record.text);
	} catch {
		return { record, problems: ["is not JSON"] };
	}
	return typeof product === "object" && product !== null
		? judge.judge(record, product)
		: { record, problems: ["is not a JSON object"] };
}

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");

interface Diagnostic {
	readonly code: string;
	readonly filename: string;
	readonly message: string;
}

/** Lints a folder with the repository's own rules and returns the broken boundaries. */
function brokenBoundaries(folder: string): Diagnostic[] {
	const { stdout, stderr } = spawnSync(
		join(root, "node_modules/.bin/oxlint"),
		["--config", ".oxlintrc.json", "--format", "json"],
		{ cwd: folder, encoding: "utf8" }
	);
	if (stdout === "") throw new Error(`The linter did not run: ${stderr}`);
	const { diagnostics, number_of_files: files } = JSON.parse(stdout) as {
		diagnostics: Diagnostic[];
		number_of_files: number;
	};
	if (files === 0) throw new Error(`The linter found no file in ${folder}.`);
	return diagnostics.filter(({ code }) =>
		["eslint(no-restricted-imports)", "typescript(consistent-type-imports)"].includes(code)
	);
}

describe("the boundaries between the folders", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "valence-boundaries-"));
		cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
	});
	afterEach(() => rmSync(folder, { recursive: true }));

	/** Lints one file of this path and text, in a folder of the repository's layout. */
	function lint(path: string, text: string): Diagnostic[] {
		mkdirSync(dirname(join(folder, path)), { recursive: true });
		writeFileSync(join(folder, path), `${text}\n`);
		return brokenBoundaries(folder);
	}

	const order = "services/orders/orders.service.ts";
	const migration = "services/orders/migrations/0002-orders.ts";

	it.each([
		[order, 'import { findProduct } from "../catalog/products.store.ts";\nfindProduct();'],
		[order, 'import type { Product } from "../catalog/product.ts";\nexport type P = Product;'],
		[order, 'export * from "../catalog/product.ts";'],
		[order, 'export const catalog = await import("../catalog/product.ts");'],
		[order, 'export type P = import("../catalog/product.ts").Product;'],
		[order, 'import { a } from "../../services/catalog/product.ts";\na();'],
		[order, 'import { a } from "./../catalog/product.ts";\na();'],
		[order, 'import { a } from ".././catalog/product.ts";\na();'],
		[order, 'import { a } from "./migrations/../../catalog/product.ts";\na();'],
		["services/orders/orders.service.test.ts", 'import { a } from "../catalog/product.ts";\na();'],
		[migration, 'import { a } from "../../catalog/product.ts";\na();'],
		[migration, 'import { a } from "../../../services/catalog/product.ts";\na();'],
		[migration, 'import { a } from "../order.ts";\na();']
	])("between groups: %s may not say %j", (path, text) => {
		expect(lint(path, text)).toHaveLength(1);
	});

	it.each([
		["contracts/orders.ts", 'import { readConfig } from "../lib/config.ts";\nreadConfig();'],
		[
			"contracts/orders.ts",
			'import type { Config } from "../lib/config.ts";\nexport type C = Config;'
		],
		["contracts/orders.ts", 'import { place } from "../services/orders/order.ts";\nplace();'],
		["contracts/orders.ts", 'import { readFileSync } from "node:fs";\nreadFileSync("");'],
		["contracts/orders.ts", 'import { Ajv } from "ajv";\nexport const ajv = new Ajv();'],
		["contracts/orders.ts", 'import { Value } from "typebox/value";\nValue.Check();'],
		["lib/node.ts", 'import { place } from "../services/orders/order.ts";\nplace();'],
		["lib/events/relay.ts", 'import { place } from "../../services/orders/order.ts";\nplace();'],
		["mixins/events.mixin.ts", 'import { place } from "../services/orders/order.ts";\nplace();']
	])("below the services: %s may not say %j", (path, text) => {
		expect(lint(path, text)).toHaveLength(1);
	});

	it.each([
		[order, 'import { place } from "./order.ts";\nplace();'],
		[order, 'import { orders } from "../../contracts/orders.ts";\norders();'],
		[order, 'import { implement } from "../../lib/service.ts";\nimplement();'],
		[migration, 'import { a } from "../../../lib/events/tables.ts";\na();'],
		["contracts/orders.ts", 'import { contract } from "../lib/contract.ts";\ncontract();'],
		["contracts/orders.ts", 'import { Id } from "./common.ts";\nexport const id = Id;'],
		["contracts/orders.ts", 'import { Type } from "typebox";\nexport const id = Type.String();'],
		["contracts/orders.test.ts", 'import { readFileSync } from "node:fs";\nreadFileSync("");'],
		["lib/service.ts", 'import { contracts } from "../contracts/index.ts";\ncontracts();'],
		["tests/journey.test.ts", 'import { place } from "../services/orders/order.ts";\nplace();']
	])("are open where they should be: %s may say %j", (path, text) => {
		expect(lint(path, text)).toEqual([]);
	});

	it("are kept", () => {
		expect(brokenBoundaries(root)).toEqual([]);
	});
});

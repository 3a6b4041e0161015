import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { addCategory, addProduct } from "../services/catalog/catalog.fixtures.ts";
import { testConfig } from "../tests/support/node.ts";
import { runCommand, startOneProcess, type Running } from "../tests/support/process.ts";

const config = testConfig();
let system: Running;
let catalog: Database;
let lamp: string;
beforeAll(async () => {
	system = await startOneProcess({ DATABASE_URL: config.DATABASE_URL!, DEMO_DATA: "false" });
	catalog = new Database("catalog", databaseUrl(config, "catalog"));
	await addCategory(catalog, "things");
	lamp = await addProduct(catalog, { category: "things", stock: 3 });
	await addProduct(catalog, { category: "things", stock: 4 });
}, 60_000);
afterAll(async () => {
	await catalog.close();
	await system.stop();
	system.cleanUp();
});

const verify = (...args: string[]) =>
	runCommand("bin/stock.ts", ["verify", ...args], { DATA_DIR: system.dataDir });

it("says that the stock adds up", async () => {
	expect(await verify()).toEqual({
		code: 0,
		output: "The stock of 2 products is what the ledger and the holds add up to.\n"
	});
});

it("names what does not, and fails", async () => {
	await catalog.query("UPDATE stock SET on_hand = 5, reserved = 1 WHERE product_id = $1", [lamp]);
	const { code, output } = await verify();
	expect(code).toBe(1);
	expect(output.split("\n").at(1)).toMatch(new RegExp(`^${lamp} +5 +3 +1 +0 +0 +0 +0 +0$`));
	const json = await verify("--json");
	expect([json.code, JSON.parse(json.output)]).toEqual([
		1,
		{
			products: 2,
			differences: [
				{
					productId: lamp,
					onHand: 5,
					reserved: 1,
					sold: 0,
					ledger: { onHand: 3, reserved: 0, sold: 0 },
					orders: { held: 0, committed: 0 }
				}
			]
		}
	]);
});

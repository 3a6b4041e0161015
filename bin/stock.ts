/** `npm run stock -- verify`: whether the stock is what its ledger says. */
import { Command } from "commander";
import type { Actions } from "../contracts/index.ts";
import { die, show, table } from "./console.ts";
import { explainRefusal, withSystem } from "./operator.ts";

type Reconciled = Actions["inventory.reconcile"]["result"];

const view = ({ products, differences }: Reconciled): string =>
	differences.length === 0
		? `The stock of ${products} products is what the ledger and the holds add up to.`
		: table(
				["PRODUCT", "ON HAND", "LEDGER", "RESERVED", "LEDGER", "HELD", "SOLD", "LEDGER", "ORDERS"],
				differences.map(({ productId, onHand, reserved, sold, ledger, orders }) => [
					productId,
					onHand,
					ledger.onHand,
					reserved,
					ledger.reserved,
					orders.held,
					sold,
					ledger.sold,
					orders.committed
				])
			);

const program = new Command("npm run stock --").description(
	"The stock of the system that runs here"
);

program
	.command("verify")
	.description(
		"compare all stock with its ledger and with what orders hold; exit code 1 where they differ"
	)
	.option("--json", "JSON, for programs")
	.action((options: { readonly json?: boolean }) =>
		withSystem(
			async system => {
				const reconciled = await system.call("inventory.reconcile", {});
				show(reconciled, options, view);
				if (reconciled.differences.length > 0) process.exitCode = 1;
			},
			{ service: "inventory" }
		)
	);

await program.parseAsync().catch((error: unknown) => die(explainRefusal(error)));

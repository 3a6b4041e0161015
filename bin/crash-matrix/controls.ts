/** Which scene shows which broken variant of the code (chaos/mutants.ts), and as what. */
import type { Verdict } from "../chaos/checker.ts";
import { overtaking, slowTransaction } from "./faults.ts";
import { POINT_CASES, type Case } from "./points.ts";

export interface Control {
	readonly mutant: string;
	readonly scene: Case;
	/** What the checker has to find. */
	readonly finds: Exclude<keyof Verdict, "details">;
}

const at = (name: string): Case => POINT_CASES.find(each => each.name === name)!;

export const CONTROLS: readonly Control[] = [
	{
		mutant: "ack-before-commit",
		scene: at("consumer.before-commit"),
		finds: "lost"
	},
	{
		mutant: "no-inbox",
		scene: at("consumer.after-commit"),
		finds: "double"
	},
	{
		mutant: "relay-by-cursor",
		scene: slowTransaction,
		finds: "lost"
	},
	{
		mutant: "no-cursor-lock",
		scene: overtaking,
		finds: "outOfOrder"
	},
	{
		mutant: "mark-before-publish",
		scene: at("relay.before-publish"),
		finds: "lost"
	}
];

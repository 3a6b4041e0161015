/** `npm run demo`: customers who search, buy and follow their orders, over the public interface alone. */
import { Command, InvalidArgumentError } from "commander";
import type { PaymentMethod } from "../contracts/payments.ts";
import { buy, newAccount, type Outcome } from "./demo/journey.ts";
import { isOdd, summarize, tellStory, tellSummary } from "./demo/report.ts";
import { reasonOf, Shop } from "./demo/shop.ts";

interface Options {
	readonly url: string;
	readonly orders: number;
	readonly concurrency: number;
	readonly decline: number;
	readonly json: boolean;
}

const options = new Command("npm run demo --")
	.description("Places orders as customers do, and tells what became of them")
	.option("--url <url>", "where Valence answers", parseOrigin, "http://127.0.0.1:3000")
	.option("--orders <n>", "how many orders to place", parseCount, 10)
	.option("--concurrency <n>", "customers at work at once", parseCount, 4)
	.option("--decline <share>", "share of orders whose payment is declined, 0 to 1", parseShare, 0.2)
	.option("--json", "print the summary as one line of JSON; all else goes to standard error", false)
	.parse()
	.opts<Options>();

function parseOrigin(text: string): string {
	const url = URL.parse(text);
	if (!url || !/^https?:$/.test(url.protocol))
		throw new InvalidArgumentError("Write it as http://127.0.0.1:3000.");
	return url.origin;
}

function parseCount(text: string): number {
	if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("It is a whole number from 1.");
	return Number(text);
}

function parseShare(text: string): number {
	const share = text.trim() === "" ? Number.NaN : Number(text);
	if (!(share >= 0 && share <= 1)) throw new InvalidArgumentError("It is a number from 0 to 1.");
	return share;
}

const { url, orders, concurrency, decline, json } = options;
/** For people; with --json standard output belongs to the machine that reads it. */
const out = json ? process.stderr : process.stdout;
/** Longer than the minute in which a customer who buys very fast uses up what may be asked. */
const PATIENCE_MS = 90_000;
const FEW = 20;
const SHOWN_OF_MANY = 3;

await refuseStrangers();
const began = performance.now();
const outcomes: Outcome[] = [];
const shops: Shop[] = [];
const isShown = (outcome: Outcome) =>
	orders <= FEW || outcome.index < SHOWN_OF_MANY || isOdd(outcome);
let next = 0;
await Promise.all(Array.from({ length: Math.min(concurrency, orders) }, work));
for (; next < orders; next++)
	outcomes.push({ index: next, method: methodOf(next), problem: "No customer was left for it." });
outcomes.sort((a, b) => a.index - b.index);

const summary = summarize(outcomes, {
	seconds: Math.round((performance.now() - began) / 100) / 10,
	repeatedRequests: shops.reduce((sum, { repeated }) => sum + repeated, 0)
});
out.write(`\n${outcomes.filter(isShown).map(tellStory).join("\n\n")}\n\n`);
out.write(`${tellSummary(summary)}\n`);
if (json) console.log(JSON.stringify(summary));
process.exitCode = summary.ok ? 0 : 1;

/** Ends at once where nobody, or somebody else, answers at the URL. */
async function refuseStrangers(): Promise<void> {
	const refuse = (what: string): never => {
		console.error(`${what}\nStart Valence with \`npm start\`, or name its address with --url.`);
		process.exit(1);
	};
	try {
		const response = await fetch(`${url}/api/v1/products?limit=1`, {
			signal: AbortSignal.timeout(10_000)
		});
		// Valence that is busy or has lost a part for a moment: the customers know how to wait.
		if (response.status === 503 || response.status === 429) return;
		const answer = (await response.json().catch(() => ({}))) as { items?: unknown };
		if (!Array.isArray(answer.items))
			refuse(
				`What answers at ${url} is not Valence: GET /api/v1/products said ${response.status}.`
			);
	} catch (error) {
		refuse(`Nothing answers at ${url} (${reasonOf(error)}).`);
	}
}

/** One customer after another's order, until all are placed. */
async function work(): Promise<void> {
	const shop = new Shop(url, { patienceMs: PATIENCE_MS });
	shops.push(shop);
	const account = newAccount();
	let refused: string | undefined;
	try {
		await shop.register(account);
		await shop.logIn(account);
	} catch (error) {
		refused = (error as Error).message;
	}
	while (next < orders) {
		const asked = { index: next, method: methodOf(next) };
		next++;
		outcomes.push(refused ? { ...asked, problem: refused } : await buy(shop, asked, isShown));
		showProgress();
		// The others shall have the rest.
		if (refused) return;
	}
}

/** Spreads the declined payments evenly over the orders. */
function methodOf(index: number): PaymentMethod {
	const declinedUpTo = (count: number) => Math.floor(count * decline + 1e-9);
	return declinedUpTo(index + 1) > declinedUpTo(index) ? "tok_declined" : "tok_ok";
}

function showProgress(): void {
	const done = outcomes.length;
	const { confirmed, cancelled, open, failed } = summarize(outcomes, {
		seconds: 0,
		repeatedRequests: 0
	});
	const cancelledCount = Object.values(cancelled).reduce((sum, count) => sum + count, 0);
	const numbers = `${done} of ${orders} orders: ${confirmed} confirmed, ${cancelledCount} cancelled${open + failed > 0 ? `, ${open + failed} in trouble` : ""}`;
	if (out.isTTY) {
		const filled = Math.round((done / orders) * 24);
		out.write(`\r\u001b[2K${"█".repeat(filled)}${"░".repeat(24 - filled)} ${numbers}`);
		if (done === orders) out.write("\n");
	} else if (orders <= FEW || done === orders || done % Math.ceil(orders / 10) === 0)
		out.write(`${numbers}\n`);
}

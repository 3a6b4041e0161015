/**
 * `npm run bench:search`: how long searches and lists of a million products take, at a rate that shops
 * have, on the first page and on one far behind; and how PostgreSQL goes about them.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import pg from "pg";
import { Database, type Tx } from "../lib/database.ts";
import { startPostgres } from "../lib/embedded-postgres.ts";
import { migrate, migrationNames, rollback } from "../lib/migrations.ts";
import type { SearchParams } from "../services/catalog/product-search.ts";
import { newDataDir, startOneProcess } from "../tests/support/process.ts";
import { Interruption, wholeNumber, writeMarkdown } from "./command.ts";
import { busyness, describeMachine, readMachine } from "./machine.ts";
import { alignTable, markdown, ms, percentiles } from "./report.ts";
import { fillCatalog } from "./search/catalog.ts";
import { plansOf, readsAll, type Plan } from "./search/plans.ts";
import { deepPageOf, LISTS, queryOf, SEARCHES } from "./search/requests.ts";

const DOCUMENT = "docs/search-plans.md";

const options = new Command("npm run bench:search --")
	.description("Measures searches of a big catalog in a database of its own")
	.option("--products <n>", "how many there are", wholeNumber(100_000_000), 1_000_000)
	.option("--per-second <n>", "requests", wholeNumber(10_000), 20)
	.option("--seconds <n>", "how long each kind of request is measured", wholeNumber(3_600), 30)
	.option("--shared-buffers <size>", "what PostgreSQL keeps in memory itself", "1GB")
	.option("--folder <path>", "where the database is kept, and used again where it is there already")
	.option("--write", `write ${DOCUMENT}`, false)
	.parse()
	.opts<{
		products: number;
		sharedBuffers: string;
		perSecond: number;
		seconds: number;
		folder?: string;
		write: boolean;
	}>();

const ENVIRONMENT = { NODE_ENV: "production", LOG_LEVEL: "warn", RATE_LIMIT_FACTOR: "1000000" };
const interruption = new Interruption(() => console.log("Ending what was started."));

/** A database with such a catalog, without the time that its search takes to be filled row by row. */
async function build(url: string): Promise<void> {
	const names = migrationNames("catalog");
	await migrate("catalog", url);
	await rollback("catalog", url, names.length - names.indexOf("0009-search"));
	let told = 0;
	await fillCatalog(url, options.products, done => {
		if (done < told) return;
		console.log(`${done} products`);
		told = done + options.products / 10;
	});
	console.log("filling the tables of the search");
	await migrate("catalog", url);
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	await client.query("VACUUM ANALYZE");
	await client.end();
}

/** Milliseconds of each answer; begun at their time, whether or not the one before has come. */
async function measure(server: string, asked: readonly SearchParams[]): Promise<number[]> {
	const { perSecond, seconds } = options;
	const ask = async (params: SearchParams): Promise<number> => {
		const began = performance.now();
		const response = await fetch(`${server}/api/v1/products?${queryOf(params)}`);
		const text = await response.text();
		if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
		return performance.now() - began;
	};
	// Each once, so that code and caches are warm as they are in a shop that is open.
	for (const params of asked) await ask(params);
	const began = performance.now();
	const answers: Promise<number>[] = [];
	for (let n = 0; n < perSecond * seconds; n++) {
		await sleep(Math.max(0, began + (n * 1_000) / perSecond - performance.now()));
		answers.push(ask(asked[n % asked.length]!));
	}
	return Promise.all(answers);
}

async function run(): Promise<void> {
	const folder = options.folder ?? newDataDir();
	const isThere = existsSync(join(folder, "data"));
	const postgres = await startPostgres({
		folder,
		settings: [`shared_buffers=${options.sharedBuffers}`]
	});
	try {
		const url = `${postgres.url}/catalog`;
		if (!isThere) await build(url);
		await using measured = await startMeasured(postgres.url);
		const db = new Database("catalog", url);
		const deepOf = async (all: readonly SearchParams[]) => {
			const found: SearchParams[] = [];
			for (const params of all) {
				const deep = await patiently(db, tx => deepPageOf(tx, params));
				if (deep) found.push(deep);
			}
			return found;
		};
		const kinds = {
			"search with facets, first page": SEARCHES,
			"search with facets, deep page": await deepOf(SEARCHES),
			"filtered list, first page": LISTS,
			"filtered list, deep page": await deepOf(LISTS)
		};
		const machine = readMachine();
		console.log([describeMachine(machine), busyness(machine)].filter(Boolean).join("\n"));
		const rows = [["request", "answers", "p50 ms", "p95 ms", "p99 ms"]];
		for (const [kind, asked] of Object.entries(kinds)) {
			const times = await measure(measured.url, asked);
			rows.push([kind, String(times.length), ...ms(percentiles(times))]);
		}
		console.log(alignTable(rows));
		const plans = new Map<string, Plan[]>();
		for (const params of Object.values(kinds).flat())
			plans.set(queryOf(params), await patiently(db, tx => plansOf(tx, params)));
		await db.close();
		const bad = [...plans].filter(([, all]) => all.some(readsAll)).map(([query]) => query);
		if (options.write) await writeMarkdown(DOCUMENT, documentOf(rows, machine, plans));
		if (bad.length > 0) throw new Error(`All products are read for: ${bad.join(" ")}`);
	} finally {
		await postgres.stop();
		if (!options.folder)
			rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
	}
}

/** To count everything once may take longer than a request may. */
const patiently = <T>(db: Database, work: (tx: Tx) => Promise<T>): Promise<T> =>
	db.transaction(work, undefined, { patient: true });

async function startMeasured(server: string): Promise<AsyncDisposable & { readonly url: string }> {
	const running = await startOneProcess({ ...ENVIRONMENT, DATABASE_URL: server });
	return {
		url: running.urls[0]!,
		async [Symbol.asyncDispose]() {
			await running.stop();
			running.cleanUp();
		}
	};
}

function documentOf(
	rows: string[][],
	machine: ReturnType<typeof readMachine>,
	plans: ReadonlyMap<string, readonly Plan[]>
): string {
	const shown = [...plans].filter(([query]) => SHOWN.some(pattern => pattern.test(query)));
	return `<!-- Written by \`npm run bench:search -- --write\`; do not edit. -->

# Plans of searches

${options.products.toLocaleString("en")} products, ${options.perSecond} requests a second to one process whose
PostgreSQL has \`shared_buffers=${options.sharedBuffers}\`, all on one machine. ${[`${describeMachine(machine)}.`, busyness(machine)].filter(Boolean).join(" ")}

${markdown(rows)}

Of ${plans.size} kinds of requests none has a plan that reads all products: the measurement fails
where one does. A few of them follow, with all their statements; conditions are bound values.

${shown
	.map(
		([query, all]) =>
			`## \`GET /products?${decodeURIComponent(query.replaceAll("+", " "))}\`

${all.map(({ plan }) => `\`\`\`\n${plan}\n\`\`\``).join("\n\n")}`
	)
	.join("\n\n")}
`;
}

const SHOWN = [
	/^q=black\+lamp&facets=true$/,
	/^q=lamp&facets=true$/,
	/^q=lamp&facets=true&cursor/,
	/^q=blak\+lmap&facets=true$/,
	/^sort=name$/,
	/^sort=name&cursor/,
	/^sort=price&category=home$/,
	/^sort=price&category=garden&inStock=true&attr.material=Steel$/,
	/^sort=-price&attr.colour=Teal&attr.material=Oak$/
];

await interruption.orOutcome(run()).catch(error => interruption.fail(error));

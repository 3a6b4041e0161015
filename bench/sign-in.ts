/**
 * `npm run bench:sign-in`: whether the time of an answer tells who has an account, and what many who
 * sign in at once take from those who only read. Ratios within one run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { Passwords } from "../services/users/password.ts";
import { Interruption, wholeNumber } from "./command.ts";
import { busyness, describeMachine, readMachine } from "./machine.ts";
import { measureReads } from "./reads.ts";
import { alignTable, formatRatio, ms, percentiles } from "./report.ts";
import { startValence, type Server } from "./servers.ts";

const { attempts, parallel, seconds } = new Command("npm run bench:sign-in --")
	.description("Measures log-ins of known and unknown addresses, and reads beside many log-ins")
	.option("--attempts <n>", "of each kind", wholeNumber(10_000), 300)
	.option("--parallel <n>", "log-ins at once beside the reads", wholeNumber(1_000), 50)
	.option("--seconds <n>", "how long the reads are measured", wholeNumber(300), 10)
	.parse()
	.opts<{ attempts: number; parallel: number; seconds: number }>();

const READS_PER_SECOND = 100;
const PASSWORD = "correct horse battery";
const interruption = new Interruption(() => console.log("Ending what was started."));

const post = ({ url }: Server, path: string, body: object): Promise<Response> =>
	fetch(`${url}/api/v1${path}`, {
		method: "POST",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body)
	});

/** Milliseconds until the answer has come. Throws where it is another than expected. */
async function timed(status: number, asking: () => Promise<Response>): Promise<number> {
	const began = performance.now();
	const response = await asking();
	await response.text();
	const took = performance.now() - began;
	if (response.status !== status)
		throw new Error(`${response.status} where ${status} was expected.`);
	return took;
}

/** Milliseconds that one hash takes, by itself. */
async function hashTimes(): Promise<number[]> {
	const passwords = new Passwords();
	const times: number[] = [];
	for (let n = 0; n < 50; n++) {
		const began = performance.now();
		await passwords.hash(PASSWORD);
		times.push(performance.now() - began);
	}
	return times;
}

type Ask = (known: boolean, n: number) => Promise<number>;

/** Known and unknown in turn, and in pairs whose order changes, so that whatever else goes on meets both. */
async function compare(ask: Ask): Promise<{ known: number[]; unknown: number[] }> {
	const times: { known: number[]; unknown: number[] } = { known: [], unknown: [] };
	// The first ones meet cold code.
	for (let n = 0; n < 20; n++) await ask(n % 2 === 0, -n);
	for (let n = 0; n < attempts; n++)
		for (const known of n % 2 === 0 ? [true, false] : [false, true])
			times[known ? "known" : "unknown"].push(await ask(known, n));
	return times;
}

async function readBesideLogins(server: Server, email: string): Promise<string[][]> {
	const products = await fetch(`${server.url}/api/v1/products?limit=50`);
	const { items } = (await products.json()) as { items: { id: string }[] };
	const ids = items.map(({ id }) => id);
	// At a rate that leaves room, as a shop has: at full load everything waits for everything.
	const load = { seconds, connections: 4, perSecond: READS_PER_SECOND };
	const alone = await measureReads(server, ids, load);
	let logins = 0;
	let stopping = false;
	const signIn = async () => {
		while (!stopping) {
			await timed(200, () => post(server, "/auth/login", { login: email, password: PASSWORD }));
			logins++;
		}
	};
	const signingIn = Array.from({ length: parallel }, signIn);
	await sleep(1_000);
	const beside = await measureReads(server, ids, load);
	stopping = true;
	await Promise.all(signingIn);
	const again = await measureReads(server, ids, load);
	const calm = Math.min(alone.ms.p95, again.ms.p95);
	console.log(`\n${logins} log-ins beside the reads`);
	return [
		["reads", "req/s", "p50 ms", "p95 ms", "p99 ms", "p95, compared"],
		["alone", alone.rate.toFixed(0), ...ms(alone.ms), ""],
		[
			`beside ${parallel} log-ins at once`,
			beside.rate.toFixed(0),
			...ms(beside.ms),
			`${formatRatio(beside.ms.p95 / calm)} ×`
		],
		["alone again", again.rate.toFixed(0), ...ms(again.ms), ""]
	];
}

async function run(): Promise<void> {
	const machine = readMachine();
	console.log([describeMachine(machine), busyness(machine)].filter(Boolean).join("\n"));
	await using server = await startValence("one-process");
	const email = "bench@example.com";
	await timed(201, () =>
		post(server, "/auth/register", { email, username: "bench", password: PASSWORD })
	);
	const hash = percentiles(await hashTimes()).p50;
	console.log(`one hash: ${hash.toFixed(1)} ms (median of 50)\n`);
	const loginOf = (known: boolean, n: number) => (known ? email : `nobody${n}@example.com`);
	const asks: Record<string, Ask> = {
		"log-in": (known, n) =>
			timed(401, () =>
				post(server, "/auth/login", { login: loginOf(known, n), password: "not this one" })
			),
		"forgotten password": (known, n) =>
			timed(202, () => post(server, "/auth/password/forgot", { email: loginOf(known, n) }))
	};
	const rows = [["answers", "known p50 ms", "unknown p50 ms", "difference", "of a hash"]];
	for (const [name, ask] of Object.entries(asks)) {
		const { known, unknown } = await compare(ask);
		const [a, b] = [percentiles(known).p50, percentiles(unknown).p50];
		const share = (Math.abs(a - b) / hash) * 100;
		rows.push([name, a.toFixed(2), b.toFixed(2), (a - b).toFixed(2), `${share.toFixed(2)} %`]);
	}
	console.log(alignTable(rows));
	console.log(alignTable(await readBesideLogins(server, email)));
}

await interruption.orOutcome(run()).catch(error => interruption.fail(error));

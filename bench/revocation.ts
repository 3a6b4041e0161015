/** `npm run bench:revocation`: how long a session that has ended is still taken by each of two gateways. */
import { createHash } from "node:crypto";
import { Command } from "commander";
import pg from "pg";
import type { Tokens } from "../contracts/auth.ts";
import { Api, PASSWORD } from "../tests/support/api.ts";
import { startCluster } from "../tests/support/process.ts";
import { Interruption, wholeNumber } from "./command.ts";
import { busyness, describeMachine, readMachine } from "./machine.ts";
import { alignTable, digits, percentiles } from "./report.ts";

const { samples, json } = new Command("npm run bench:revocation --")
	.description("Measures from the answer that ends a session until each gateway refuses its token")
	.option("--samples <n>", "sessions that end in each way", wholeNumber(10_000), 100)
	.option("--json", "print the results as one line of JSON; all else goes to standard error", false)
	.parse()
	.opts<{ samples: number; json: boolean }>();

/** For people; with --json standard output belongs to the machine that reads it. */
const say = (text: string) => void (json ? process.stderr : process.stdout).write(`${text}\n`);
const interruption = new Interruption(() => say("Ending what was started."));

/** As in production, with the limits counting and never in the way. */
const ENVIRONMENT = { NODE_ENV: "production", LOG_LEVEL: "warn", RATE_LIMIT_FACTOR: "1000000" };
/** Longer than a refresh may be repeated. */
const STALE_SECONDS = 11;
const PATIENCE_MS = 60_000;

interface Row {
	readonly end: string;
	readonly broadcast: boolean;
	/** Milliseconds; two of each session, one of each gateway. */
	readonly refusedAfter: { p50: number; p95: number; p99: number; max: number };
}

interface Ground {
	readonly gateways: readonly Api[];
	readonly database: pg.Client;
}

/** Ends a session; answers an access token of it that was good until then. */
type End = (ground: Ground, tokens: Tokens) => Promise<string>;

const logOut: End = async ({ gateways: [first] }, { accessToken }) => {
	const { status } = await first!.request("POST", "/auth/logout", { token: accessToken, body: {} });
	if (status !== 204) throw new Error(`The log-out was answered with ${status}.`);
	return accessToken;
};

const stealRefreshToken: End = async ({ gateways: [first], database }, { refreshToken }) => {
	const use = () => first!.request<Tokens>("POST", "/auth/refresh", { body: { refreshToken } });
	const { body } = await use();
	await database.query(
		"UPDATE refresh_token SET used_at = used_at - make_interval(secs => $2) WHERE hash = $1",
		[createHash("sha256").update(refreshToken).digest(), STALE_SECONDS]
	);
	const { status } = await use();
	if (status !== 401) throw new Error(`The second use was answered with ${status}.`);
	return body.accessToken;
};

const ENDS: Record<string, End> = {
	"log-out": logOut,
	"theft of a refresh token": stealRefreshToken
};

const me = async (gateway: Api, token: string) =>
	(await gateway.request("GET", "/users/me", { token })).status;

/** Milliseconds from now until a gateway refuses the token. */
async function untilRefused(gateway: Api, token: string, since: number): Promise<number> {
	while ((await me(gateway, token)) !== 401)
		if (performance.now() - since > PATIENCE_MS) throw new Error("The session was not refused.");
	return performance.now() - since;
}

async function measureEnd(ground: Ground, end: End, login: string): Promise<Row["refusedAfter"]> {
	const { gateways } = ground;
	const found: number[] = [];
	for (let n = 0; n < samples; n++) {
		const signIn = { body: { login, password: PASSWORD } };
		const { body } = await gateways[0]!.request<Tokens>("POST", "/auth/login", signIn);
		for (const gateway of gateways)
			if ((await me(gateway, body.accessToken)) !== 200) throw new Error("The session is no good.");
		const token = await end(ground, body);
		const since = performance.now();
		found.push(
			...(await Promise.all(gateways.map(gateway => untilRefused(gateway, token, since))))
		);
	}
	return { ...percentiles(found), max: Math.max(...found) };
}

/** From now on the end of a session is committed and told to nobody. */
const loseBroadcasts = async (database: pg.Client): Promise<void> => {
	await database.query(
		"CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
	);
	await database.query(
		`CREATE TRIGGER a_lose BEFORE INSERT ON outbox FOR EACH ROW
		 WHEN (NEW.type = 'session.revoked.v1') EXECUTE FUNCTION lose()`
	);
};

async function measure(): Promise<Row[]> {
	await using stack = new AsyncDisposableStack();
	const cluster = stack.adopt(await startCluster("gateway=2", ENVIRONMENT), async running => {
		await running.stop();
		running.cleanUp();
	});
	const { urls, servers } = cluster.info();
	const database = new pg.Client(`${servers["postgres"]!.url}/users`);
	await database.connect();
	stack.defer(() => database.end());
	const ground = { gateways: urls.map(url => new Api([url])), database };
	const { email } = await new Api(urls).newCustomer();
	const rows: Row[] = [];
	for (const broadcast of [true, false]) {
		if (!broadcast) await loseBroadcasts(database);
		for (const [end, work] of Object.entries(ENDS)) {
			say(`  ${end}, ${broadcast ? "broadcast" : "broadcast lost"}`);
			rows.push({ end, broadcast, refusedAfter: await measureEnd(ground, work, email) });
		}
	}
	return rows;
}

const tell = (rows: readonly Row[]): string =>
	alignTable([
		["end of the session", "p50 ms", "p95 ms", "p99 ms", "max ms", "told by"],
		...rows.map(({ end, broadcast, refusedAfter: { p50, p95, p99, max } }) => [
			end,
			...[p50, p95, p99, max].map(digits(1)),
			broadcast ? "broadcast" : "nobody: gateways ask"
		])
	]);

try {
	const machine = readMachine();
	const warning = busyness(machine);
	if (warning) say(warning);
	say("Measuring");
	const rows = await interruption.orOutcome(measure());
	say(`\n${describeMachine(machine)}\n${samples} sessions each, at two gateways\n\n${tell(rows)}`);
	if (json) console.log(JSON.stringify({ machine, samples, rows }));
} catch (error) {
	interruption.fail(error);
}

/** One chaos run, from the first server to the verdict. */
import { setTimeout as sleep } from "node:timers/promises";
import { check, isClean, readTook, type Verdict } from "./checker.ts";
import { Client, Ledger } from "./clients.ts";
import { inject } from "./faults.ts";
import { Ground } from "./ground.ts";
import { untilQuiet } from "./quiescence.ts";
import { Random } from "./random.ts";
import { FAULTS, scheduleOf, type Fault, type FaultKind, type Profile } from "./schedule.ts";

export interface RunOptions {
	readonly profile: Profile;
	readonly seconds: number;
	readonly seed: number;
	/** The kinds of faults to inject. */
	readonly kinds: readonly FaultKind[];
	readonly mutant?: string | undefined;
	/** How long the healed system may take to become quiet. */
	readonly quietWithinMs: number;
	readonly logs?: string | undefined;
	readonly say: (line: string) => void;
	/** Given the ground as soon as there is one, to stop it early. */
	readonly onMade: (ground: Ground) => void;
}

/** What a run has found out. `--json` prints the first eleven. */
export interface Result {
	readonly seed: number;
	/** Faults that hit something. */
	readonly faults: number;
	/** Commands that clients tried to get done. */
	readonly attempts: number;
	readonly acknowledged: number;
	readonly lost: number;
	readonly phantom: number;
	readonly double: number;
	readonly outOfOrder: number;
	/** Deliveries of events that had been handled before. */
	readonly absorbed: number;
	/** From the end of the healing until nothing was left to do; null where that did not come about. */
	readonly quiescedMs: number | null;
	/** Whether the run has proven anything. */
	readonly valid: boolean;
	/** Whether it was valid and found nothing. */
	readonly ok: boolean;
	readonly verdict: Verdict;
	readonly requests: number;
	readonly byKind: ReadonlyMap<FaultKind, number>;
	/** Replicas that ended although nobody made them. */
	readonly ended: number;
	/** What was not quiet in the end. */
	readonly pending: readonly string[];
}

const ACCOUNTS = 40;
const CLIENTS = 8;
/** The small profile shares its machine with other tests. */
const THINK_MS = { small: [40, 160], full: [5, 30] } as const;

export async function run(options: RunOptions): Promise<Result> {
	const { profile, seconds, seed, kinds, say, mutant, logs, onMade } = options;
	const random = new Random(seed + 1);
	const accounts = Array.from({ length: ACCOUNTS }, () => random.uuid());
	const began = performance.now();
	const time = () => `${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s`;
	const tell = (line: string) => say(`${time()}  ${line}`);
	let ended = 0;
	const ground = await Ground.start(
		{
			profile,
			accounts,
			mutant,
			logs,
			onEnd: (name, why) => {
				ended++;
				tell(`${name} has ended by itself (${why})`);
			}
		},
		onMade
	);
	try {
		tell(`${ground.replicas.length} replicas are ready; the load begins`);
		const ledger = new Ledger();
		const load = { ledger, accounts, urls: ground.urls, thinkMs: THINK_MS[profile] };
		const clients = Array.from(
			{ length: CLIENTS },
			(_, index) => new Client(load, new Random(seed + 2 + index))
		);
		const byKind = await injectAll(
			ground,
			scheduleOf(seed, profile, seconds, kinds),
			seconds,
			tell
		);
		await Promise.all(clients.map(client => client.stop()));
		tell("the load ends; everything is healed");
		await ground.heal();
		const { databases, natsUrl } = ground;
		const { ms: quiescedMs, pending } = await untilQuiet(
			databases,
			natsUrl,
			options.quietWithinMs,
			{ tell }
		);
		tell(quiescedMs === null ? `not quiet: ${pending.join("; ")}` : "quiet");
		const verdict = check(ledger, await readTook(databases));
		const { absorbed } = ground;
		return {
			...judge({ byKind, absorbed, quiescedMs, verdict, acknowledged: ledger.acknowledged }),
			seed,
			attempts: ledger.told.size,
			requests: ledger.requests,
			ended,
			pending
		};
	} finally {
		await ground.stop();
	}
}

/** Injects each fault at its time; answers how many of each kind hit something. */
async function injectAll(
	ground: Ground,
	faults: readonly Fault[],
	seconds: number,
	tell: (line: string) => void
): Promise<Map<FaultKind, number>> {
	const began = performance.now();
	const until = (ms: number) => sleep(Math.max(0, ms - (performance.now() - began)));
	const byKind = new Map<FaultKind, number>();
	const injected = faults.map(async fault => {
		await until(fault.atMs);
		const { kind, target, durationMs } = fault;
		const lasting = durationMs > 0 ? ` for ${(durationMs / 1_000).toFixed(1)} s` : "";
		tell(`${kind.padEnd(13)} ${target}${lasting}`);
		const outcome = await inject(ground, fault).catch((error: unknown) => {
			tell(`${kind.padEnd(13)} ${target} could not be done: ${String(error)}`);
		});
		if (outcome) byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
		tell(`${"".padEnd(13)} ${target}: ${outcome ?? "it hit nothing"}`);
	});
	await Promise.all([...injected, until(seconds * 1_000)]);
	return byKind;
}

/** How often a guarantee was broken. */
export const violations = ({ lost, phantom, double, outOfOrder }: Result): number =>
	lost + phantom + double + outOfOrder;

type Judged = Omit<Result, "seed" | "attempts" | "requests" | "ended" | "pending">;

/**
 * A run that did not do to the system what it was to do, or after which no duplicate had to be
 * absorbed, has proven nothing, however clean it looks.
 */
export function judge({
	byKind,
	absorbed,
	quiescedMs,
	verdict,
	acknowledged
}: Pick<Result, "byKind" | "absorbed" | "quiescedMs" | "verdict" | "acknowledged">): Judged {
	const { lost, phantom, double, outOfOrder } = verdict;
	const faults = [...byKind.values()].reduce((sum, count) => sum + count, 0);
	// A kind that was tried and met nothing, as a cut link that nobody used, is shown and spoils nothing.
	const valid = faults > 0 && absorbed > 0 && acknowledged > 0;
	return {
		faults,
		acknowledged,
		lost,
		phantom,
		double,
		outOfOrder,
		absorbed,
		quiescedMs,
		valid,
		ok: valid && quiescedMs !== null && isClean(verdict),
		verdict,
		byKind
	};
}

/** The line of `--json`. */
export const lineOf = (result: Result): string => {
	const { seed, faults, attempts, acknowledged, lost, phantom, double, outOfOrder } = result;
	const { absorbed, quiescedMs, valid } = result;
	return JSON.stringify({
		seed,
		faults,
		attempts,
		acknowledged,
		lost,
		phantom,
		double,
		outOfOrder,
		absorbed,
		quiescedMs,
		valid
	});
};

/** The result for people. */
export function tellResult(result: Result, kinds: readonly FaultKind[]): string {
	const { verdict, byKind, quiescedMs, pending } = result;
	const row = (name: string, value: string | number, meaning: string) =>
		`  ${name.padEnd(15)}${String(value).padStart(8)}  ${meaning}`;
	return [
		...kinds.map(kind => row(kind, byKind.get(kind) ?? 0, FAULTS[kind])),
		"",
		row("attempts", result.attempts, `commands, in ${result.requests} requests`),
		row("acknowledged", result.acknowledged, "commands that were answered as done"),
		row("lost", result.lost, "done or said to be done, without effect somewhere"),
		row("phantom", result.phantom, "effects that nobody asked for"),
		row("double", result.double, "effects beyond the first"),
		row("out of order", result.outOfOrder, "effects that do not follow the version before"),
		row("dead letters", verdict.deadLetters, "events that were given up"),
		row("unpublished", verdict.unpublished, "events still in the outbox"),
		row("absorbed", result.absorbed, "deliveries of what had been handled before"),
		row("ended", result.ended, "replicas that ended although nobody made them"),
		row("quiet after", quiescedMs === null ? "never" : `${quiescedMs} ms`, pending.join("; ")),
		...verdict.details.map(detail => `  ! ${detail}`),
		"",
		`  seed ${result.seed}: ${conclusion(result)}`
	].join("\n");
}

function conclusion({ ok, valid, absorbed }: Result): string {
	if (ok) return "valid and clean";
	if (!valid)
		return `INVALID, it has proven nothing: ${absorbed > 0 ? "no fault hit anything" : "no duplicate had to be absorbed"}`;
	return "VIOLATED";
}

/** A run for each crash point: the process dies there for real, another goes on, and the books are checked. */
import { CRASH_POINTS, type CrashPoint } from "../../lib/crash-point.ts";
import { MAX_ATTEMPTS } from "../../lib/events/inbox.ts";
import type { Told } from "../chaos/clients.ts";
import { READER } from "../chaos/contract.ts";
import type { Command } from "../chaos/services.ts";
import type { Ground, Scene, SceneOptions } from "./ground.ts";
import { conclude, type Row } from "./outcome.ts";
import type { Death, Replica } from "./replica.ts";
import { HANDLER, type Part } from "./services.ts";
import { tracesOf, type Traces } from "./traces.ts";
import { until } from "./until.ts";

export interface Case {
	/** Unique; the crash point where it is about one. */
	readonly name: string;
	/** What happens, for people. */
	readonly step: string;
	readonly run: (ground: Ground, options?: CaseOptions) => Promise<Row>;
}

export interface CaseOptions extends Pick<SceneOptions, "mutant"> {
	/** Without the fifty commands. */
	readonly brief?: boolean;
}

/** A broken variant may never come to the end of its work. */
const BROKEN_QUIET_WITHIN_MS = 6_000;
export const quietWithinMs = (mutant: string | undefined): number | undefined =>
	mutant ? BROKEN_QUIET_WITHIN_MS : undefined;

/** At which pass a process dies under load: in the midst of it, and soon enough to be sure of it. */
const UNDER_LOAD = "#3";

const STEPS: Record<CrashPoint, string> = {
	"writer.before-commit": "writer, before COMMIT",
	"writer.after-commit": "writer, after COMMIT, before it answers",
	"relay.after-select": "relay, after it has selected",
	"relay.before-publish": "relay, before it publishes",
	"relay.after-puback": "relay, after PubAck, before its UPDATE",
	"relay.after-mark": "relay, after its UPDATE",
	"consumer.before-transaction": "consumer, before BEGIN",
	"consumer.after-enter": "consumer, after its inbox entry",
	"consumer.before-commit": "consumer, before COMMIT",
	"consumer.after-commit": "consumer, after COMMIT, before ack",
	"consumer.after-ack": "consumer, after ack, before the ack is on the wire",
	"consumer.before-dead-letter-commit": "consumer, before COMMIT of a dead letter",
	"consumer.after-dead-letter-commit": "consumer, after COMMIT of a dead letter, before ack",
	"replay.before-commit": "replay of a dead letter, before COMMIT",
	"replay.after-commit": "replay of a dead letter, after COMMIT",
	"job.after-claim": "job, after it was claimed",
	"job.after-perform": "job, after its effect outside, before its outcome is recorded",
	"job.after-complete": "job, after its outcome is recorded",
	"timer.after-claim": "timer, after it was claimed",
	"timer.before-commit": "timer, before COMMIT"
};

/** Throws unless it was killed, there. */
export function requireDeath({ signal, code, place }: Death, where: string): void {
	if (signal === "SIGKILL" && place === where) return;
	throw new Error(
		`The process should have been killed at ${where}; it ended by ${signal ?? `exit code ${code}`} at ${place ?? "no crash point"}.`
	);
}

async function runPoint(
	ground: Ground,
	point: CrashPoint,
	{ mutant, brief = false }: CaseOptions
): Promise<Row> {
	return ground.scene({ mutant }, async scene => {
		const [area] = point.split(".") as [string];
		if (area === "replay") return replay(scene, point);
		if (point.includes("dead-letter")) return deadLetter(scene, point);
		const part: Part = area === "consumer" ? "reader" : "writer";
		return probeAndLoad(scene, point, part, { mutant, brief });
	});
}

/** A command alone, so that it is known what its death leaves behind; then fifty, in the midst of which it dies again. */
async function probeAndLoad(
	scene: Scene,
	point: CrashPoint,
	part: Part,
	{ mutant, brief }: CaseOptions
): Promise<Row> {
	const [area] = point.split(".");
	const asks: Partial<Command> = area === "job" || area === "timer" ? { asks: area } : {};
	const [victim] = await Promise.all([
		scene.start(part, { crashAt: point }),
		scene.start(part === "writer" ? "reader" : "writer")
	]);
	const probe = scene.command(asks);
	const sent = scene.send(probe);
	requireDeath(await victim.died(), point);
	await sent;
	const look = () => tracesOf(scene, probe.command.key, probe.command.account);
	if (part === "reader")
		await until(async () => (await look()).outbox === "published", "published");
	const left = await look();
	const answered = probe.outcome !== "unknown";
	const next = await scene.start(part, brief ? {} : { crashAt: point + UNDER_LOAD });
	await endLeases(scene);
	await scene.sendUntilAnswered(probe);
	await scene.quiet(quietWithinMs(mutant));
	if (asks.asks) await until(async () => (await look()).outcomes > 0, `the ${area} is done`);
	const since = await look();
	const { absorbed } = next;
	if (!brief) await dieUnderLoad(scene, next, part, point, asks);
	return conclude(scene, point, STEPS[point], {
		left: leftBehind(point, left),
		...whatHappened(point, { left, since, answered, absorbed }),
		work: asks.asks ? await workBooks(scene) : undefined
	});
}

/** Another replica is there already and goes on. */
async function dieUnderLoad(
	scene: Scene,
	victim: Replica,
	part: Part,
	point: CrashPoint,
	asks: Partial<Command>
): Promise<void> {
	const [death] = await Promise.all([victim.died(), scene.start(part), scene.load(asks)]);
	requireDeath(death, point);
	const isDone = async () => {
		await endLeases(scene);
		const { wrong } = await workBooks(scene);
		return wrong === 0;
	};
	if (asks.asks) await until(isDone, "all jobs and timers are done");
	await scene.quiet();
}

/** What a dead process has leased waits for half a minute; nobody else may have it before, and nothing is shown by waiting. */
async function endLeases({ databases: { orders } }: Scene): Promise<void> {
	for (const table of ["job", "timer"])
		await orders.query(
			`UPDATE ${table} SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL AND done_at IS NULL`
		);
}

/** Jobs and timers of commands that were done, and those whose effect is not there just once. */
async function workBooks({ ledger, databases }: Scene): Promise<{ all: number; wrong: number }> {
	const asked = [...ledger.told.values()].filter(
		({ command, outcome }) => command.asks && typeof outcome === "object"
	);
	const outcomes = await databases.orders.query<{ key: string; n: number }>(
		"SELECT key, count(*)::int AS n FROM crash_outcome GROUP BY key"
	);
	const times = new Map(outcomes.map(({ key, n }) => [key, n]));
	const outside = await databases.catalog.query<{ key: string }>("SELECT key FROM crash_outside");
	const effects = new Set(outside.map(({ key }) => key));
	const wrong = asked.filter(
		({ command: { key, asks } }) => times.get(key) !== 1 || (asks === "job" && !effects.has(key))
	);
	return { all: asked.length, wrong: wrong.length };
}

function leftBehind(point: CrashPoint, traces: Traces): string {
	const { command, outbox, copies, inbox, effects, acknowledged, job, timer } = traces;
	if (!command) return "nothing";
	const event = `the event is ${outbox}, ${copies > 0 ? "in the stream" : "not in the stream"}`;
	switch (point.split(".")[0]) {
		case "writer":
			return `the command and its event; ${event}`;
		case "relay":
			return event;
		case "job":
			return `the job is ${job}; effects outside: ${traces.outside}, outcomes: ${traces.outcomes}`;
		case "timer":
			return `the timer is ${timer}; outcomes: ${traces.outcomes}`;
		default:
			return `the event is ${outbox}; inbox entry: ${yes(inbox)}, effects: ${effects}, acknowledged: ${yes(acknowledged)}`;
	}
}

const yes = (is: boolean): string => (is ? "yes" : "no");

interface Seen {
	readonly left: Traces;
	readonly since: Traces;
	/** The client was answered although the process died. */
	readonly answered: boolean;
	readonly absorbed: number;
}

/** In words, only from what was seen. */
function whatHappened(point: CrashPoint, seen: Seen): { next: string; absorbed: string } {
	const { left, since, answered } = seen;
	const words: string[] = [];
	// Elsewhere the client has its answer, or was too slow to hear it.
	if (!answered && point.startsWith("writer."))
		words.push(
			left.command
				? "the client asks again and is given the stored answer"
				: "the client asks again, and it is done"
		);
	switch (point.split(".")[0]) {
		case "job":
			words.push(
				left.job === "done"
					? "nothing is left to do"
					: `another attempt after the lease: requests outside: ${since.asked}, effects: ${since.outside}, outcomes: ${since.outcomes}`
			);
			return {
				next: words.join("; "),
				absorbed: since.asked > since.outside ? "outside, by the job's key" : "–"
			};
		case "timer":
			words.push(`it fires after the lease; outcomes: ${since.outcomes}`);
			return { next: words.join("; "), absorbed: "–" };
		case "consumer":
			words.push(
				left.effects === 0
					? `it is delivered again and handled; effects: ${since.effects}`
					: `it is delivered again; effects: ${since.effects}`
			);
			return { next: words.join("; "), absorbed: seen.absorbed > 0 ? "by the inbox" : "–" };
	}
	const again = left.outbox === "unpublished" && left.copies > 0;
	if (left.outbox === "published") words.push("nothing is left to do");
	else if (again)
		words.push(`the next relay publishes it again; copies in the stream: ${since.copies}`);
	else words.push(`the next relay publishes it; copies in the stream: ${since.copies}`);
	return { next: words.join("; "), absorbed: again && since.copies === 1 ? "by the stream" : "–" };
}

/** As if the handler had failed so often before: the half minute of its retries shows nothing. */
async function pretendFailures(scene: Scene, { command: { key } }: Told): Promise<void> {
	const event = await scene.databases.orders.one<{ id: string }>(
		"SELECT event_id AS id FROM outbox WHERE payload->>'key' = $1",
		[key]
	);
	await scene.databases.catalog.query(
		"INSERT INTO inbox_attempt (consumer, event_id, attempts) VALUES ($1, $2, $3)",
		[READER.name, event!.id, MAX_ATTEMPTS]
	);
}

/** A poisoned command and one behind it on the same account, both in the stream before there is a reader. */
async function poison(scene: Scene, trap: "throws" | "kills"): Promise<Told> {
	await scene.start("writer");
	const probe = scene.command({ trap });
	await scene.sendUntilAnswered(probe);
	await scene.sendUntilAnswered(scene.command());
	if (trap === "throws") await pretendFailures(scene, probe);
	return probe;
}

const look = (scene: Scene, { command: { key, account } }: Told) => tracesOf(scene, key, account);

const untilParked = (scene: Scene, probe: Told) =>
	until(
		async () => String((await look(scene, probe)).letters) === "dead,parked",
		"the event is a dead letter and what follows it is parked"
	);

/** Asks for the replay of all that is open, and waits until it is settled. */
async function replayAll(scene: Scene, reader: Replica): Promise<void> {
	const letters = await scene.databases.catalog.query<{ id: string }>(
		"SELECT id FROM dead_letter WHERE state IN ('dead', 'parked') ORDER BY aggregate_version"
	);
	for (const { id } of letters) {
		reader.tell({ replay: id, consumer: READER.name });
		await until(async () => {
			const letter = await scene.databases.catalog.one<{ state: string }>(
				"SELECT state FROM dead_letter WHERE id = $1",
				[id]
			);
			return letter!.state === "resolved";
		}, "the dead letter is resolved");
	}
}

const letterStates = ({ letters }: Traces): string =>
	letters.length > 0 ? `dead letters: ${letters.join(" and ")}` : "no dead letter";

/** After the poison is mended everything is replayed, so that nothing may be missing in the end. */
async function deadLetter(scene: Scene, point: CrashPoint): Promise<Row> {
	const probe = await poison(scene, "throws");
	const victim = await scene.start("reader", { crashAt: point }).catch(() => undefined);
	if (!victim) throw new Error("The reader died before it was ready.");
	requireDeath(await victim.died(), point);
	const left = await look(scene, probe);
	const reader = await scene.start("reader");
	await untilParked(scene, probe);
	const since = await look(scene, probe);
	const absorbed = left.letters.length > 0 ? "by the dead letters" : "–";
	reader.tell({ mend: true });
	await replayAll(scene, reader);
	await scene.load();
	await scene.quiet();
	return conclude(scene, point, STEPS[point], {
		left: `${letterStates(left)}; effects: ${left.effects}`,
		next: `it is delivered again; ${letterStates(since)}; replayed once the handler is mended`,
		absorbed
	});
}

async function replay(scene: Scene, point: CrashPoint): Promise<Row> {
	const probe = await poison(scene, "throws");
	const victim = await scene.start("reader", { crashAt: point });
	await untilParked(scene, probe);
	victim.tell({ mend: true });
	const [letter] = await scene.databases.catalog.query<{ id: string }>(
		"SELECT id FROM dead_letter WHERE state = 'dead'"
	);
	victim.tell({ replay: letter!.id, consumer: READER.name });
	requireDeath(await victim.died(), point);
	const left = await look(scene, probe);
	const reader = await scene.start("reader", { mended: true });
	// Whoever asked was not answered, and asks again.
	reader.tell({ replay: letter!.id, consumer: READER.name });
	await replayAll(scene, reader);
	const since = await look(scene, probe);
	await scene.load();
	await scene.quiet();
	return conclude(scene, point, STEPS[point], {
		left: `${letterStates(left)}; effects: ${left.effects}`,
		next: `the operator asks again; ${letterStates(since)}; effects: ${since.effects}`,
		absorbed: left.effects > 0 && since.effects === 1 ? "by the dead letter's state" : "–"
	});
}

/** A handler that takes its process with it each time: no crash point of ours, and just as deadly. */
const killingHandler: Case = {
	name: "handler-kills",
	step: "consumer, in a handler that kills its process each time",
	run: (ground, { mutant } = {}) =>
		ground.scene({ mutant, ackWaitMs: 500 }, async scene => {
			const probe = await poison(scene, "kills");
			let deaths = 0;
			const untilBuried = async (): Promise<Replica> => {
				for (;;) {
					const reader = await scene.start("reader").catch(() => undefined);
					const outcome = reader && (await Promise.race([reader.died(), buried(scene, probe)]));
					if (!outcome) return reader!;
					requireDeath(outcome, HANDLER);
					deaths++;
				}
			};
			const reader = await untilBuried();
			await untilParked(scene, probe);
			const since = await look(scene, probe);
			const letter = await scene.databases.catalog.one<{ reason: string }>(
				"SELECT reason FROM dead_letter WHERE state = 'dead'"
			);
			reader.tell({ mend: true });
			await replayAll(scene, reader);
			await scene.load();
			await scene.quiet();
			return conclude(scene, "handler-kills", killingHandler.step, {
				left: `inbox entry: no, effects: ${since.effects}`,
				next: `it dies ${deaths} times; delivery ${deaths + 1} is buried unopened (${letter!.reason}); ${letterStates(since)}; replayed once the handler is mended`,
				absorbed: "–"
			});
		})
};

async function buried(scene: Scene, probe: Told): Promise<undefined> {
	await until(async () => (await look(scene, probe)).letters.includes("dead"), "buried");
}

export const POINT_CASES: readonly Case[] = [
	...CRASH_POINTS.map(point => ({
		name: point,
		step: STEPS[point],
		run: (ground: Ground, options: CaseOptions = {}) => runPoint(ground, point, options)
	})),
	killingHandler
];

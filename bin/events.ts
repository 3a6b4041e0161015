/** `npm run events -- topics|dead-letters|outbox|tail|trace|rebuild`: what becomes of events, and what to do about it. */
import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Actions } from "../contracts/index.ts";
import { LetterState, type RecordedEvent, type ReplayItem } from "../contracts/events.ts";
import type { FieldError } from "../lib/validator.ts";
import { StartupError } from "../lib/startup-error.ts";
import { die } from "./console.ts";
import { storyView } from "./events/story.ts";
import {
	eventLine,
	eventsView,
	letterView,
	lettersView,
	outboxView,
	replayView,
	topicsView
} from "./events/views.ts";
import { reachSystem, type Operator } from "./operator.ts";

interface Output {
	readonly json?: boolean;
}
interface FilterOptions {
	readonly consumer?: string;
	readonly topic?: string;
	readonly type?: string;
	readonly aggregate?: string;
}
interface ByOptions extends Output {
	readonly by: string;
}

/** Reaches the system for this piece of work; what an action refuses is said in one line. */
async function withSystem(work: (system: Operator) => Promise<void>): Promise<void> {
	await using system = await reachSystem();
	await work(system);
}

const show = <T>(result: T, { json }: Output, view: (result: T) => string): void =>
	console.log(json ? JSON.stringify(result, null, "\t") : view(result));

/** For the audit. */
function ownName(): string {
	try {
		return userInfo().username;
	} catch {
		// A user whom the system has no name for, as in a container.
		return "operator";
	}
}

function parseCount(text: string): number {
	if (!/^[1-9]\d{0,2}$|^1000$/.test(text))
		throw new InvalidArgumentError("It is a whole number from 1 to 1000.");
	return Number(text);
}

const filterOf = ({ consumer, topic, type, aggregate }: FilterOptions) => ({
	...(consumer ? { consumer } : {}),
	...(topic ? { topic } : {}),
	...(type ? { type } : {}),
	...(aggregate ? { aggregateId: aggregate } : {})
});

const program = new Command("npm run events --").description(
	"The events of the system that runs here"
);

const command = (parent: Command, usage: string, description: string): Command =>
	parent.command(usage).description(description).option("--json", "JSON, for programs");

const filtered = (of: Command): Command =>
	of
		.option("--consumer <name>", "only those of this consumer")
		.option("--topic <topic>", "only those of this topic, as in order.events")
		.option("--type <type>", "only those of this type, as in order.paid.v1")
		.option("--aggregate <id>", "only those of this aggregate");

const signed = (of: Command): Command =>
	of.option("--by <name>", "who does it, for the audit", ownName());

command(program, "topics", "topics, their consumers, and what waits").action((options: Output) =>
	withSystem(async system => {
		show(await system.call("events.topics", {}), options, ({ items }) => topicsView(items));
	})
);

const deadLetters = program.command("dead-letters").description("events that could not be handled");

filtered(
	command(deadLetters, "list", "the oldest first; those that are open, if not told otherwise")
)
	.addOption(new Option("--state <state>", "only those in this state").choices(LetterState.enum))
	.option("--all", "those that are settled as well")
	.option("-n, --limit <n>", "how many at most", parseCount, 100)
	.action(
		(options: FilterOptions & Output & { state?: LetterState; all?: boolean; limit: number }) =>
			withSystem(async system => {
				show(await listLetters(system, options), options, ({ items }) =>
					items.length > 0 ? lettersView(items) : "There are none."
				);
			})
	);

command(deadLetters, "show <id>", "one of them, with its event and what the handler threw").action(
	(id: string, options: Output) =>
		withSystem(async system => {
			show(await system.call("events.deadLetter", { id }), options, letterView);
		})
);

filtered(
	command(
		deadLetters,
		"replay [ids...]",
		"hand them to their handlers again; exit code 1 where one fails"
	)
)
	.option("--all", "all that are open")
	.option("--snapshot <id>", "just those that a dry run has shown")
	.option("--dry-run", "only say what would happen")
	.action((ids: string[], options: ReplayOptions) =>
		withSystem(system => replay(system, ids, options))
	);

signed(
	command(
		deadLetters,
		"discard <id>",
		"give one up, so that what comes after it can go on"
	).requiredOption("--reason <text>", "why, for the audit")
).action((id: string, { reason, ...options }: ByOptions & { reason: string }) =>
	withSystem(async system => {
		const letter = await system.call("events.discard", { id, reason, by: options.by });
		show(letter, options, discarded =>
			discarded.state === "discarded"
				? `${discarded.id} is discarded. What waits behind it goes on with \`dead-letters replay\`.`
				: `${discarded.id} was ${discarded.state} before.`
		);
	})
);

const outbox = command(program, "outbox", "what waits to be published")
	// Else the options of `outbox retry` would be taken for its own.
	.enablePositionalOptions()
	.action((options: Output) =>
		withSystem(async system => {
			show(await system.call("events.outbox", {}), options, ({ items }) => outboxView(items));
		})
	);

signed(command(outbox, "retry <event>", "try an event that was set aside once more")).action(
	(eventId: string, options: ByOptions) =>
		withSystem(async system => {
			const { by } = options;
			show(
				await system.call("events.retryOutbox", { eventId, by }),
				options,
				({ id }) => `${id} is tried again. \`outbox\` tells whether it worked.`
			);
		})
);

program
	.command("tail")
	.description("the newest events")
	.option("--topic <topic>", "only those of this topic, as in order.events")
	.option("-n, --limit <n>", "how many", parseCount, 20)
	.option("-f, --follow", "go on with those that are recorded from now on")
	.option("--json", "JSON, one event a line")
	.action((options: TailOptions) => withSystem(system => tail(system, options)));

command(program, "trace <id>", "what led to what, by an event's id or a correlation id").action(
	(id: string, options: Output) =>
		withSystem(async system => {
			show(await system.call("events.trace", { id }), options, storyView);
		})
);

signed(
	command(program, "rebuild <projection>", "make a projection anew from the events it is made of")
).action((projection: string, options: ByOptions) =>
	withSystem(async system => {
		const { by } = options;
		show(
			await system.call("events.rebuild", { projection, by }),
			options,
			({ consumer, events, milliseconds }) =>
				`${consumer} is made anew of ${events} events, in ${milliseconds} ms.`
		);
	})
);

type LetterPage = Actions["events.deadLetters"]["result"];

/** As many as are wanted, of as many pages as it takes. */
async function listLetters(
	system: Operator,
	{
		state,
		all,
		limit,
		...options
	}: FilterOptions & { state?: LetterState; all?: boolean; limit: number }
): Promise<Pick<LetterPage, "items">> {
	const items: LetterPage["items"] = [];
	const isWanted = (letter: LetterPage["items"][number]) =>
		all || state || letter.state === "dead" || letter.state === "parked";
	let cursor: string | null = null;
	do {
		const page: LetterPage = await system.call("events.deadLetters", {
			...filterOf(options),
			...(state ? { state } : {}),
			...(cursor ? { cursor } : {}),
			limit: 100
		});
		items.push(...page.items.filter(isWanted));
		cursor = page.nextCursor;
	} while (cursor && items.length < limit);
	return { items: items.slice(0, limit) };
}

interface ReplayOptions extends FilterOptions, Output {
	readonly all?: boolean;
	readonly snapshot?: string;
	readonly dryRun?: boolean;
}

/** Shows what would happen, and does just this unless it is a dry run. */
async function replay(system: Operator, ids: string[], options: ReplayOptions): Promise<void> {
	const call = (params: Partial<Actions["events.replay"]["params"]>) =>
		system.call("events.replay", { ...params, idempotencyKey: randomUUID() });
	const plan = await call({ ...selectionOf(ids, options), dryRun: true });
	if (options.dryRun) {
		show(plan, options, ({ items, snapshotId }) =>
			items.length === 0
				? "There is nothing to replay."
				: `${replayView(items)}\n\nNothing was done. To do just this: npm run events -- dead-letters replay --snapshot ${snapshotId}`
		);
		return;
	}
	if (!options.json && plan.items.length > 0) console.log(`${replayView(plan.items)}\n`);
	const done = await call({ snapshotId: plan.snapshotId, dryRun: false });
	show(done, options, ({ items }) =>
		items.length === 0 ? "There is nothing to replay." : replayView(items)
	);
	if (done.items.some(isUnsettled)) process.exitCode = 1;
}

const isUnsettled = ({ outcome }: ReplayItem): boolean =>
	outcome === "failed" || outcome === "waiting";

/** The one way in which it is said which. */
function selectionOf(
	ids: string[],
	{ snapshot, all, ...options }: ReplayOptions
): Partial<Actions["events.replay"]["params"]> {
	const filter = filterOf(options);
	const isFiltered = Object.keys(filter).length > 0;
	const ways = [ids.length > 0, isFiltered, snapshot !== undefined, all === true];
	if (ways.filter(Boolean).length !== 1)
		throw new StartupError(
			"Say which, in one way: by their ids, by --consumer, --topic, --type and --aggregate, by --snapshot, or --all."
		);
	if (snapshot !== undefined) return { snapshotId: snapshot };
	return ids.length > 0 ? { ids } : { filter };
}

interface TailOptions extends Output {
	readonly topic?: string;
	readonly limit: number;
	readonly follow?: boolean;
}

const FOLLOW_EVERY_MS = 1_000;
/** A transaction that takes long commits events whose time is past. */
const OVERLAP_MS = 15_000;

async function tail(system: Operator, { topic, limit, follow, json }: TailOptions): Promise<void> {
	const ofTopic = topic ? { topic } : {};
	const first = await system.call("events.tail", { ...ofTopic, limit });
	const print = (event: RecordedEvent) =>
		console.log(json ? JSON.stringify(event) : eventLine(event));
	if (!json && !follow) console.log(eventsView(first.items));
	else for (const event of first.items) print(event);
	if (!follow) return;
	let seen = new Set(first.items.map(({ id }) => id));
	let newest = Date.parse(first.items.at(-1)?.recordedAt ?? new Date().toISOString());
	for (;;) {
		await sleep(FOLLOW_EVERY_MS);
		const since = new Date(newest - OVERLAP_MS).toISOString();
		const { items } = await system.call("events.tail", { ...ofTopic, since, limit: 1_000 });
		for (const event of items) if (!seen.has(event.id)) print(event);
		seen = new Set(items.map(({ id }) => id));
		newest = Math.max(newest, ...items.map(({ recordedAt }) => Date.parse(recordedAt)));
	}
}

await program.parseAsync().catch((error: unknown) => die(explain(error)));

/** What an action has refused, in one line. */
function explain(error: unknown): unknown {
	const { code, message, type, data } = error as {
		message: string;
		code?: unknown;
		type?: unknown;
		data?: unknown;
	};
	if (type === "VALIDATION_ERROR" && Array.isArray(data))
		return new StartupError(
			(data as FieldError[]).map(problem => `${problem.field} ${problem.message}.`).join(" ")
		);
	return typeof code === "number" && typeof type === "string" ? new StartupError(message) : error;
}

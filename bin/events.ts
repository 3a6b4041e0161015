/** `npm run events -- topics|dead-letters|outbox|tail|trace|rebuild`: what becomes of events, and what to do about it. */
import { Command, InvalidArgumentError, Option } from "commander";
import { LetterState } from "../contracts/events.ts";
import { die, show } from "./console.ts";
import {
	listLetters,
	replay,
	type ListOptions,
	type ReplayOptions
} from "./events/dead-letters.ts";
import { storyView } from "./events/story.ts";
import { tail, type TailOptions } from "./events/tail.ts";
import { letterView, lettersView, outboxView, topicsView } from "./events/views.ts";
import { explainRefusal, ownName, withSystem } from "./operator.ts";

interface Output {
	readonly json?: boolean;
}
interface ByOptions extends Output {
	readonly by: string;
}

function parseCount(text: string): number {
	if (!/^[1-9]\d{0,2}$|^1000$/.test(text))
		throw new InvalidArgumentError("It is a whole number from 1 to 1000.");
	return Number(text);
}

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
	.action((options: ListOptions & Output) =>
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

await program.parseAsync().catch((error: unknown) => die(explainRefusal(error)));

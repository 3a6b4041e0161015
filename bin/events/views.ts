/** What the commands about events show to people. */
import type { Actions } from "../../contracts/index.ts";
import type {
	DeadLetter,
	OutboxView,
	RecordedEvent,
	ReplayItem,
	TopicView
} from "../../contracts/events.ts";
import { paint, table } from "../console.ts";

/** 0.25 → `250 ms`, 90 → `1.5 min` */
export function duration(seconds: number): string {
	if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
	if (seconds < 90) return `${round(seconds)} s`;
	if (seconds < 90 * 60) return `${round(seconds / 60)} min`;
	return seconds < 48 * 3_600 ? `${round(seconds / 3_600)} h` : `${round(seconds / 86_400)} d`;
}
const round = (value: number): number => Math.round(value * 10) / 10;

/** `order/0199… v3` */
const aggregateOf = ({ aggregate: { type, id, version } }: Pick<DeadLetter, "aggregate">): string =>
	`${type}/${id} v${version}`;

/** Zero is good news. */
const trouble = (count: number): string | number => (count === 0 ? 0 : paint("red", String(count)));

/** Text of the system without what would change the terminal. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, " ");
const oneLine = (text: string): string => printable(text).replace(/\s+/g, " ").trim();

export function topicsView(topics: readonly TopicView[]): string {
	const heads = ["TOPIC", "MESSAGES", "NEWEST", "UNPUBLISHED", "OLDEST", "SET ASIDE"];
	const rows = topics.map(topic => [
		topic.topic,
		topic.messages,
		topic.newestAt,
		topic.unpublished,
		topic.unpublished > 0 ? duration(topic.oldestUnpublishedSeconds) : null,
		trouble(topic.setAside)
	]);
	const consumerHeads = ["TOPIC", "CONSUMER", "GROUP", "PENDING", "UNACKED", "OLDEST"];
	const consumers = topics.flatMap(({ topic, consumers: list }) =>
		list.map(consumer => [
			topic,
			consumer.name,
			consumer.group,
			consumer.pending,
			consumer.unacknowledged,
			consumer.oldestPendingSeconds === null ? null : duration(consumer.oldestPendingSeconds),
			trouble(consumer.dead),
			trouble(consumer.parked),
			trouble(consumer.blockedAggregates)
		])
	);
	return `${table(heads, rows)}\n\n${table([...consumerHeads, "DEAD", "PARKED", "BLOCKED"], consumers)}`;
}

export const lettersView = (letters: readonly DeadLetter[]): string =>
	table(
		["ID", "STATE", "CONSUMER", "TYPE", "AGGREGATE", "SINCE", "REPLAYS", "WHY"],
		letters.map(letter => [
			letter.id,
			stateOf(letter),
			letter.consumer,
			letter.type,
			aggregateOf(letter),
			letter.createdAt,
			letter.replays,
			oneLine(letter.error ?? letter.reason).slice(0, 80)
		])
	);

const stateOf = ({ state }: Pick<DeadLetter, "state">): string =>
	state === "dead" ? paint("red", state) : state === "parked" ? paint("yellow", state) : state;

export function letterView({
	letter,
	event,
	stack
}: Actions["events.deadLetter"]["result"]): string {
	const facts: [string, string | null][] = [
		["state", stateOf(letter)],
		["consumer", `${letter.consumer} (${letter.group})`],
		["event", `${letter.type} ${letter.eventId}`],
		["aggregate", aggregateOf(letter)],
		["correlation", letter.correlationId],
		["since", letter.createdAt],
		["reason", `${letter.reason}, after ${letter.deliveries} deliveries`],
		["replays", String(letter.replays)],
		["settled", letter.settledAt],
		["by", letter.settledBy],
		["note", letter.note]
	];
	const known = facts.filter(([, value]) => value !== null);
	return [
		paint("bold", letter.id),
		...known.map(([name, value]) => `  ${name.padEnd(11)}  ${oneLine(value!)}`),
		...(letter.error === null ? [] : ["", ...(stack ?? letter.error).split("\n").map(printable)]),
		"",
		JSON.stringify(event, null, 2)
	].join("\n");
}

/** What a replay would do or has done. */
export const replayView = (items: readonly ReplayItem[]): string =>
	table(
		["ID", "CONSUMER", "TYPE", "AGGREGATE", "HANDLER", "EFFECTS THERE ARE", "OUTCOME"],
		items.map(item => [
			item.id,
			item.consumer,
			item.type,
			aggregateOf(item),
			item.handler,
			item.effects.join(", ") || null,
			outcomeOf(item)
		])
	);

function outcomeOf({ outcome, error }: ReplayItem): string {
	const why = error === null ? "" : `: ${oneLine(error).slice(0, 120)}`;
	if (outcome === "failed") return paint("red", outcome) + why;
	return (outcome === "resolved" ? paint("green", outcome) : outcome) + why;
}

export function outboxView(outboxes: readonly OutboxView[]): string {
	const groups = table(
		["GROUP", "LEADER", "UNPUBLISHED", "OLDEST", "SET ASIDE"],
		outboxes.map(outbox => [
			outbox.group,
			outbox.leader,
			outbox.unpublished,
			outbox.unpublished > 0 ? duration(outbox.oldestUnpublishedSeconds) : null,
			trouble(outbox.setAside)
		])
	);
	const waiting = outboxes.flatMap(outbox => outbox.waiting);
	if (waiting.length === 0) return groups;
	const events = table(
		["EVENT", "GROUP", "TYPE", "AGGREGATE", "RECORDED", "SET ASIDE", "ATTEMPTS", "LAST ERROR"],
		waiting.map(event => [
			event.id,
			event.group,
			event.type,
			aggregateOf(event),
			event.recordedAt,
			event.setAsideAt,
			event.attempts,
			event.lastError === null ? null : oneLine(event.lastError).slice(0, 80)
		])
	);
	return `${groups}\n\n${events}`;
}

export const eventsView = (events: readonly RecordedEvent[]): string =>
	table(["RECORDED", "GROUP", "TYPE", "AGGREGATE", "EVENT", "CORRELATION"], events.map(eventRow));

/** One line of what is followed; the columns are as wide as they mostly are. */
export const eventLine = (event: RecordedEvent): string => eventRow(event).join("  ");

const eventRow = (event: RecordedEvent): string[] => [
	event.recordedAt,
	event.group.padEnd(13),
	event.type.padEnd(26),
	aggregateOf(event),
	event.id,
	oneLine(event.correlationId)
];

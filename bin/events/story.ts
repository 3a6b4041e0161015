/** A story of events as a tree: what led to what, and what became of each. */
import type { Handled, RecordedEvent, Story } from "../../contracts/events.ts";
import { paint } from "../console.ts";
import { duration } from "./views.ts";

/** Draws each event below the one that it was recorded because of; times count from the first. */
export function storyView({ correlationId, events, handled }: Story): string {
	const known = new Set(events.map(({ id }) => id));
	const byCause = Map.groupBy(events, ({ causationId }) =>
		causationId !== null && known.has(causationId) ? causationId : ROOT
	);
	const outcomes = Map.groupBy(handled, ({ eventId }) => eventId);
	const began = Date.parse(events[0]!.recordedAt);
	const since = (time: string) => `+${duration((Date.parse(time) - began) / 1_000)}`;

	const draw = (event: RecordedEvent, first: string, rest: string): string[] => {
		const below = byCause.get(event.id) ?? [];
		const told = (outcomes.get(event.id) ?? []).map(outcome => outcomeOf(outcome, since));
		const line = below.length > 0 ? "│" : " ";
		return [
			first + headOf(event, since),
			...told.map(text => `${rest}${line}    ${text}`),
			...drawAll(below, rest)
		];
	};
	const drawAll = (siblings: readonly RecordedEvent[], indent: string): string[] =>
		siblings.flatMap((event, index) =>
			index < siblings.length - 1
				? draw(event, `${indent}├─ `, `${indent}│  `)
				: draw(event, `${indent}└─ `, `${indent}   `)
		);

	const roots = byCause.get(ROOT) ?? [];
	return [
		`${correlationId}, from ${events[0]!.recordedAt}`,
		...roots.flatMap(event => draw(event, "", ""))
	].join("\n");
}

const ROOT = "";

function headOf(event: RecordedEvent, since: (time: string) => string): string {
	const { type, group, aggregate, id, recordedAt, publishedAt } = event;
	const waits = publishedAt === null ? paint("yellow", "  not published yet") : "";
	return `${paint("bold", type)}  ${group}  ${since(recordedAt)}  ${aggregate.type} v${aggregate.version}  ${id}${waits}`;
}

const STYLES = {
	handled: "green",
	resolved: "green",
	dead: "red",
	parked: "yellow",
	discarded: "yellow"
} as const;

const outcomeOf = ({ consumer, state, at }: Handled, since: (time: string) => string): string =>
	`${consumer} ${paint(STYLES[state], state)} ${since(at)}`;

/** The newest events by command, and those to come. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RecordedEvent } from "../../contracts/events.ts";
import type { Operator } from "../operator.ts";
import { eventLine, eventsView } from "./views.ts";

export interface TailOptions {
	readonly topic?: string;
	readonly limit: number;
	readonly follow?: boolean;
	readonly json?: boolean;
}

const FOLLOW_EVERY_MS = 1_000;
/** A transaction that takes long commits events whose time is past. */
const OVERLAP_MS = 15_000;

/** Prints the newest events and, where it follows, those that are recorded from now on, until the process is ended. */
export async function tail(system: Operator, options: TailOptions): Promise<void> {
	const { topic, limit, follow, json } = options;
	const { items } = await system.call("events.tail", { ...(topic ? { topic } : {}), limit });
	if (!json && !follow) console.log(eventsView(items));
	else for (const event of items) print(event, json);
	if (follow) await goOn(system, items, options);
}

const print = (event: RecordedEvent, json = false): void =>
	console.log(json ? JSON.stringify(event) : eventLine(event));

async function goOn(
	system: Operator,
	printed: readonly RecordedEvent[],
	{ topic, json }: TailOptions
): Promise<void> {
	let newest = Date.parse(printed.at(-1)?.recordedAt ?? new Date().toISOString());
	const recent = async (): Promise<readonly RecordedEvent[]> => {
		const since = new Date(newest - OVERLAP_MS).toISOString();
		const params = { since, limit: 1_000, ...(topic ? { topic } : {}) };
		return (await system.call("events.tail", params)).items;
	};
	// Those of a moment ago that were not asked for are no news.
	const old = (await recent()).filter(({ recordedAt }) => Date.parse(recordedAt) <= newest);
	let seen = new Set([...printed, ...old].map(({ id }) => id));
	for (;;) {
		const events = await recent();
		for (const event of events) if (!seen.has(event.id)) print(event, json);
		seen = new Set(events.map(({ id }) => id));
		newest = Math.max(newest, ...events.map(({ recordedAt }) => Date.parse(recordedAt)));
		await sleep(FOLLOW_EVERY_MS);
	}
}

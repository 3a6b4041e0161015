/** What is looked up when Prometheus asks: how much waits, for how long, and who leads. */
import type { Group } from "../config.ts";
import type { Runtime } from "../runtime.ts";
import type { Relay } from "./relay.ts";

interface OutboxFigures {
	readonly unpublished: number;
	readonly oldest: number;
	readonly aside: number;
	readonly dead: number;
	readonly parked: number;
	readonly blocked: number;
}

/** Adds the figures of one group to those of its node. */
export function addEventFigures(
	{ metrics, stream, inboxes, database }: Runtime,
	group: Group,
	relay: Relay
): void {
	const { events } = metrics;
	metrics.onRead(async () => {
		events.isLeader.set({ group }, relay.isLeader ? 1 : 0);
		const figures = (await database(group).one<OutboxFigures>(
			`SELECT count(*)::int AS unpublished, count(failed_at)::int AS aside,
			   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS oldest,
			   (SELECT count(*)::int FROM dead_letter WHERE state = 'dead') AS dead,
			   (SELECT count(*)::int FROM dead_letter WHERE state = 'parked') AS parked,
			   (SELECT count(*)::int FROM inbox_cursor WHERE blocked) AS blocked
			 FROM outbox WHERE published_at IS NULL`
		))!;
		events.unpublished.set({ group }, figures.unpublished);
		events.oldestUnpublished.set({ group }, figures.oldest);
		events.waitingSetAside.set({ group }, figures.aside);
		events.openLetters.set({ group, state: "dead" }, figures.dead);
		events.openLetters.set({ group, state: "parked" }, figures.parked);
		events.blockedAggregates.set({ group }, figures.blocked);
	});
	metrics.onRead(async () => {
		if (!stream.kept) return;
		const { bytes, maxBytes = 0, lastSequence, advisories } = await stream.kept.state();
		events.streamBytes.set(bytes);
		events.streamMaxBytes.set(maxBytes);
		events.streamLastSequence.set(lastSequence);
		events.streamAdvisories.set(advisories);
		for (const state of await stream.kept.consumers()) {
			if (inboxes.get(state.consumer)?.group !== group) continue;
			const labels = { consumer: state.consumer, topic: `${state.aggregateType}.events` };
			events.lag.set(labels, state.pending + state.unacknowledged);
			events.oldestUnacknowledged.set(labels, state.oldestSeconds ?? 0);
		}
	});
}

/** Topics as operators see them: what all groups know of each, in one place. */
import type { BackboneOverview } from "../../contracts/backbone.ts";
import type { TopicConsumer, TopicView } from "../../contracts/events.ts";

export type GroupOverview = BackboneOverview & { readonly group: string };
type Recorded = BackboneOverview["recorded"][number];

const NOTHING: Omit<Recorded, "topic"> = {
	events: 0,
	newestAt: null,
	unpublished: 0,
	oldestUnpublishedSeconds: 0,
	setAside: 0
};

/** Every topic that somebody records or consumes, by name. */
export function topicsOf(overviews: readonly GroupOverview[]): TopicView[] {
	const recorded = overviews.flatMap(overview => overview.recorded);
	const consumed = overviews.flatMap(({ consumers }) => consumers.map(({ topic }) => topic));
	const names = [...new Set([...recorded.map(({ topic }) => topic), ...consumed])].sort();
	const stream = overviews.find(overview => overview.stream)?.stream ?? undefined;
	return names.map(topic => {
		const known = recorded.filter(entry => entry.topic === topic).reduce(add, NOTHING);
		const { events, ...outbox } = known;
		return {
			...outbox,
			topic,
			messages: stream ? (stream[topic] ?? 0) : events,
			consumers: consumersOf(topic, overviews, known)
		};
	});
}

const add = (sum: Omit<Recorded, "topic">, entry: Recorded): Omit<Recorded, "topic"> => ({
	events: sum.events + entry.events,
	newestAt:
		[sum.newestAt, entry.newestAt]
			.filter(at => at !== null)
			.sort()
			.at(-1) ?? null,
	unpublished: sum.unpublished + entry.unpublished,
	oldestUnpublishedSeconds: Math.max(sum.oldestUnpublishedSeconds, entry.oldestUnpublishedSeconds),
	setAside: sum.setAside + entry.setAside
});

/** In one process the outbox is the queue: it keeps an event until every consumer is done with it. */
const consumersOf = (
	topic: string,
	overviews: readonly GroupOverview[],
	outbox: Omit<Recorded, "topic">
): TopicConsumer[] =>
	overviews.flatMap(({ group, consumers, stream }) =>
		consumers
			.filter(consumer => consumer.topic === topic)
			.map(consumer => ({
				...consumer,
				group,
				pending: consumer.pending ?? (stream ? 0 : outbox.unpublished),
				unacknowledged: consumer.unacknowledged ?? 0,
				oldestPendingSeconds:
					stream || outbox.unpublished === 0
						? consumer.oldestPendingSeconds
						: outbox.oldestUnpublishedSeconds
			}))
	);

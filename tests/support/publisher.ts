/** Facts of a group that is not there: they enter the stream without an outbox. */
import type { Events, Fact } from "../../contracts/index.ts";
import { aggregateType, type Envelope } from "../../lib/events/envelope.ts";
import type { EventStream } from "../../lib/events/stream.ts";
import { uuidv7 } from "../../lib/uuid.ts";

/** The fact as another group's relay would make it. */
export const envelope = <K extends Fact>(
	type: K,
	aggregateId: string,
	version: number,
	data: Events[K]
): Envelope<Events[K]> => ({
	specversion: "1.0",
	id: uuidv7(),
	type,
	source: "/valence/elsewhere",
	subject: `${aggregateType(type)}/${aggregateId}`,
	time: new Date().toISOString(),
	datacontenttype: "application/json",
	data,
	aggregatetype: aggregateType(type),
	aggregateid: aggregateId,
	aggregateversion: version,
	correlationid: aggregateId
});

/** Publishes it. In one process it resolves when every consumer is done with it. */
export async function publish<K extends Fact>(
	{ runtime: { stream } }: { readonly runtime: { readonly stream: EventStream } },
	type: K,
	aggregateId: string,
	version: number,
	data: Events[K]
): Promise<Envelope<Events[K]>> {
	const event = envelope(type, aggregateId, version, data);
	await stream.publish(event);
	return event;
}

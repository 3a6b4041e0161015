import { Type, type Static } from "typebox";

const Text = (description: string) => Type.String({ description });

/** What every event bears beside its data: CloudEvents 1.0, with our extension attributes. */
export const Attributes = Type.Object(
	{
		specversion: Type.Literal("1.0"),
		id: Type.String({
			format: "uuid",
			description: "UUIDv7; also the message id by which the stream drops duplicates"
		}),
		type: Text("`<aggregate>.<fact>.v<N>`"),
		source: Text("The group that recorded it, as `/valence/<group>`"),
		subject: Text("`<aggregate type>/<aggregate id>`"),
		time: Type.String({ format: "date-time" }),
		datacontenttype: Type.Literal("application/json"),
		aggregatetype: Text("`order` for `order.created.v1`"),
		aggregateid: Type.String({ format: "uuid" }),
		aggregateversion: Type.Integer({
			minimum: 1,
			description: "Counts the events of one aggregate from 1, without gaps"
		}),
		correlationid: Text("The same for all that one cause has led to"),
		causationid: Type.Optional(Text("The event that this one was recorded because of")),
		requestid: Type.Optional(Text("The request that this one was recorded because of")),
		traceparent: Type.Optional(Text("W3C Trace Context"))
	},
	{ title: "Envelope" }
);

/** An event on its way: CloudEvents 1.0 in structured JSON mode. */
export interface Envelope<D = unknown> extends Readonly<Static<typeof Attributes>> {
	readonly data: D;
}

/** `order.created.v1` → `order` */
export const aggregateType = (type: string): string => type.slice(0, type.indexOf("."));

/** The topic of an event type, as it is named to people: `order.events`. */
export const topicOf = (type: string): string => `${aggregateType(type)}.events`;

/** `order.events` → `order` */
export const aggregateTypeOf = (topic: string): string => topic.slice(0, -".events".length);

/** Where an event type is published on NATS. */
export const natsSubject = (type: string): string => `events.${type}`;

/** Where all events of an aggregate type are published, whatever types there will be. */
export const natsSubjects = (aggregate: string): string => `events.${aggregate}.>`;

/** A row of an outbox, as far as it makes the envelope. */
export interface OutboxRow {
	readonly event_id: string;
	readonly type: string;
	readonly aggregate_type: string;
	readonly aggregate_id: string;
	readonly aggregate_version: number;
	readonly payload: unknown;
	readonly headers: Record<string, string>;
	readonly created_at: Date;
}

/** The columns of an OutboxRow. */
export const OUTBOX_COLUMNS =
	"event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers, created_at";

/** The event of a group as it travels. */
export function toEnvelope(row: OutboxRow, group: string): Envelope {
	const { correlationId, causationId, requestId, traceparent } = row.headers;
	return {
		specversion: "1.0",
		id: row.event_id,
		type: row.type,
		source: `/valence/${group}`,
		subject: `${row.aggregate_type}/${row.aggregate_id}`,
		time: row.created_at.toISOString(),
		datacontenttype: "application/json",
		data: row.payload,
		aggregatetype: row.aggregate_type,
		aggregateid: row.aggregate_id,
		aggregateversion: row.aggregate_version,
		correlationid: correlationId ?? row.aggregate_id,
		...(causationId ? { causationid: causationId } : {}),
		...(requestId ? { requestid: requestId } : {}),
		...(traceparent ? { traceparent } : {})
	};
}

/** An event on its way: CloudEvents 1.0 in structured JSON mode, with our extension attributes. */
export interface Envelope<D = unknown> {
	readonly specversion: "1.0";
	/** UUIDv7; also the message id by which the stream drops duplicates. */
	readonly id: string;
	/** `<aggregate>.<fact>.v<N>` */
	readonly type: string;
	/** The group that recorded it, as `/valence/<group>`. */
	readonly source: string;
	/** `<aggregate type>/<aggregate id>` */
	readonly subject: string;
	readonly time: string;
	readonly datacontenttype: "application/json";
	readonly data: D;
	readonly aggregatetype: string;
	readonly aggregateid: string;
	/** Counts the events of one aggregate from 1, without gaps. */
	readonly aggregateversion: number;
	readonly correlationid: string;
	readonly causationid?: string;
	readonly requestid?: string;
	readonly traceparent?: string;
}

/** `order.created.v1` → `order` */
export const aggregateType = (type: string): string => type.slice(0, type.indexOf("."));

/** The topic of an event type, as it is named to people: `order.events`. */
export const topicOf = (type: string): string => `${aggregateType(type)}.events`;

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

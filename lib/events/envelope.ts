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

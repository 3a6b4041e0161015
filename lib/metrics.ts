/** A node's figures, for Prometheus: cheap counters of our own, read at the operators' port. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

export class Metrics {
	readonly registry = new Registry();
	readonly events = new EventMetrics(this.registry);
	readonly door = new DoorMetrics(this.registry);
	readonly deletions = new DeletionMetrics(this.registry);
	readonly #readers = new Set<() => Promise<void>>();

	/** Has `read` look up figures whenever somebody asks for them. Where it fails, they stay as they were. */
	onRead(read: () => Promise<void>): void {
		this.#readers.add(read);
	}

	/** Everything, in Prometheus' text format. */
	async text(): Promise<string> {
		await Promise.allSettled([...this.#readers].map(read => read()));
		return this.registry.metrics();
	}
}

/** What the gateway counts of those whom it cannot serve. Names and alarms: docs/runbooks/gateway.md. */
export class DoorMetrics {
	readonly refused: Counter<"code">;
	readonly underWay: Gauge<"state">;
	readonly streams: Gauge;

	constructor(registry: Registry) {
		const registers = [registry];
		this.refused = new Counter({
			name: "valence_gateway_refused_total",
			help: "Requests that were turned away: RATE_LIMITED, TOO_MANY_STREAMS, OVERLOADED or UNAVAILABLE",
			labelNames: ["code"],
			registers
		});
		this.underWay = new Gauge({
			name: "valence_gateway_requests",
			help: "Requests that are worked on, and that wait for their turn",
			labelNames: ["state"],
			registers
		});
		this.streams = new Gauge({
			name: "valence_gateway_streams",
			help: "Streams of server-sent events that are open",
			registers
		});
	}
}

/** What is counted of the deletion of accounts. Names and alarms: docs/runbooks/users.md. */
export class DeletionMetrics {
	readonly overdue: Counter;

	constructor(registry: Registry) {
		this.overdue = new Counter({
			name: "valence_deletions_overdue_total",
			help: "Days that deletions of accounts have taken longer than one",
			registers: [registry]
		});
	}
}

/** What the event backbone counts. Names and alarms: docs/runbooks/events.md. */
export class EventMetrics {
	readonly recordedToPublished: Histogram<"group">;
	readonly publish: Histogram<"group">;
	readonly publishFailures: Counter<"group">;
	readonly published: Counter<"group">;
	readonly setAside: Counter<"group">;
	readonly healed: Counter<"group">;
	readonly recordedToHandled: Histogram<"consumer">;
	readonly handled: Counter<"consumer">;
	readonly duplicates: Counter<"consumer">;
	readonly outOfOrder: Counter<"consumer">;
	readonly retries: Counter<"consumer" | "reason">;
	readonly deadLettered: Counter<"consumer" | "state">;
	readonly malformed: Counter<"consumer">;
	readonly unpublished: Gauge<"group">;
	readonly oldestUnpublished: Gauge<"group">;
	readonly waitingSetAside: Gauge<"group">;
	readonly isLeader: Gauge<"group">;
	readonly openLetters: Gauge<"group" | "state">;
	readonly blockedAggregates: Gauge<"group">;
	readonly lag: Gauge<"consumer" | "topic">;
	readonly oldestUnacknowledged: Gauge<"consumer" | "topic">;
	readonly streamBytes: Gauge;
	readonly streamMaxBytes: Gauge;
	readonly streamLastSequence: Gauge;
	readonly streamAdvisories: Gauge;

	constructor(registry: Registry) {
		const registers = [registry];
		const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
			new Counter({ name: `valence_${name}_total`, help, labelNames, registers });
		const seconds = <L extends string>(name: string, help: string, labelNames: L[]) =>
			new Histogram({
				name: `valence_${name}_seconds`,
				help,
				labelNames,
				registers,
				buckets: [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]
			});
		this.recordedToPublished = seconds(
			"event_recorded_to_published",
			"From the record of an event to its place in the stream",
			["group"]
		);
		this.publish = seconds("relay_publish", "How long the stream takes to take an event", [
			"group"
		]);
		this.published = counter("events_published", "Events that the stream has taken", ["group"]);
		this.publishFailures = counter(
			"relay_publish_failures",
			"Publishes that failed and are tried again",
			["group"]
		);
		this.setAside = counter(
			"outbox_set_aside",
			"Events that can never be published and hold up their aggregate",
			["group"]
		);
		this.healed = counter("outbox_healed", "Events published again because the stream lost them", [
			"group"
		]);
		this.recordedToHandled = seconds(
			"event_recorded_to_handled",
			"From the record of an event to the commit of its handler",
			["consumer"]
		);
		this.handled = counter("events_handled", "Events that took effect", ["consumer"]);
		this.duplicates = counter("inbox_duplicates", "Deliveries of events that were handled before", [
			"consumer"
		]);
		this.outOfOrder = counter("out_of_order_naks", "Deliveries that came before a predecessor", [
			"consumer"
		]);
		this.retries = counter("handler_retries", "Handlers that failed and are tried again", [
			"consumer",
			"reason"
		]);
		this.deadLettered = counter("dead_letters", "Events that went to the dead letters", [
			"consumer",
			"state"
		]);
		this.malformed = counter("malformed_messages", "Messages of the stream that are no events", [
			"consumer"
		]);
		const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
			new Gauge({ name: `valence_${name}`, help, labelNames, registers });
		this.unpublished = gauge("outbox_unpublished", "Events that are not in the stream yet", [
			"group"
		]);
		this.oldestUnpublished = gauge(
			"outbox_oldest_age_seconds",
			"Age of the oldest event that is not in the stream yet",
			["group"]
		);
		this.waitingSetAside = gauge(
			"outbox_set_aside",
			"Events that were set aside and wait for somebody",
			["group"]
		);
		this.isLeader = gauge(
			"relay_is_leader",
			"1 where this node relays the group's events; the sum over all nodes must be 1",
			["group"]
		);
		this.openLetters = gauge("dead_letters_open", "Dead letters that are not settled", [
			"group",
			"state"
		]);
		this.blockedAggregates = gauge(
			"aggregates_blocked",
			"Aggregates that wait at a consumer for a dead letter to be settled",
			["group"]
		);
		this.lag = gauge("stream_lag", "Events that a consumer has not acknowledged", [
			"consumer",
			"topic"
		]);
		this.oldestUnacknowledged = gauge(
			"consumer_oldest_unacked_seconds",
			"Age of the oldest event that a consumer has not acknowledged",
			["consumer", "topic"]
		);
		this.streamBytes = gauge("stream_bytes", "Bytes of the stream", []);
		this.streamMaxBytes = gauge(
			"stream_max_bytes",
			"Bytes that the stream may have; 0 without bound",
			[]
		);
		this.streamLastSequence = gauge(
			"stream_last_sequence",
			"Place of the newest event; one that goes down has lost events",
			[]
		);
		this.streamAdvisories = gauge(
			"stream_advisories",
			"Messages that the server has given up on; must stay 0",
			[]
		);
	}
}

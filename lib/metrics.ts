/** A node's figures, for Prometheus: cheap counters of our own, read at the operators' port. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

export class Metrics {
	readonly registry = new Registry();
	readonly events = new EventMetrics(this.registry);

	/** Everything, in Prometheus' text format. */
	text(): Promise<string> {
		return this.registry.metrics();
	}
}

/** What the event backbone counts. Names and alarms: docs/runbooks/events.md. */
export class EventMetrics {
	readonly #registry: Registry;
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

	constructor(registry: Registry) {
		this.#registry = registry;
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
	}

	/** A figure that is looked up when it is asked for. What it throws leaves it out. */
	gauge<L extends string>(
		name: string,
		help: string,
		labelNames: readonly L[],
		read: () => Promise<readonly { labels: Partial<Record<L, string>>; value: number }[]>
	): void {
		new Gauge<L>({
			name: `valence_${name}`,
			help,
			labelNames: [...labelNames],
			registers: [this.#registry],
			async collect() {
				this.reset();
				for (const { labels, value } of await read().catch(() => []))
					this.set(labels as never, value);
			}
		});
	}
}

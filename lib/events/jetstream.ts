import type { Config } from "../config.ts";
import type { Envelope } from "./envelope.ts";
import type { Consume, EventStream, Receipt } from "./stream.ts";

export class JetStream implements EventStream {
	readonly kind = "jetstream";
	static connect(_config: Config): Promise<JetStream> {
		return Promise.reject(new Error("not yet"));
	}
	publish(_event: Envelope): Promise<Receipt> {
		throw new Error("not yet");
	}
	subscribe(
		_consumer: string,
		_aggregateTypes: readonly string[],
		_consume: Consume
	): Promise<void> {
		throw new Error("not yet");
	}
	unsubscribe(_consumer: string): Promise<void> {
		throw new Error("not yet");
	}
	isUp(): boolean {
		return false;
	}
	close(): Promise<void> {
		return Promise.resolve();
	}
}

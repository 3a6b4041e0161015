/** The streams that the universal suite is run against; each can be opened as by one process after another. */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, nanos } from "nats";
import { BreakableServer } from "../../bin/breakable-server.ts";
import { readConfig } from "../../lib/config.ts";
import { JetStream, STREAM } from "../../lib/events/jetstream.ts";
import { LocalStream } from "../../lib/events/local-stream.ts";
import type { EventStream } from "../../lib/events/stream.ts";
import { until } from "./until.ts";

export class StreamUnderTest {
	readonly name: string;
	/** Whether it keeps events and the places of consumers beyond the life of a process, and between several. */
	readonly keeps: boolean;
	/** Copies of each event; 0 where it keeps none. */
	readonly replicas: number;
	#servers: BreakableServer[] = [];
	readonly #open: EventStream[] = [];

	constructor(name: string, replicas: number) {
		this.name = name;
		this.keeps = replicas > 0;
		this.replicas = replicas;
	}

	get servers(): readonly BreakableServer[] {
		return this.#servers;
	}

	get url(): string {
		return this.#servers.map(({ url }) => url).join(",");
	}

	async start(): Promise<void> {
		if (this.replicas === 1) this.#servers = [await BreakableServer.nats()];
		if (this.replicas === 3) this.#servers = await BreakableServer.natsCluster();
	}

	/** As a process does; what it opens is closed by `close`. */
	async open(env: Record<string, string> = {}): Promise<EventStream> {
		const stream = await this.#connect(env);
		this.#open.push(stream);
		return stream;
	}

	async #connect(env: Record<string, string>): Promise<EventStream> {
		if (this.replicas === 0) return new LocalStream();
		const config = readConfig({
			NATS_URL: this.url,
			EVENT_STREAM_REPLICAS: String(this.replicas),
			...env
		});
		for (let tries = 1; ; tries++)
			try {
				return await JetStream.connect(config);
			} catch (error) {
				// As a node does: a cluster that has just come up may not have a place for each copy yet.
				if (tries === 20 || !(error as { retryable?: boolean }).retryable) throw error;
				await sleep(250);
			}
	}

	/** The server that takes the events at the moment. */
	async leader(): Promise<BreakableServer> {
		const connection = await connect({ servers: this.url.split(",") });
		try {
			const manager = await connection.jetstreamManager();
			const { cluster } = await manager.streams.info(STREAM);
			return this.#servers[Number(cluster!.leader!.slice(1))]!;
		} finally {
			await connection.close();
		}
	}

	/** The stream forgets all that it has, as it does by age: nobody may delete from it. */
	async forget(): Promise<void> {
		const connection = await connect({ servers: this.url.split(",") });
		try {
			const { streams } = await connection.jetstreamManager();
			const { config } = await streams.info(STREAM);
			await streams.update(STREAM, { max_age: nanos(200), duplicate_window: nanos(100) });
			await until(async () => (await streams.info(STREAM)).state.messages === 0, "it is empty");
			const { max_age, duplicate_window } = config;
			await streams.update(STREAM, { max_age, duplicate_window });
		} finally {
			await connection.close();
		}
	}

	/** Closes what is open. */
	async close(): Promise<void> {
		await Promise.all(this.#open.splice(0).map(stream => stream.close()));
	}

	async stop(): Promise<void> {
		await Promise.all(this.#servers.map(server => server.stop()));
	}
}

export const streamsUnderTest = (): [name: string, stream: StreamUnderTest][] =>
	[
		new StreamUnderTest("local stream", 0),
		new StreamUnderTest("jetstream on one server", 1),
		new StreamUnderTest("jetstream on three servers", 3)
	].map(stream => [stream.name, stream]);

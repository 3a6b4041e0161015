import {
	createServer,
	get,
	type IncomingMessage,
	type Server,
	type ServerResponse
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Errors } from "moleculer";
import { commonFailure } from "../../lib/failure.ts";
import { until } from "../../tests/support/until.ts";
import { EventStreams, type Page, type StreamsOptions } from "./event-streams.ts";

/** What has happened, and who asked for it. */
class Story {
	readonly told: string[] = [];
	readonly asked: number[] = [];
	ended = false;
	/** Thrown by the next look. */
	trouble: Error | undefined;

	read = async (after: number): Promise<Page> => {
		this.asked.push(after);
		const { trouble } = this;
		this.trouble = undefined;
		if (trouble) throw trouble;
		return {
			events: this.told.slice(after).map((data, index) => ({ id: after + index + 1, data })),
			ended: this.ended
		};
	};
}

let story: Story;
let streams: EventStreams;
let server: Server;
let isDraining = false;
const begin = (options: Partial<StreamsOptions> = {}) => {
	streams = new EventStreams({
		perClient: 2,
		total: 3,
		isDraining: () => isDraining,
		lookEveryMs: 60_000,
		...options
	});
};
beforeEach(async () => {
	isDraining = false;
	story = new Story();
	server = createServer((_, res) => {
		res.flushHeaders();
		void story
			.read(0)
			.then(first =>
				streams.run(res, { of: "it", first, after: 0, read: after => story.read(after) })
			);
	});
	await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
});
afterEach(() => {
	streams.stop();
	server.closeAllConnections();
	server.close();
});

/** A client that reads; what it has got so far. */
async function follow() {
	const { port } = server.address() as AddressInfo;
	const answer = await new Promise<IncomingMessage>(done => get({ port, agent: false }, done));
	const got = { text: "", ended: false, answer };
	answer
		.setEncoding("utf8")
		.on("data", (text: string) => (got.text += text))
		.on("error", () => {})
		.on("close", () => (got.ended = true));
	return got;
}

describe("a stream of events", () => {
	it("tells what has happened, then what happens when it is woken, and ends with the end", async () => {
		begin();
		story.told.push("a", "b");
		const client = await follow();
		await until(() => client.text.includes("b"), "the first events");
		expect(client.text).toBe('retry: 2000\n\nid: 1\ndata: "a"\n\nid: 2\ndata: "b"\n\n');
		story.told.push("c");
		streams.wake("another");
		await sleep(50);
		expect(client.text).not.toContain("c");
		streams.wake("it");
		await until(() => client.text.endsWith('id: 3\ndata: "c"\n\n'), "the third event");
		story.told.push("d");
		story.ended = true;
		streams.wake("it");
		await until(() => client.ended, "the end");
		expect(client.text).toMatch(/id: 4\ndata: "d"\n\n$/);
		expect(story.asked).toEqual([0, 2, 3]);
	});

	it("looks by itself where the wake-up was lost", async () => {
		begin({ lookEveryMs: 50 });
		const client = await follow();
		story.told.push("a");
		expect(await until(() => client.text.includes('"a"'), "the event")).toBe(true);
	});

	it("misses nothing that happens while it looks", async () => {
		begin();
		const { read } = story;
		const client = await follow();
		await until(() => client.text, "the beginning");
		story.read = async after => {
			const page = await read(after);
			if (story.told.length === 1) {
				story.told.push("b");
				streams.wake("it");
			}
			return page;
		};
		story.told.push("a");
		streams.wake("it");
		expect(await until(() => client.text.includes('"b"'), "the second event")).toBe(true);
	});

	it("says now and then that it is alive", async () => {
		begin({ heartbeatMs: 50 });
		const client = await follow();
		expect(await until(() => client.text.endsWith(":\n\n:\n\n"), "two heartbeats")).toBe(true);
	});

	it("goes on after an outage", async () => {
		begin();
		const client = await follow();
		await until(() => client.text, "the beginning");
		story.trouble = new Errors.ServiceNotFoundError({ action: "x" });
		story.told.push("a");
		streams.wake("it");
		await until(() => story.trouble === undefined, "the outage");
		expect(client.ended).toBe(false);
		streams.wake("it");
		await until(() => client.text.includes('"a"'), "the event");
	});

	it("ends for whom it is forbidden by now", async () => {
		begin();
		const client = await follow();
		await until(() => client.text, "the beginning");
		story.trouble = commonFailure("UNAUTHENTICATED");
		streams.wake("it");
		expect(await until(() => client.ended, "the end")).toBe(true);
	});

	it("ends properly when the node drains", async () => {
		begin();
		const client = await follow();
		await until(() => client.text, "the beginning");
		isDraining = true;
		await until(() => client.ended, "the end", 2_000);
		// To the last chunk: the client sees an end and no broken connection.
		expect(client.answer.complete).toBe(true);
		expect(() => streams.admit("somebody")).toThrow(
			expect.objectContaining({ type: "UNAVAILABLE" })
		);
	});

	it("gives a client that reads all there is, however much", async () => {
		begin({ patienceMs: 5_000 });
		story.told.push(...Array.from({ length: 10 }, () => "x".repeat(1_000_000)));
		story.ended = true;
		const client = await follow();
		await until(() => client.ended, "the end");
		expect(client.text.length).toBeGreaterThan(10_000_000);
	});

	it("lets go a client that does not read", async () => {
		begin({ patienceMs: 100, heartbeatMs: 10 });
		const client = await follow();
		await until(() => client.text, "the beginning");
		client.answer.pause();
		// More than the kernel's buffers take for it.
		const much = "x".repeat(1_000_000);
		expect(
			await until(() => {
				story.told.push(much);
				streams.wake("it");
				return streams.running === 0;
			}, "it is let go")
		).toBe(true);
	});

	it("is forgotten when the client has gone", async () => {
		begin();
		const client = await follow();
		await until(() => streams.running === 1, "the stream");
		client.answer.destroy();
		expect(await until(() => streams.running === 0, "its end")).toBe(true);
	});
});

describe("a stream for who has gone already", () => {
	it("ends before it begins", async () => {
		begin();
		const lateRun = async (res: ServerResponse) => {
			const first = await story.read(0);
			await streams.run(res, { of: "it", first, after: 0, read: story.read });
			return streams.running;
		};
		const { promise, resolve } = Promise.withResolvers<number>();
		server
			.removeAllListeners("request")
			.once("request", (_, res: ServerResponse) => res.once("close", () => resolve(lateRun(res))));
		const { port } = server.address() as AddressInfo;
		const request = get({ port, host: "127.0.0.1" });
		request.on("error", () => {});
		server.once("request", () => request.destroy());
		expect(await promise).toBe(0);
	});
});

describe("places for streams", () => {
	const refused = (type: string) => expect.objectContaining({ type });

	it("are limited for each client, and given back", () => {
		begin();
		const [release] = [streams.admit("a"), streams.admit("a")];
		expect(() => streams.admit("a")).toThrow(refused("TOO_MANY_STREAMS"));
		streams.admit("b");
		release();
		// Given back once, however often that is said.
		release();
		streams.admit("a");
		expect(() => streams.admit("a")).toThrow(refused("TOO_MANY_STREAMS"));
	});

	it("are limited for all together", () => {
		begin();
		for (const client of ["a", "b", "c"]) streams.admit(client);
		expect(() => streams.admit("d")).toThrow(refused("OVERLOADED"));
	});
});

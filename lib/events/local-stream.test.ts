import { randomUUID } from "node:crypto";
import { envelope } from "../../tests/support/publisher.ts";
import { until } from "../../tests/support/until.ts";
import { LocalStream } from "./local-stream.ts";
import { DONE, type Consume, type Verdict } from "./stream.ts";

const event = () =>
	envelope("user.created.v1", randomUUID(), 1, {
		userId: randomUUID(),
		email: "a@b.test",
		username: "ada",
		name: null
	});
const LATER: Verdict = { done: false, delayMs: 1 };

let stream: LocalStream;
const subscribe = (name: string, aggregateTypes: readonly string[], consume: Consume) =>
	stream.subscribe({ name, aggregateTypes, consume });
beforeEach(() => {
	stream = new LocalStream();
});
afterEach(() => stream.close());

describe("the stream within one process", () => {
	it("hands each event to each consumer of its topic, and to no other", async () => {
		const seen: string[] = [];
		const consumer = (name: string) => async () => {
			seen.push(name);
			return DONE;
		};
		await subscribe("one", ["user", "order"], consumer("one"));
		await subscribe("two", ["user"], consumer("two"));
		await subscribe("three", ["order"], consumer("three"));
		const first = await stream.publish(event());
		const second = await stream.publish(event());
		expect(seen).toEqual(["one", "two", "one", "two"]);
		expect(first).toMatchObject({ epoch: "local", duplicate: false });
		expect(second.sequence).toBeGreaterThan(first.sequence);
		expect(stream.isUp()).toBe(true);
	});

	it("resolves when all are done, counting the deliveries to each", async () => {
		const deliveries: number[] = [];
		await subscribe("slow", ["user"], async (_event, count) => {
			deliveries.push(count);
			return count < 4 ? LATER : DONE;
		});
		await subscribe("quick", ["user"], async () => DONE);
		await stream.publish(event());
		expect(deliveries).toEqual([1, 2, 3, 4]);
	});

	it("takes an event of a process that died for a redelivery", async () => {
		const deliveries: number[] = [];
		await subscribe("one", ["user"], async (_event, count) => {
			deliveries.push(count);
			return DONE;
		});
		await stream.publish(event(), true);
		expect(deliveries).toEqual([2]);
	});

	it("does not hold up others behind a consumer that is not done", async () => {
		let stuck = true;
		const stuckEvent = event();
		await subscribe("one", ["user"], async ({ id }) =>
			stuck && id === stuckEvent.id ? LATER : DONE
		);
		const publishing = stream.publish(stuckEvent);
		await stream.publish(event());
		stuck = false;
		await expect(publishing).resolves.toMatchObject({ duplicate: false });
	});

	it("fails what a consumer was not done with when it leaves, and what comes after", async () => {
		const deliveries: number[] = [];
		await subscribe("one", ["user"], async (_event, count) => {
			deliveries.push(count);
			return LATER;
		});
		const publishing = stream.publish(event());
		const outcome = publishing.catch(error => error);
		await until(() => deliveries.length > 1, "a second delivery");
		await stream.unsubscribe("one");
		const last = deliveries.length;
		expect(await outcome).toMatchObject({ name: "AbortError" });
		await expect(stream.publish(event())).rejects.toMatchObject({ name: "AbortError" });
		expect(deliveries).toHaveLength(last);
	});

	it("waits for the delivery under way when a consumer leaves", async () => {
		let finish = () => {};
		let finished = false;
		await subscribe("one", ["user"], async () => {
			await new Promise<void>(resolve => {
				finish = resolve;
			});
			finished = true;
			return DONE;
		});
		const publishing = stream.publish(event());
		const leaving = stream.unsubscribe("one").then(() => finished);
		finish();
		expect(await leaving).toBe(true);
		await publishing;
	});

	it("refuses a second consumer of the same name, until the first has left", async () => {
		await subscribe("one", ["user"], async () => LATER);
		await expect(subscribe("one", ["user"], async () => DONE)).rejects.toThrow("twice");
		await stream.unsubscribe("one");
		await subscribe("one", ["user"], async () => DONE);
		await expect(stream.publish(event())).resolves.toMatchObject({ epoch: "local" });
		await expect(stream.unsubscribe("nobody")).resolves.toBeUndefined();
	});
});

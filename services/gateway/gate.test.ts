import type { Priority } from "../../lib/contract.ts";
import { Gate } from "./gate.ts";

const never = new AbortController().signal;

describe("the gate", () => {
	const gate = (concurrency: number, queue: number, patienceMs = 5_000) =>
		new Gate({ concurrency, queue, patienceMs });
	/** Enters and notes it down when the turn has come, or the failure. */
	const enter = (at: Gate, log: string[], name: string, priority: Priority, signal = never) =>
		at.enter(priority, signal)?.then(
			() => log.push(name),
			(error: Error & { type?: string }) => log.push(`${name}: ${error.type ?? error.name}`)
		);
	const settled = () => new Promise(resolve => setImmediate(resolve));

	it("lets so many in at once, and the next when one leaves", async () => {
		const at = gate(2, 10);
		const log: string[] = [];
		expect(enter(at, log, "a", "normal")).toBeUndefined();
		expect(enter(at, log, "b", "normal")).toBeUndefined();
		void enter(at, log, "c", "normal");
		await settled();
		expect([at.inside, at.waiting, log]).toEqual([2, 1, []]);
		at.leave();
		await settled();
		expect([at.inside, at.waiting, log]).toEqual([2, 0, ["c"]]);
		at.leave();
		at.leave();
		expect(at.inside).toBe(0);
	});

	it("lets the more important go first, and among equals who came first", async () => {
		const at = gate(1, 10);
		const log: string[] = [];
		void enter(at, log, "first", "low");
		for (const [name, priority] of [
			["browsing", "low"],
			["cart 1", "normal"],
			["checkout", "high"],
			["cart 2", "normal"]
		] as const)
			void enter(at, log, name, priority);
		for (let i = 0; i < 4; i++) {
			at.leave();
			await settled();
		}
		expect(log).toEqual(["checkout", "cart 1", "cart 2", "browsing"]);
	});

	it("turns away who finds the queue full, and for a more important one who came last", async () => {
		const at = gate(1, 2);
		const log: string[] = [];
		void enter(at, log, "first", "low");
		void enter(at, log, "browsing 1", "low");
		void enter(at, log, "browsing 2", "low");
		void enter(at, log, "browsing 3", "low");
		await settled();
		expect(log).toEqual(["browsing 3: OVERLOADED"]);
		void enter(at, log, "checkout 1", "high");
		void enter(at, log, "checkout 2", "high");
		void enter(at, log, "checkout 3", "high");
		await settled();
		expect(log.slice(1)).toEqual([
			"browsing 2: OVERLOADED",
			"browsing 1: OVERLOADED",
			"checkout 3: OVERLOADED"
		]);
	});

	it("lets nobody wait too long, or for somebody who has gone", async () => {
		const at = gate(1, 10, 20);
		const log: string[] = [];
		const client = new AbortController();
		void enter(at, log, "first", "low");
		const waiting = enter(at, log, "patient", "low");
		void enter(at, log, "gone", "high", client.signal);
		client.abort();
		await waiting;
		expect(log).toEqual(["gone: AbortError", "patient: OVERLOADED"]);
		at.leave();
		expect([at.inside, at.waiting]).toEqual([0, 0]);
	});
});

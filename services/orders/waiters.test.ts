import { Waiters } from "./waiters.ts";

describe("those who wait", () => {
	const forever = 60_000;

	it("look again when they are woken", async () => {
		const waiters = new Waiters();
		let state = "moving";
		const read = jest.fn(async () => state);
		const waiting = waiters.wait("a", forever, read, now => now === "at rest");
		await new Promise(resolve => setImmediate(resolve));
		state = "at rest";
		waiters.wake("a");
		expect(await waiting).toBe("at rest");
		expect(read).toHaveBeenCalledTimes(2);
	});

	it("go home when nobody wants the answer any more", async () => {
		const signal = AbortSignal.timeout(50);
		const read = async () => "moving";
		expect(await new Waiters().wait("a", forever, read, () => false, signal)).toBe("moving");
	});
});

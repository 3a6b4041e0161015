import { Ticker } from "./ticker.ts";

/** Work that ends when it is told to, and a count of how often it began. */
function steps() {
	const finish: (() => void)[] = [];
	let begun = 0;
	return {
		work: () =>
			new Promise<void>(resolve => {
				begun++;
				finish.push(resolve);
			}),
		finish: async () => {
			finish.shift()!();
			await new Promise(resolve => setImmediate(resolve));
		},
		get begun() {
			return begun;
		}
	};
}
const never = () => {
	throw new Error("unexpected");
};
const HOUR = 3_600_000;

describe("a ticker", () => {
	it("works at its start, and at each wake", async () => {
		const step = steps();
		const ticker = new Ticker(step.work, HOUR, never);
		ticker.wake();
		expect(step.begun).toBe(0);
		ticker.start();
		expect(step.begun).toBe(1);
		await step.finish();
		expect(step.begun).toBe(1);
		ticker.wake();
		expect(step.begun).toBe(2);
		await step.finish();
		await ticker.stop();
	});

	it("works once more when it was woken while it worked, and never twice at a time", async () => {
		const step = steps();
		const ticker = new Ticker(step.work, HOUR, never);
		ticker.start();
		ticker.wake();
		ticker.wake();
		expect(step.begun).toBe(1);
		await step.finish();
		expect(step.begun).toBe(2);
		await step.finish();
		expect(step.begun).toBe(2);
		await ticker.stop();
	});

	it("works every so often, also after a failure", async () => {
		const errors: unknown[] = [];
		let begun = 0;
		let thrice = () => {};
		const done = new Promise<void>(resolve => {
			thrice = resolve;
		});
		const ticker = new Ticker(
			async () => {
				if (++begun === 3) thrice();
				throw new Error(`no ${begun}`);
			},
			1,
			error => errors.push(error)
		);
		ticker.start();
		await done;
		await ticker.stop();
		expect(errors.slice(0, 3).map(String)).toEqual(["Error: no 1", "Error: no 2", "Error: no 3"]);
	});

	it("waits for what runs when it stops, and begins nothing more", async () => {
		const step = steps();
		const ticker = new Ticker(step.work, 1, never);
		ticker.start();
		ticker.wake();
		let stopped = false;
		const stopping = ticker.stop().then(() => {
			stopped = true;
		});
		await new Promise(resolve => setImmediate(resolve));
		expect(stopped).toBe(false);
		await step.finish();
		await stopping;
		ticker.wake();
		expect(step.begun).toBe(1);
	});
});

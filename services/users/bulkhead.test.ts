import { Bulkhead } from "./bulkhead.ts";

/** Work that ends when it is told to. */
function gates() {
	const open: (() => void)[] = [];
	let most = 0;
	let running = 0;
	return {
		work: async () => {
			most = Math.max(most, ++running);
			await new Promise<void>(resolve => open.push(resolve));
			running--;
		},
		get started() {
			return open.length;
		},
		get most() {
			return most;
		},
		open: (index: number) => open[index]!()
	};
}

const settle = () => new Promise(resolve => setImmediate(resolve));

describe("a bulkhead", () => {
	it("runs so many at once, lets so many wait, and refuses the rest", async () => {
		const bulkhead = new Bulkhead(2, 3, () => new Error("full"));
		const gate = gates();
		const five = Array.from({ length: 5 }, () => bulkhead.run(gate.work));
		await expect(bulkhead.run(gate.work)).rejects.toThrow("full");
		for (let index = 0; index < 5; index++) {
			expect(gate.started).toBe(Math.min(index + 2, 5));
			gate.open(index);
			await settle();
		}
		await Promise.all(five);
		expect(gate.most).toBe(2);
	});

	it("gives its place back when work fails", async () => {
		const bulkhead = new Bulkhead(1, 1, () => new Error("full"));
		const fail = () => Promise.reject(new Error("broken"));
		await expect(bulkhead.run(fail)).rejects.toThrow("broken");
		const [failed, waited] = await Promise.allSettled([
			bulkhead.run(fail),
			bulkhead.run(() => Promise.resolve(1))
		]);
		expect(failed.status).toBe("rejected");
		expect(waited).toEqual({ status: "fulfilled", value: 1 });
		expect(await bulkhead.run(() => Promise.resolve(2))).toBe(2);
	});
});

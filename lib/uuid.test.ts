import { uuidv7 } from "./uuid.ts";

describe("a UUIDv7", () => {
	it("has the version and the variant of RFC 9562", () => {
		for (let n = 0; n < 200; n++)
			expect(uuidv7()).toMatch(
				/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
			);
	});

	it("begins with its time in milliseconds", () => {
		// The example of RFC 9562, appendix A.6.
		expect(uuidv7(0x017f22e279b0).slice(0, 13)).toBe("017f22e2-79b0");
	});

	it("sorts as text by the time it was made", () => {
		const times = [
			0,
			1,
			255,
			256,
			65_536,
			Date.UTC(2026, 0, 1),
			Date.UTC(2026, 0, 1) + 1,
			2 ** 48 - 1
		];
		const ids = times.map(time => uuidv7(time));
		expect([...ids].sort()).toEqual(ids);
	});

	it("is another one each time, within one millisecond too", () => {
		expect(new Set(Array.from({ length: 1_000 }, () => uuidv7(1)))).toHaveProperty("size", 1_000);
	});
});

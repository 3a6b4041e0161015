import { decodeCursor, encodeCursor } from "./cursor.ts";

describe("a cursor", () => {
	it.each([[["2026-01-01T00:00:00.000Z", "id"]], [{ name: "Größe 🎈", price: 0 }], [null]])(
		"comes back as it was: %j",
		keys => {
			expect(decodeCursor(encodeCursor(keys))).toEqual(keys);
		}
	);

	it("can stand in a URL as it is", () => {
		// In plain base64 these have `+`, `/` and `=`.
		expect(encodeCursor("???>>>~~~ÿÿ")).toMatch(/^[A-Za-z0-9_-]+$/);
	});

	it.each(["", "nonsense", "%%%", Buffer.from("{half").toString("base64url")])(
		"is undefined where the text is none of ours: %j",
		text => {
			expect(decodeCursor(text)).toBeUndefined();
		}
	);
});

import { contract } from "./contract.ts";
import { decodeCursor, encodeCursor, type Listing, keyBehind, pageOf } from "./cursor.ts";

const things: Listing = { list: "things.list", filters: ["red", undefined, 5] };

describe("a cursor", () => {
	it.each([[["2026-01-01T00:00:00.000Z", "id"]], [{ name: "Größe 🎈", price: 0 }], [null]])(
		"comes back as it was: %j",
		keys => {
			expect(decodeCursor(things, encodeCursor(things, keys))).toEqual(keys);
		}
	);

	it("can stand in a URL as it is", () => {
		// In plain base64 these have `+`, `/` and `=`.
		expect(encodeCursor(things, "???>>>~~~ÿÿ")).toMatch(/^[A-Za-z0-9_-]+$/);
	});

	it.each<[string, Listing]>([
		["list", { ...things, list: "others.list" }],
		["filter", { ...things, filters: ["blue", undefined, 5] }],
		["filter that is not set", { ...things, filters: ["red", 5, undefined] }],
		["number of filters", { ...things, filters: ["red", undefined] }]
	])("is none of another %s", (_, other) => {
		expect(decodeCursor(other, encodeCursor(things, "key"))).toBeUndefined();
	});

	it.each([
		"",
		"nonsense",
		"%%%",
		...["{half", "null", "1", '"text"', "[]", '["key"]', "{}", '[null,"key"]'].map(text =>
			Buffer.from(text).toString("base64url")
		)
	])("is undefined where the text is none of ours: %j", text => {
		expect(decodeCursor(things, text)).toBeUndefined();
	});

	it.each(["=", "!", " ", "."])("has one form: not with %j behind it", more => {
		expect(decodeCursor(things, encodeCursor(things, "key") + more)).toBeUndefined();
	});
});

describe("a page", () => {
	const list = contract({
		name: "things",
		failures: { INVALID_CURSOR: { status: 422, message: "No." } },
		actions: {},
		events: {}
	});
	const listing = { list: "things.list", filters: [] };
	const isNumber = (key: unknown): key is number => typeof key === "number";
	const behind = (cursor?: string) => keyBehind(list, listing, cursor, isNumber);

	it("leads to the next one where one more was found, and only there", () => {
		const first = pageOf(listing, [5, 4, 3], 2, n => n);
		expect(first.items).toEqual([5, 4]);
		expect(behind(first.nextCursor!)).toBe(4);
		expect(pageOf(listing, [5, 4], 2, n => n)).toEqual({ items: [5, 4], nextCursor: null });
		expect(pageOf(listing, [], 2, n => n)).toEqual({ items: [], nextCursor: null });
		expect(behind()).toBeUndefined();
	});

	it.each([
		["of another list", encodeCursor({ list: "others", filters: [] }, 4)],
		["of another key", encodeCursor(listing, "four")],
		["that is none", "x"]
	])("does not begin behind a cursor %s", (_, cursor) => {
		expect(() => behind(cursor)).toThrow(
			expect.objectContaining({ type: "INVALID_CURSOR", code: 422 })
		);
	});
});

import fc from "fast-check";
import { meant, swapped } from "./spelling.ts";

const WORDS = ["lamp", "lamps", "clamp", "chair", "headphones", "keyboard"];
const whole = { isHalf: false };
const half = { isHalf: true };

describe("what was meant", () => {
	it.each([
		["lmp", ["lamp"]],
		["lampp", ["lamp", "lamps"]],
		["lmap", ["lamp"]],
		["lanp", ["lamp"]],
		["chiar", ["chair"]],
		["haedphnes", ["headphones"]],
		["xyz", []],
		["pmal", []]
	])("by %s is %j", (typed, words) => {
		expect(meant(typed, WORDS, whole)).toEqual(words);
	});

	it("by half a word is what begins like it, unless it is short", () => {
		expect(meant("headhpon", WORDS, half)).toEqual(["headphones"]);
		expect(meant("headhpon", WORDS, whole)).toEqual([]);
		expect(meant("keb", WORDS, half)).toEqual([]);
	});

	it("is at most five words, and nothing where there are no candidates", () => {
		const many = Array.from("bcdfghjk", letter => `${letter}at`);
		expect(meant("zat", many, whole)).toEqual(["bat", "cat", "dat", "fat", "gat"]);
		expect(meant("zat", [], whole)).toEqual([]);
	});

	it("is found whatever single error is made in five letters or more", () => {
		const word = fc.string({
			unit: fc.constantFrom("a", "b", "c", "d", "é"),
			minLength: 5,
			maxLength: 12
		});
		const error = fc.constantFrom("drop", "add", "change", "swap");
		fc.assert(
			fc.property(word, error, fc.nat(), (right, kind, place) => {
				const letters = Array.from(right);
				const at = place % (letters.length - 1);
				if (kind === "drop") letters.splice(at, 1);
				if (kind === "add") letters.splice(at, 0, "z");
				if (kind === "change") letters[at] = "z";
				if (kind === "swap") letters.splice(at, 2, letters[at + 1]!, letters[at]!);
				expect(meant(letters.join(""), [right], whole)).toEqual([right]);
			})
		);
	});
});

it("each two neighbours are swapped", () => {
	expect(swapped("lamp")).toEqual(["almp", "lmap", "lapm"]);
	expect(swapped("a")).toEqual([]);
});

import { shareCounted, wayTo, wordsOf } from "./product-search.ts";

describe("words", () => {
	it.each([
		["lamp", ["lamp"], "lamp"],
		["  desk   lamp ", ["desk", "lamp"], "lamp"],
		["desk l", ["desk", "l"], null],
		["LMP-0042", ["LMP-0042"], null],
		["größe", ["größe"], "größe"],
		["!!", ["!!"], null],
		["--", ["-"], null]
	])("of %j are %j, the last of them half %j", (q, all, half) => {
		expect(wordsOf(q)).toMatchObject({ half, ...(q === "--" ? {} : { all, isPlain: true }) });
	});

	it.each(['"desk lamp"', "lamp -desk", "lamp or desk", "lamp OR desk", "-lamp"])(
		"are left as they are where they say more: %s",
		q => {
			expect(wordsOf(q)).toEqual({ all: [q], half: null, isPlain: false });
		}
	);

	it("have no rows of negations", () => {
		expect(wordsOf("- -- ---a").all.join("")).not.toMatch(/-[^\p{L}\p{N}]*-/u);
	});
});

describe("the way to a page", () => {
	it("is a walk where that reads fewer rows, of which four take as long as one that is gathered", () => {
		for (const hits of [0, 1, 5, 10, 20, 40, 400, 3_900]) {
			const walked = Math.ceil((21 * 3_900) / hits);
			const estimate = { hits, of: 3_900 };
			const [byAge, byPrice] = [4, 1].map(ease => (walked < ease * 256 * hits ? "walk" : "gather"));
			expect(wayTo(estimate, "newest", 21)).toBe(byAge);
			expect(wayTo(estimate, "price", 21)).toBe(byPrice);
		}
		expect(wayTo({ hits: 5, of: 3_900 }, "newest", 21)).toBe("gather");
		expect(wayTo({ hits: 10, of: 3_900 }, "newest", 21)).toBe("walk");
		expect(wayTo({ hits: 10, of: 3_900 }, "name", 21)).toBe("gather");
		expect(wayTo({ hits: 20, of: 3_900 }, "name", 21)).toBe("walk");
	});
});

describe("facets", () => {
	it("are counted where there are few, and else in a sample of at most some thousands", () => {
		expect([0, 8].map(hits => shareCounted({ hits }))).toEqual([1, 1]);
		expect([9, 256].map(hits => shareCounted({ hits }))).toEqual([16, 16]);
		expect([257, 4_000].map(hits => shareCounted({ hits }))).toEqual([256, 256]);
	});
});

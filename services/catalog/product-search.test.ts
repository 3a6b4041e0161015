import { shareCounted, walkFor, wayTo, wordsOf } from "./product-search.ts";

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
	it("is as long as the sample has rows between those that fit, and ends with them", () => {
		expect(walkFor({ hits: 4, passed: 8, rows: 4_000 }, 20)).toBe(40);
		expect(walkFor({ hits: 4, passed: 3_900, rows: 4_000 }, 20)).toBe(19_500);
		expect(walkFor({ hits: 4, passed: 9, rows: 10 }, 2_000)).toBe(2_560);
		// Of too few nobody knows where the next one is.
		expect(walkFor({ hits: 2, passed: 2, rows: 4_000 }, 20)).toBe(40_000);
		expect(walkFor({ hits: 0, passed: 0, rows: 3 }, 20)).toBe(768);
		expect(walkFor({ hits: 0, passed: 0, rows: 0 }, 20)).toBe(0);
	});

	it("is a walk where that takes less time than to gather what fits, of which each takes four by age", () => {
		expect(wayTo(2_559, { hits: 10 }, "price")).toBe("walk");
		expect(wayTo(2_560, { hits: 10 }, "price")).toBe("gather");
		expect(wayTo(10_239, { hits: 10 }, "newest")).toBe("walk");
		expect(wayTo(10_240, { hits: 10 }, "newest")).toBe("gather");
	});
});

describe("facets", () => {
	it("are counted where there are few, and else in a sample of at most some thousands", () => {
		expect([0, 8].map(hits => shareCounted({ hits }))).toEqual([1, 1]);
		expect([9, 256].map(hits => shareCounted({ hits }))).toEqual([16, 16]);
		expect([257, 4_000].map(hits => shareCounted({ hits }))).toEqual([256, 256]);
	});
});

import fc from "fast-check";
import { createAjv } from "../../lib/validator.ts";
import { Slug } from "../../contracts/common.ts";
import { alternativesTo, slugOf } from "./slug.ts";

const isSlug = createAjv().compile(Slug);

describe("a slug", () => {
	it.each([
		["Desk lamp", "desk-lamp"],
		["  Äpfel & Öl – groß  ", "apfel-ol-gross"],
		["Ladies' and gentlemen’s", "ladies-and-gentlemens"],
		["½ ﬁne №5", "1-2-fine-no5"],
		["机", "product"],
		["!!!", "product"],
		["0199c0de-0000-7000-8000-000000000001", "product"],
		[`${"a".repeat(99)} b`, "a".repeat(99)]
	])("of %j is %s", (name, slug) => {
		expect(slugOf(name, "product")).toBe(slug);
	});

	it("of whatever name is one, with and without what is put behind it, and its own slug", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.uuid(), (name, unique) => {
				const slug = slugOf(name, "product");
				expect(slugOf(slug, "other")).toBe(slug);
				const all = alternativesTo(slug, unique.slice(0, 8));
				expect(new Set(all).size).toBe(10);
				expect(all[0]).toBe(slug);
				expect(all.filter(alternative => !isSlug(alternative))).toEqual([]);
			}),
			{ numRuns: 500 }
		);
	});

	it("is none where it looks like an id, has odd hyphens or other letters", () => {
		const none = ["0199c0de-0000-7000-8000-000000000001", "a--b", "-a", "a-", "A", "ä", ""];
		for (const text of [...none, "a".repeat(121)]) expect(isSlug(text)).toBe(false);
	});
});

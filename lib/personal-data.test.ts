import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { allContracts } from "../contracts/index.ts";
import { HOLDERS, holdersOf, pageOfLists, type DataList } from "./personal-data.ts";

describe("the holders of personal data", () => {
	it("are all groups of which a contract says so, and one that comes is one of them", () => {
		expect(HOLDERS).toEqual(["users", "catalog", "orders", "notifications"]);
		const reviews = { name: "reviews-data", events: { "reviews-data.erased.v1": {} as never } };
		expect(holdersOf([...allContracts, reviews])).toEqual([...HOLDERS, "reviews"]);
	});
});

/** A list of texts, of so many bytes each. */
function listOf(sizes: readonly number[]): DataList & { readonly keys: readonly string[] } {
	const items = sizes.map(size => ({ key: randomUUID(), item: "x".repeat(size) }));
	return {
		keys: items.map(({ key }) => key),
		async read(after, limit) {
			const start = after === null ? 0 : items.findIndex(({ key }) => key === after) + 1;
			return items.slice(start, start + limit);
		}
	};
}

describe("lists that are handed out", () => {
	it("come whole and in order, page by page, however long and large they are", async () => {
		const sizes = fc.array(fc.oneof(fc.nat(500), fc.integer({ min: 50_000, max: 200_000 })), {
			maxLength: 12
		});
		await fc.assert(
			fc.asyncProperty(sizes, sizes, async (first, second) => {
				const lists = { first: listOf(first), second: listOf(second) };
				const got: Record<string, number[]> = { first: [], second: [] };
				let page = await pageOfLists(lists);
				for (let pages = 1; ; pages++) {
					expect(pages).toBeLessThanOrEqual(first.length + second.length + 1);
					// Each fits, unless it is one item that is larger by itself.
					const texts = Object.values(page.data as Record<string, string[]>).flat();
					expect(texts.length <= 1 || texts.join("").length <= 150_000).toBe(true);
					for (const [name, items] of Object.entries(page.data as Record<string, string[]>))
						got[name]!.push(...items.map(item => item.length));
					if (!page.next) break;
					page = await pageOfLists(lists, page.next);
				}
				expect(got).toEqual({ first, second });
			}),
			{ numRuns: 50 }
		);
	});

	it("come in pages of five hundred at most", async () => {
		const long = listOf(Array.from({ length: 1_100 }, () => 1));
		const first = await pageOfLists({ long });
		expect(first.data["long"]).toHaveLength(500);
		expect(first.next).toEqual({ long: long.keys[499] });
		const last = await pageOfLists({ long }, { long: long.keys[999]! });
		expect(last.data["long"]).toHaveLength(100);
		expect(last.next).toBeNull();
	});

	it.each([
		["other", randomUUID()],
		["long", "1; DROP TABLE users"],
		["toString", ""]
	])("refuse keys that they never gave: %s %s", async (list, key) => {
		await expect(pageOfLists({ long: listOf([1]) }, { [list]: key })).rejects.toMatchObject({
			type: "VALIDATION_ERROR"
		});
	});
});

import fc from "fast-check";
import type { Erased } from "../../contracts/personal-data.ts";
import { awaited, LAST, receiptOf, withAnswer, type Answers } from "./deletion.ts";

const answer = (messages: number): Erased => ({ erased: { messages }, kept: [] });

describe("a deletion", () => {
	it("waits for all holders but the one that carries it through", () => {
		expect(awaited({}, ["users", "orders", "reviews"])).toEqual(["orders", "reviews"]);
		expect(awaited({ orders: answer(1) }, ["users", "orders", "reviews"])).toEqual(["reviews"]);
		expect(awaited({ orders: answer(1) }, [LAST, "orders"])).toEqual([]);
	});

	it("is complete once with the last first answer, in whatever order and however often they come", () => {
		const holders = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), {
			minLength: 1,
			maxLength: 6
		});
		const history = holders.chain(names =>
			fc.tuple(
				fc.constant(names),
				fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(9)), { maxLength: 12 }).chain(again =>
					fc.shuffledSubarray([...again, ...names.map(name => [name, 10] as [string, number])], {
						minLength: again.length + names.length
					})
				)
			)
		);
		fc.assert(
			fc.property(history, ([names, told]) => {
				let answers: Answers = {};
				const first = new Map<string, number>();
				let completed = 0;
				for (const [holder, count] of told) {
					const before = awaited(answers, names);
					if (!first.has(holder)) first.set(holder, count);
					answers = withAnswer(answers, holder, answer(count));
					const after = awaited(answers, names);
					expect(after).toEqual(before.filter(name => name !== holder));
					if (before.length > 0 && after.length === 0) completed++;
				}
				expect(completed).toBe(names.some(name => name !== LAST) ? 1 : 0);
				for (const [holder, count] of first) expect(answers[holder]).toEqual(answer(count));
			})
		);
	});

	it("tells what is gone and what stays, and nothing of what there never was", () => {
		const kept = [{ what: "1 order", why: "tax" }];
		expect(
			receiptOf({
				orders: { erased: { addresses: 1, carts: 0 }, kept },
				catalog: { erased: {}, kept: [] }
			})
		).toEqual([
			{ holder: "orders", erased: { addresses: 1 }, kept },
			{ holder: "catalog", erased: {}, kept: [] }
		]);
	});
});

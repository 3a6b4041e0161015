import fc from "fast-check";
import { isExpired, KEPT_DAYS, mayBeErased } from "./security-details.ts";

const DAY_MS = 86_400_000;
const now = new Date("2030-06-01T12:00:00Z");
const before = (ms: number) => new Date(now.getTime() - ms);
const [ada, bob] = ["ada", "bob"];
const nobody = { userId: null, byId: null };
const somebody = fc.constantFrom(
	{ userId: ada, byId: null },
	{ userId: null, byId: bob },
	{ userId: ada, byId: bob }
);
const days = (count: number) => count * DAY_MS;

describe("details", () => {
	it("are kept for their time, to the millisecond", () => {
		fc.assert(
			fc.property(
				fc.oneof(fc.constant(nobody), somebody),
				fc.oneof(
					fc.integer({ min: -1_000, max: days(2_000) }),
					fc.constantFrom(...Object.values(KEPT_DAYS).flatMap(n => [days(n) - 1, days(n)]))
				),
				(who, age) => {
					const kept = days(who === nobody ? KEPT_DAYS.nobody : KEPT_DAYS.somebody);
					expect(isExpired({ ...who, at: before(age) }, now)).toBe(age >= kept);
				}
			)
		);
	});

	it("of nobody go sooner than those of somebody", () => {
		expect(KEPT_DAYS).toEqual({ nobody: 90, somebody: 730 });
	});

	it("are gone before their time with the user or the actor, and with nobody else", () => {
		const young = { at: before(days(1)) };
		fc.assert(
			fc.property(
				fc.oneof(fc.constant(nobody), somebody),
				fc.uniqueArray(fc.constantFrom(ada, bob, "eve", "null")),
				(who, left) => {
					const gone = new Set(left);
					const isExplained =
						(who.userId === ada && left.includes(ada)) || (who.byId === bob && left.includes(bob));
					expect(mayBeErased({ ...who, ...young }, { gone, now })).toBe(isExplained);
				}
			)
		);
	});

	it("that are old need nobody who has left", () => {
		const at = before(days(KEPT_DAYS.somebody));
		const gone = new Set<string>();
		expect(mayBeErased({ userId: ada, byId: bob, at }, { gone, now })).toBe(true);
	});
});

import { Random } from "./random.ts";
import { kindsOf, scheduleOf, type FaultKind } from "./schedule.ts";

const SEEDS = Array.from({ length: 100 }, (_, seed) => seed);

it("is the same for the same seed, and another for another", () => {
	expect(scheduleOf(7, "small", 40)).toEqual(scheduleOf(7, "small", 40));
	expect(scheduleOf(7, "small", 40)).not.toEqual(scheduleOf(8, "small", 40));
});

it.each([
	["small", 40],
	["small", 10],
	["full", 600],
	["full", 60]
] as const)("has every kind of fault of the profile %s in %d s", (profile, seconds) => {
	for (const seed of SEEDS) {
		const kinds = new Set(scheduleOf(seed, profile, seconds).map(({ kind }) => kind));
		expect(kinds).toEqual(new Set<FaultKind>(kindsOf(profile)));
	}
});

it("has only the kinds that it was asked for", () => {
	const faults = scheduleOf(1, "full", 60, ["cut", "pause"]);
	expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(["cut", "pause"]));
});

it("ends in time, where there is time for all", () => {
	for (const seed of SEEDS) {
		const faults = scheduleOf(seed, "small", 40);
		expect(Math.max(...faults.map(({ atMs, durationMs }) => atMs + durationMs))).toBeLessThan(
			46_000
		);
	}
});

it("leaves a target alone until its fault is over", () => {
	const overlaps = SEEDS.flatMap(seed =>
		[...Map.groupBy(scheduleOf(seed, "full", 300), ({ target }) => target).values()].flatMap(own =>
			own.slice(1).filter(({ atMs }, index) => atMs <= own[index]!.atMs + own[index]!.durationMs)
		)
	);
	expect(overlaps).toEqual([]);
});

describe("chance", () => {
	it("is mulberry32", () => {
		const random = new Random(1);
		// The published reference implementation's first numbers for this seed.
		expect([random.next(), random.next()].map(number => number.toFixed(6))).toEqual([
			"0.627074",
			"0.002736"
		]);
	});

	it("makes UUIDs of version 4", () => {
		const random = new Random(3);
		const ids = new Set(Array.from({ length: 1_000 }, () => random.uuid()));
		expect(ids.size).toBe(1_000);
		for (const id of ids)
			expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	});

	it("shuffles without losing anything", () => {
		const list = [1, 2, 3, 4, 5, 6, 7, 8];
		const shuffled = new Random(1).shuffle(list);
		expect(shuffled).not.toEqual(list);
		expect(shuffled.toSorted((a, b) => a - b)).toEqual(list);
	});
});

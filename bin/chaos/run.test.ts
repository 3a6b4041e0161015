import type { Verdict } from "./checker.ts";
import { judge, lineOf } from "./run.ts";
import { kindsOf, type FaultKind } from "./schedule.ts";

const clean: Verdict = {
	lost: 0,
	phantom: 0,
	double: 0,
	outOfOrder: 0,
	deadLetters: 0,
	unpublished: 0,
	details: []
};
const good = {
	byKind: new Map<FaultKind, number>(kindsOf("small").map(kind => [kind, 1])),
	absorbed: 3,
	quiescedMs: 1_000,
	verdict: clean,
	acknowledged: 10
};

it("is valid and clean where every fault hit, duplicates were absorbed and nothing was found", () => {
	expect(judge(good)).toMatchObject({ valid: true, ok: true, faults: kindsOf("small").length });
});

it.each([
	["no fault", { byKind: new Map<FaultKind, number>() }],
	["no absorbed duplicate", { absorbed: 0 }],
	["no acknowledged command", { acknowledged: 0 }]
])("is invalid with %s, however clean", (_, change) => {
	expect(judge({ ...good, ...change })).toMatchObject({ valid: false, ok: false });
});

it.each(["lost", "phantom", "double", "outOfOrder", "deadLetters", "unpublished"] as const)(
	"is valid but not clean where something is %s",
	kind => {
		const verdict = { ...clean, [kind]: 1 };
		expect(judge({ ...good, verdict })).toMatchObject({ valid: true, ok: false });
	}
);

it("is not clean where it did not become quiet", () => {
	expect(judge({ ...good, quiescedMs: null })).toMatchObject({ valid: true, ok: false });
});

it("is told in one line", () => {
	const rest = { seed: 5, attempts: 12, requests: 15, ended: 0, pending: [] };
	expect(lineOf({ ...judge(good), ...rest })).toBe(
		'{"seed":5,"faults":11,"attempts":12,"acknowledged":10,"lost":0,"phantom":0,"double":0,"outOfOrder":0,"absorbed":3,"quiescedMs":1000,"valid":true}'
	);
});

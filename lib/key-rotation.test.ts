import fc from "fast-check";
import { LAST_TOKEN_SECONDS } from "./access-token.ts";
import { AFTERLIFE_SECONDS, keyStates, rotated } from "./key-rotation.ts";
import { inForce, type KeySet, type PrivateKey } from "./signing-keys.ts";

const START = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number) => new Date(START + seconds * 1_000);
const iso = (seconds: number) => at(seconds).toISOString();
/** Nothing here looks at more of a key than its name and its time. */
const key = (kid: string, time: Partial<PrivateKey> = {}): PrivateKey => ({
	kty: "OKP",
	crv: "Ed25519",
	x: "x",
	d: "d",
	kid,
	...time
});
const setOf = (...keys: PrivateKey[]): KeySet => ({ keys });
const kids = (set: KeySet, now: Date) => inForce(set, now).map(({ kid }) => kid);

describe("the key that signs", () => {
	it("is the first where none says when", () => {
		expect(kids(setOf(key("a"), key("b")), at(0))).toEqual(["a", "b"]);
	});

	it("is the one that began last, wherever it stands", () => {
		const set = setOf(key("a"), key("c", { signsFrom: iso(20) }), key("b", { signsFrom: iso(10) }));
		expect(kids(set, at(9))[0]).toBe("a");
		expect(kids(set, at(10))[0]).toBe("b");
		expect(kids(set, at(20))).toEqual(["c", "a", "b"]);
	});

	it("is the next to begin where none has, as with a clock that is behind", () => {
		const set = setOf(key("b", { signsFrom: iso(20) }), key("a", { signsFrom: iso(10) }));
		expect(kids(set, at(0))).toEqual(["a", "b"]);
	});

	it("is never one that is withdrawn, which is not published either", () => {
		const set = setOf(key("a", { signsFrom: iso(10), until: iso(20) }), key("b"));
		expect(kids(set, at(19))).toEqual(["a", "b"]);
		expect(kids(set, at(20))).toEqual(["b"]);
	});
});

describe("a rotation", () => {
	it("lets the new key wait, and the old one verify for as long as anything of it may live", () => {
		const set = rotated(setOf(key("a")), key("b"), at(0), 60);
		const last = 60 + AFTERLIFE_SECONDS;
		expect(set).toEqual(setOf(key("b", { signsFrom: iso(60) }), key("a", { until: iso(last) })));
		const states = (seconds: number) => keyStates(set, at(seconds)).map(({ state }) => state);
		expect(states(59)).toEqual(["waiting", "signing"]);
		expect(states(60)).toEqual(["signing", "verifying"]);
		expect(states(last)).toEqual(["signing", "withdrawn"]);
		expect(rotated(set, key("c"), at(last)).keys.map(({ kid }) => kid)).toEqual(["c", "b"]);
	});

	it("comes after one that is still under way", () => {
		const set = rotated(rotated(setOf(key("a")), key("b"), at(0), 60), key("c"), at(1), 5);
		expect(kids(set, at(59))[0]).toBe("a");
		expect(kids(set, at(60))[0]).toBe("c");
	});

	it("tells nothing secret of a key", () => {
		for (const state of keyStates(rotated(setOf(key("a")), key("b"), at(0)), at(0)))
			expect(Object.keys(state).sort()).toEqual(["kid", "signsFrom", "state", "until"]);
	});

	const seconds = (max: number) => fc.integer({ min: 0, max: max * 1_000 }).map(ms => ms / 1_000);
	const rotation = fc.record({ after: seconds(1_500), overlap: fc.integer({ min: 0, max: 300 }) });

	/** A set for each moment: what stands in the file after these rotations. */
	const history = (count: number, rotations: readonly { after: number; overlap: number }[]) => {
		let since = 0;
		let set = setOf(...Array.from({ length: count }, (_, n) => key(`first${n}`)));
		const sets = [{ since: -Infinity, set, overlap: 0 }];
		rotations.forEach(({ after, overlap }, n) => {
			since += after;
			set = rotated(set, key(`key${n}`), at(since), overlap);
			sets.push({ since, set, overlap });
		});
		return sets;
	};

	/**
	 * Nodes read the file late, yet before the overlap is over: `lag` from 0 to 1 says by how much of it.
	 * At each moment one signs, and its token verifies as long as it may be taken, whoever is asked.
	 */
	const holds = (
		sets: ReturnType<typeof history>,
		signedAt: number,
		heldFor: number,
		[signerLag, verifierLag]: readonly [number, number]
	) => {
		const readBy = (moment: number, lag: number) =>
			sets.findLast(({ since, overlap }) => since + lag * overlap <= moment)!.set;
		const [signer] = inForce(readBy(signedAt, signerLag), at(signedAt));
		const asked = signedAt + heldFor * LAST_TOKEN_SECONDS;
		return kids(readBy(asked, verifierLag), at(asked)).includes(signer.kid);
	};
	const moments = [
		fc.integer({ min: 1, max: 3 }),
		fc.array(rotation, { maxLength: 8 }),
		seconds(10_000),
		fc.double({ min: 0, max: 0.999, noNaN: true }),
		fc.tuple(
			fc.double({ min: 0, max: 0.999, noNaN: true }),
			fc.double({ min: 0, max: 0.999, noNaN: true })
		)
	] as const;

	it("of any kind and number leaves no token without its key", () => {
		fc.assert(
			fc.property(...moments, (count, rotations, signedAt, heldFor, lags) => {
				expect(holds(history(count, rotations), signedAt, heldFor, lags)).toBe(true);
			}),
			{ numRuns: 2_000 }
		);
	});

	it("that withdrew a key a second before its last token ends would be found out", () => {
		const tooSoonMs = (AFTERLIFE_SECONDS - LAST_TOKEN_SECONDS + 1) * 1_000;
		const hasty = (sets: ReturnType<typeof history>) =>
			sets.map(({ set, ...rest }) => ({
				...rest,
				set: setOf(
					...set.keys.map(({ until, ...each }) => ({
						...each,
						...(until ? { until: new Date(Date.parse(until) - tooSoonMs).toISOString() } : {})
					}))
				)
			}));
		const sets = hasty(history(1, [{ after: 100, overlap: 60 }]));
		expect(holds(sets, 159.9, 0.9999, [0, 0])).toBe(false);
	});
});

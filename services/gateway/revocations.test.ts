import { ACCESS_TOKEN_SECONDS, CLOCK_TOLERANCE_SECONDS } from "../../lib/access-token.ts";
import { Revocations, type Revocation } from "./revocations.ts";

describe("revocations", () => {
	let now: number;
	let asked: { withinSeconds?: number }[];
	let answer: () => Promise<Revocation[]>;
	let revocations: Revocations;
	const end = Date.parse("2026-01-01T00:15:00Z");
	const ended = (sessionId: string) => ({ sessionId, until: new Date(end).toISOString() });
	beforeEach(() => {
		now = 5;
		asked = [];
		answer = async () => [];
		revocations = new Revocations({
			ask(params) {
				asked.push(params);
				return answer();
			},
			now: () => now
		});
	});
	const readAfter = async (ms: number) => {
		now += ms;
		await revocations.read();
		return asked.at(-1);
	};

	it("are kept until no token of the session is taken any more, and no longer", () => {
		revocations.add(ended("a"));
		revocations.prune(end + CLOCK_TOLERANCE_SECONDS * 1_000);
		expect([revocations.has("a"), revocations.has("b")]).toEqual([true, false]);
		revocations.prune(end + ACCESS_TOKEN_SECONDS * 1_000);
		expect(revocations.has("a")).toBe(false);
	});

	it("are not known before all have been read", async () => {
		expect([revocations.areKnown, revocations.ageMs]).toEqual([false, Infinity]);
		answer = () => Promise.reject(new Error("away"));
		await expect(revocations.read()).rejects.toThrow("away");
		expect(revocations.areKnown).toBe(false);
		answer = async () => [ended("a")];
		expect(await readAfter(500)).toEqual({});
		expect([revocations.areKnown, revocations.ageMs, revocations.has("a")]).toEqual([
			true,
			0,
			true
		]);
	});

	it("of late are asked for, with those of transactions that were open, and all at times", async () => {
		expect(await readAfter(0)).toEqual({});
		expect(await readAfter(500)).toEqual({ withinSeconds: 11 });
		expect(await readAfter(2_600)).toEqual({ withinSeconds: 13 });
		expect(await readAfter(26_899)).toEqual({ withinSeconds: 37 });
		expect(await readAfter(1)).toEqual({});
		expect(await readAfter(500)).toEqual({ withinSeconds: 11 });
	});

	it("are asked for from where they were known, after a time in which nobody answered", async () => {
		await readAfter(0);
		answer = () => Promise.reject(new Error("away"));
		await expect(readAfter(4_000)).rejects.toThrow("away");
		await expect(readAfter(4_000)).rejects.toThrow("away");
		expect(revocations.ageMs).toBe(8_000);
		answer = async () => [ended("a")];
		expect(await readAfter(500)).toEqual({ withinSeconds: 19 });
		expect(revocations.has("a")).toBe(true);
		answer = () => Promise.reject(new Error("away"));
		await expect(readAfter(60_000)).rejects.toThrow("away");
		answer = async () => [];
		expect(await readAfter(500)).toEqual({});
	});

	it("that end while others are read are asked for the next time", async () => {
		await readAfter(0);
		answer = async () => {
			now += 3_000;
			return [];
		};
		await readAfter(500);
		answer = async () => [];
		expect(await readAfter(500)).toEqual({ withinSeconds: 14 });
	});
});

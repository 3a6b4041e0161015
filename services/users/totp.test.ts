import fc from "fast-check";
import { hashOfRecoveryCode, newRecoveryCode } from "./recovery-code.ts";
import { codeOfStep, enrolmentOf, newTotpSecret, pauseAfter, stepAt, stepOf } from "./totp.ts";

const secret = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(bytes => Buffer.from(bytes));
const now = fc.date({ min: new Date(1e12), max: new Date(4e12), noInvalidDate: true });

describe("a code of an authenticator", () => {
	// RFC 6238, appendix B; its eight digits end with our six.
	it.each([
		[59, "287082"],
		[1_111_111_109, "081804"],
		[1_111_111_111, "050471"],
		[1_234_567_890, "005924"],
		[2_000_000_000, "279037"],
		[20_000_000_000, "353130"]
	])("is that of the specification after %d seconds", (seconds, code) => {
		const known = Buffer.from("12345678901234567890");
		const at = new Date(1_000 * seconds);
		expect(codeOfStep(known, stepAt(at))).toBe(code);
		expect(stepOf(known, code, at)).toBe(stepAt(at));
	});

	it("is taken in its step and its two neighbours, and names its step", () => {
		fc.assert(
			fc.property(secret, now, fc.integer({ min: -1, max: 1 }), (key, at, delta) => {
				const step = stepAt(at) + delta;
				const code = codeOfStep(key, step);
				// Two of three neighbours have the same code once in a million: the nearer one is meant.
				fc.pre(new Set([-1, 0, 1].map(n => codeOfStep(key, stepAt(at) + n))).size === 3);
				expect(stepOf(key, code, at)).toBe(step);
			})
		);
	});

	it("is refused in every other step", () => {
		fc.assert(
			fc.property(
				secret,
				now,
				fc.integer({ min: 2, max: 100_000 }),
				fc.boolean(),
				(key, at, n, late) => {
					const code = codeOfStep(key, stepAt(at) + (late ? -n : n));
					fc.pre([-1, 0, 1].every(delta => codeOfStep(key, stepAt(at) + delta) !== code));
					expect(stepOf(key, code, at)).toBeUndefined();
				}
			)
		);
	});

	it("is refused for another secret", () => {
		fc.assert(
			fc.property(secret, secret, now, (key, other, at) => {
				const code = codeOfStep(key, stepAt(at));
				fc.pre([-1, 0, 1].every(delta => codeOfStep(other, stepAt(at) + delta) !== code));
				expect(stepOf(other, code, at)).toBeUndefined();
			})
		);
	});
});

describe("the pause after wrong codes", () => {
	it("comes after the fifth in a row, and doubles up to an hour", () => {
		expect([0, 4, 5, 6, 7, 11, 12, 5_000].map(pauseAfter)).toEqual([
			0, 0, 30, 60, 120, 1_920, 3_600, 3_600
		]);
	});
});

describe("an enrolment", () => {
	it("tells an authenticator the same secret twice, and whose it is", () => {
		const key = newTotpSecret();
		const told = enrolmentOf(key, "ada+x@example.com");
		const uri = new URL(told.uri);
		expect(uri.href).toMatch(/^otpauth:\/\/totp\/Valence:ada%2Bx%40example.com\?/);
		expect(Object.fromEntries(uri.searchParams)).toEqual({
			issuer: "Valence",
			secret: told.secret,
			algorithm: "SHA1",
			digits: "6",
			period: "30"
		});
		expect(told.secret).toMatch(/^[A-Z2-7]{32}$/);
	});

	it("has a secret of its own", () => {
		const secrets = Array.from({ length: 100 }, () => newTotpSecret());
		expect(new Set(secrets.map(key => key.toString("hex"))).size).toBe(100);
		for (const key of secrets) expect(key).toHaveLength(20);
	});
});

describe("a recovery code", () => {
	const code = fc.constant(null).map(newRecoveryCode);

	it("is the same however it is typed", () => {
		const typed = fc.record({
			lower: fc.boolean(),
			dashes: fc.boolean(),
			zero: fc.constantFrom("0", "O", "o"),
			one: fc.constantFrom("1", "I", "l")
		});
		fc.assert(
			fc.property(code, typed, (written, { lower, dashes, zero, one }) => {
				const letters = lower ? written.toLowerCase() : written;
				const meant = letters.replaceAll("0", zero).replaceAll("1", one);
				const sent = dashes ? meant : meant.replaceAll("-", "");
				expect(hashOfRecoveryCode(sent)).toEqual(hashOfRecoveryCode(written));
			})
		);
	});

	it("is another one each time, of letters that nobody mistakes", () => {
		const codes = Array.from({ length: 1_000 }, newRecoveryCode);
		expect(new Set(codes.map(each => hashOfRecoveryCode(each).toString("hex"))).size).toBe(1_000);
		for (const each of codes)
			expect(each).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}$/);
		expect(new Set(codes.join("").replaceAll("-", "")).size).toBe(32);
	});
});

import { hash as argon2, parseOptions } from "@node-rs/argon2";
import { AT_ONCE, Passwords, WAITING } from "./password.ts";

describe("passwords", () => {
	const passwords = new Passwords();

	it("are hashed by Argon2id with 19 MiB, two passes and one lane, each with a salt of its own", async () => {
		const [one, other] = await Promise.all([
			passwords.hash("correct horse"),
			passwords.hash("correct horse")
		]);
		expect(one).toMatch(/^\$argon2id\$/);
		expect(parseOptions(one)).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1 });
		expect(one).not.toBe(other);
	});

	it("verify, whole: none is cut short", async () => {
		const long = "x".repeat(127);
		const hash = await passwords.hash(`${long}a`);
		expect(await passwords.verify(hash, `${long}a`)).toBe(true);
		expect(await passwords.verify(hash, `${long}b`)).toBe(false);
	});

	it("are the same however a keyboard composes their letters", async () => {
		const hash = await passwords.hash("caf\u00e9-au-lait");
		expect(await passwords.verify(hash, "cafe\u0301-au-lait")).toBe(true);
	});

	it("never verify where there is no hash", async () => {
		expect(await passwords.verify(undefined, "")).toBe(false);
		expect(await passwords.verify(null, "correct horse")).toBe(false);
	});

	// Made by libxcrypt, as PHP, Apache and the others do.
	const SALT = "$08$abcdefghijklmnopqrstuu";
	const foreign = {
		"2a": `$2a${SALT}wezlW09AGl.Qc8oiYvHEzrpumH/GaSu`,
		"2b": `$2b${SALT}wezlW09AGl.Qc8oiYvHEzrpumH/GaSu`,
		"2y": `$2y${SALT}wezlW09AGl.Qc8oiYvHEzrpumH/GaSu`
	};
	const composed = `$2y${SALT}Q.EbWkpH9t5rxrZ1D69wcC0CUW2A3aO`;
	const decomposed = `$2y${SALT}fPq4.ldDZc.4YdgwDJmerAjv7MmJrLm`;
	const seventyTwo = `$2y${SALT}jyJJZFHxfP7uFcWoV4k5KREorUKVI2K`;

	it.each(Object.entries(foreign))("verify where they were hashed as $%s$", async (_, hash) => {
		expect(await passwords.verify(hash, "correct horse battery")).toBe(true);
		expect(await passwords.verify(hash, "correct horse batterz")).toBe(false);
		expect(await passwords.verify(hash, "")).toBe(false);
	});

	it("verify as they were typed elsewhere, and in our form", async () => {
		expect(await passwords.verify(composed, "caf\u00e9-au-lait")).toBe(true);
		expect(await passwords.verify(composed, "cafe\u0301-au-lait")).toBe(true);
		expect(await passwords.verify(decomposed, "cafe\u0301-au-lait")).toBe(true);
		expect(await passwords.verify(decomposed, "cafe-au-lait")).toBe(false);
	});

	it("of more than 72 bytes verify by those, as they did elsewhere, and are renewed whole", async () => {
		const long = `${"x".repeat(72)}and more`;
		expect(await passwords.verify(seventyTwo, long)).toBe(true);
		expect(await passwords.verify(seventyTwo, "x".repeat(71))).toBe(false);
		const renewed = await passwords.renewed(seventyTwo, long);
		expect(await passwords.verify(renewed, long)).toBe(true);
		expect(await passwords.verify(renewed, "x".repeat(72))).toBe(false);
	});

	it("are renewed where their hash is not of today's kind, and only there", async () => {
		const today = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };
		const PASSWORD = "correct horse battery";
		for (const other of [
			{ memoryCost: 12_288 },
			{ timeCost: 1 },
			{ parallelism: 2 },
			{ memoryCost: 65_536 },
			{ algorithm: 1 },
			{ version: 0 },
			{ outputLen: 16 },
			{ salt: Buffer.alloc(8) }
		]) {
			const hash = await argon2(PASSWORD, { ...today, ...other });
			expect(await passwords.verify(hash, PASSWORD)).toBe(true);
			const renewed = await passwords.renewed(hash, PASSWORD);
			expect({ other, ...parseOptions(renewed!) }).toMatchObject({ other, ...today });
			expect(await passwords.verify(renewed, PASSWORD)).toBe(true);
		}
		expect(await passwords.renewed(await passwords.hash(PASSWORD), PASSWORD)).toBeUndefined();
		expect(await passwords.renewed(foreign["2b"], PASSWORD)).toMatch(/^\$argon2id\$/);
	});

	it("are refused with BUSY when a hundred wait", async () => {
		const results = await Promise.allSettled(
			Array.from({ length: AT_ONCE + WAITING + 1 }, () => passwords.hash("correct horse"))
		);
		const refused = results.filter(
			({ status }) => status === "rejected"
		) as PromiseRejectedResult[];
		expect(refused).toHaveLength(1);
		expect(refused[0]!.reason).toMatchObject({ type: "BUSY", code: 503 });
	});
});

import { parseOptions } from "@node-rs/argon2";
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

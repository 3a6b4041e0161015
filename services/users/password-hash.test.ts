import { hash } from "@node-rs/argon2";
import { problemOf } from "./password-hash.ts";

const BODY = "abcdefghijklmnopqrstuuwezlW09AGl.Qc8oiYvHEzrpumH/GaSu";
const argon2id = (cost: object) => hash("correct horse", { algorithm: 2, ...cost });

describe("a hash of another system", () => {
	it.each(["$2a$04$", "$2b$10$", "$2y$13$"])("is taken over as %s…", prefix => {
		expect(problemOf(prefix + BODY)).toBeUndefined();
	});

	it.each([
		["a dear one", `$2b$14$${BODY}`, /^is of cost 14, above 13$/],
		["one of no cost", `$2b$03$${BODY}`, /^is neither/],
		["the broken kind", `$2x$10$${BODY}`, /^is neither/],
		["one cut short", `$2b$10$${BODY.slice(1)}`, /^is neither/],
		["one with something after it", `$2b$10$${BODY}\n`, /^is neither/],
		["a plain password", "correct horse", /^is neither/],
		["MD5", "5f4dcc3b5aa765d61d8327deb882cf99", /^is neither/],
		["Argon2 cut short", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$", /^is neither/]
	])("is not where it is %s", (_, text, problem) => {
		expect(problemOf(text)).toMatch(problem);
	});

	it("is taken over as Argon2id, as long as a log-in can pay for it", async () => {
		expect(problemOf(await argon2id({ memoryCost: 65_536, timeCost: 4 }))).toBeUndefined();
		expect(problemOf(await argon2id({ memoryCost: 64, timeCost: 1 }))).toBeUndefined();
		for (const cost of [
			{ memoryCost: 65_537, timeCost: 1 },
			{ memoryCost: 65_536, timeCost: 5 },
			{ memoryCost: 1_024, timeCost: 1, parallelism: 9 }
		])
			expect(problemOf(await argon2id(cost))).toMatch(/^takes m=\d+, t=\d, p=\d, above m=65536/);
		expect(problemOf(await argon2id({ algorithm: 1 }))).toMatch(/^is neither/);
		expect(problemOf(await argon2id({ version: 0 }))).toMatch(/^is neither/);
	});
});

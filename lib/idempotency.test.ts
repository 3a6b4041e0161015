import { randomUUID } from "node:crypto";
import { testDatabase } from "../tests/support/database.ts";
import type { Database } from "./database.ts";
import { once } from "./idempotency.ts";

let db: Database;
beforeAll(async () => {
	db = await testDatabase("orders");
});
afterAll(() => db.close());

const fresh = () => ({
	userId: randomUUID(),
	action: "things.make",
	key: randomUUID(),
	request: { a: 1, b: { c: [1, 2], d: null } } as unknown
});
let done = 0;
beforeEach(() => {
	done = 0;
});
const run = (options: ReturnType<typeof fresh>) =>
	db.transaction(tx => once(tx, options, async () => ({ number: ++done })));

describe("a command with an Idempotency-Key", () => {
	it("is done once and answers the same again", async () => {
		const options = fresh();
		expect(await run(options)).toEqual({ number: 1 });
		expect(await run(options)).toEqual({ number: 1 });
		expect(done).toBe(1);
	});

	it("is done once however many ask at the same time", async () => {
		const options = fresh();
		const answers = await Promise.all(Array.from({ length: 20 }, () => run(options)));
		expect(answers).toEqual(answers.map(() => ({ number: 1 })));
		expect(done).toBe(1);
	});

	it("is done by the next one when the first fails", async () => {
		const options = fresh();
		let second: Promise<object> | undefined;
		const first = db.transaction(tx =>
			once(tx, options, async () => {
				second = run(options);
				// Long enough for the second one to begin, and to wait for us.
				await tx.query("SELECT pg_sleep(0.05)");
				throw new Error("no");
			})
		);
		await expect(first).rejects.toThrow("no");
		expect(await second).toEqual({ number: 1 });
	});

	it("does not mind the order of fields, at any depth", async () => {
		const options = fresh();
		await run(options);
		expect(await run({ ...options, request: { b: { d: null, c: [1, 2] }, a: 1 } })).toEqual({
			number: 1
		});
	});

	it.each([
		["another value", { a: 2, b: { c: [1, 2], d: null } }],
		["another order of a list", { a: 1, b: { c: [2, 1], d: null } }],
		["a field less", { a: 1, b: { c: [1, 2] } }],
		["a string for a number", { a: "1", b: { c: [1, 2], d: null } }],
		["nothing", null]
	])("is refused with %s", async (_, request) => {
		const options = fresh();
		await run(options);
		await expect(run({ ...options, request })).rejects.toMatchObject({
			type: "IDEMPOTENCY_KEY_REUSED",
			code: 422
		});
	});

	it.each(["userId", "action", "key"] as const)("is another one with another %s", async part => {
		const options = fresh();
		await run(options);
		expect(await run({ ...options, [part]: randomUUID() })).toEqual({ number: 2 });
	});

	it("is forgotten after 24 hours, and not before", async () => {
		const options = fresh();
		const age = (hours: number) =>
			db.query(
				"UPDATE idempotency_key SET created_at = clock_timestamp() - $2 * interval '1 hour' WHERE key = $1",
				[options.key, hours]
			);
		await run(options);
		await age(23.9);
		expect(await run(options)).toEqual({ number: 1 });
		await age(24.1);
		expect(await run({ ...options, request: "another" })).toEqual({ number: 2 });
		// It counts from then on.
		expect(await run({ ...options, request: "another" })).toEqual({ number: 2 });
	});
});

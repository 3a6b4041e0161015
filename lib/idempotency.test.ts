import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { Type } from "typebox";
import { Params } from "../contracts/common.ts";
import { testDatabase } from "../tests/support/database.ts";
import type { ActionContract } from "./contract.ts";
import type { Database, Tx } from "./database.ts";
import { KEY_HEADER, keeping, keepsKeys, once, type Transact } from "./idempotency.ts";
import type { Meta } from "./identity.ts";
import { bindRuntime, type Runtime } from "./runtime.ts";

let db: Database;
beforeAll(async () => {
	db = await testDatabase("orders");
});
afterAll(() => db.close());

const fresh = () => ({
	callerId: randomUUID(),
	action: "things.make",
	key: randomUUID(),
	request: { a: 1, b: { c: [1, 2], d: null } } as unknown
});
let done = 0;
beforeEach(() => {
	done = 0;
});
const run = (options: ReturnType<typeof fresh>, meanwhile?: (tx: Tx) => Promise<unknown>) =>
	once(db, options, transaction =>
		transaction(async tx => {
			await meanwhile?.(tx);
			return { number: ++done };
		})
	);
/** Resolves once this is in the middle of its work, and then does not end before it is told to. */
function held(options: ReturnType<typeof fresh>) {
	let finish = () => {};
	const finished = new Promise<void>(resolve => (finish = resolve));
	let working = () => {};
	const isWorking = new Promise<void>(resolve => (working = resolve));
	const answer = run(options, async () => {
		working();
		await finished;
	});
	return { answer, isWorking, finish };
}

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
		const first = run(options, async tx => {
			second = run(options);
			// Long enough for the second one to begin, and to wait for us.
			await tx.query("SELECT pg_sleep(0.05)");
			throw new Error("no");
		});
		await expect(first).rejects.toThrow("no");
		expect(await second).toEqual({ number: 1 });
	});

	it("is waited for where it ends soon", async () => {
		const options = fresh();
		const first = held(options);
		await first.isWorking;
		const second = run(options);
		await sleep(120);
		first.finish();
		expect(await second).toEqual(await first.answer);
		expect(done).toBe(1);
	});

	it("is refused while an equal one takes long, and holds up no connection meanwhile", async () => {
		const options = fresh();
		const first = held(options);
		await first.isWorking;
		const began = Date.now();
		// More than there are connections.
		const others = Array.from({ length: 8 }, () => run(options));
		const settled = Promise.allSettled(others);
		await sleep(300);
		expect(await Promise.race([db.query("SELECT 1"), sleep(500, "no connection")])).toHaveLength(1);
		for (const other of await settled)
			expect(other).toMatchObject({
				status: "rejected",
				reason: { type: "IDEMPOTENCY_IN_PROGRESS", code: 409 }
			});
		expect(Date.now() - began).toBeLessThan(4_000);
		first.finish();
		expect(await first.answer).toEqual({ number: 1 });
		expect(await run(options)).toEqual({ number: 1 });
	});

	describe("whose answer is made after its transaction", () => {
		let made = 0;
		const command = (
			options: ReturnType<typeof fresh>,
			make = async (n: number) => ({ n, made: ++made })
		) => once(db, options, async transaction => make(await transaction(async () => ++done)));
		beforeEach(() => {
			made = 0;
		});

		it("gets that answer again", async () => {
			const options = fresh();
			const first = await command(options);
			expect(first).toEqual({ n: 1, made: 1 });
			expect(await command(options)).toEqual(first);
		});

		it("gets one answer however many ask at the same time", async () => {
			const options = fresh();
			const answers = await Promise.all(Array.from({ length: 12 }, () => command(options)));
			for (const answer of answers) expect(answer).toEqual(answers[0]);
			expect(done).toBe(1);
		});

		it("gets it though by now the command would be refused before its transaction", async () => {
			const options = fresh();
			const refused = once(db, options, async () => {
				// An equal one has been faster.
				await command(options);
				throw new Error("It is gone.");
			});
			expect(await refused).toEqual({ n: 1, made: 1 });
		});

		it("gets one from what the transaction returned where there was none before", async () => {
			const options = fresh();
			const fails = command(options, async () => {
				throw new Error("The process has died.");
			});
			await expect(fails).rejects.toThrow("died");
			expect(await command(options)).toEqual({ n: 1, made: 1 });
			expect(await command(options)).toEqual({ n: 1, made: 1 });
			expect(done).toBe(1);
		});
	});

	it("cannot be kept by a command without a transaction, or with two", async () => {
		await expect(once(db, fresh(), async () => 1)).rejects.toThrow("no transaction");
		const two = once(db, fresh(), async transaction => {
			await transaction(async () => 1);
			return transaction(async () => 2);
		});
		await expect(two).rejects.toThrow("two transactions");
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

	it.each(["callerId", "action", "key"] as const)("is another one with another %s", async part => {
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

describe("an action whose clients may send a key", () => {
	const contract = {
		summary: "",
		access: "public",
		rest: { route: "POST /things", tag: "", headers: { prefer: "prefer" } },
		params: Params({
			name: Type.Optional(Type.String()),
			password: Type.Optional(Type.String({ writeOnly: true })),
			prefer: Type.Optional(Type.String())
		}),
		result: Type.Unknown()
	} as const satisfies ActionContract;
	const send = (
		params: Record<string, unknown>,
		{ key, meta = {} }: { key?: string; meta?: Meta } = {},
		handler?: (this: { transaction: Transact }) => Promise<unknown>
	) => {
		const broker = {} as ServiceBroker;
		bindRuntime(broker, { config: { NODE_ENV: "test" } } as Runtime);
		const service = { broker, db, transaction: db.transaction.bind(db) };
		const handle =
			handler ??
			function (this: { transaction: Transact }) {
				return this.transaction(async () => ({ number: ++done }));
			};
		return keeping("things.make", contract, handle).call(service, {
			params,
			meta,
			headers: key ? { [KEY_HEADER]: key } : {}
		});
	};

	it("takes effect each time without one, and once with one", async () => {
		expect(await send({})).toEqual({ number: 1 });
		expect(await send({})).toEqual({ number: 2 });
		const key = randomUUID();
		expect(await send({}, { key })).toEqual({ number: 3 });
		expect(await send({}, { key })).toEqual({ number: 3 });
	});

	it("knows guests by their carts, or else by their addresses", async () => {
		const key = randomUUID();
		const from = (address: string) => ({ key, meta: { client: { address, device: "" } } });
		await send({}, from("10.0.0.1"));
		expect(await send({}, from("10.0.0.1"))).toEqual({ number: 1 });
		expect(await send({}, from("10.0.0.2"))).toEqual({ number: 2 });
		expect(await send({ cartToken: "a" }, from("10.0.0.1"))).toEqual({ number: 3 });
		expect(await send({ cartToken: "a" }, from("10.0.0.2"))).toEqual({ number: 3 });
		expect(await send({ cartToken: "b" }, from("10.0.0.1"))).toEqual({ number: 4 });
	});

	it("compares neither headers nor secrets, and keeps nothing that they could be found by", async () => {
		const key = randomUUID();
		await send({ name: "a", password: "one", prefer: "wait=1" }, { key });
		expect(await send({ name: "a", password: "two" }, { key })).toEqual({ number: 1 });
		await expect(send({ name: "b", password: "one" }, { key })).rejects.toMatchObject({
			type: "IDEMPOTENCY_KEY_REUSED"
		});
	});

	it("must use the one transaction that a key could be kept in", async () => {
		await expect(send({}, {}, async () => 1)).rejects.toThrow("used this.transaction 0 times");
	});

	it.each([
		["GET /things", undefined, false],
		["POST /things", undefined, true],
		["PUT /things", undefined, true],
		["DELETE /things", undefined, true],
		["POST /things", "refused", false],
		["POST /things", "harmless", false]
	] as const)("is that of %s, %s: %s", (route, idempotencyKey, expected) => {
		const rest = { route, tag: "", ...(idempotencyKey ? { idempotencyKey } : {}) };
		expect(keepsKeys({ rest })).toBe(expected);
	});
});

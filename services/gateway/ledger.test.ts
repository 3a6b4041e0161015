import { setTimeout as sleep } from "node:timers/promises";
import { BreakableServer } from "../../bin/breakable-server.ts";
import { until } from "../../tests/support/until.ts";
import { Ledger, LedgerAway } from "./ledger.ts";

const policy = { name: "few", points: 10, seconds: 60 };
const silent = { warn() {}, info() {} } as never;

describe("the ledger of one process", () => {
	it("counts, tells what is left, and takes points back", async () => {
		const bucket = new Ledger(undefined, silent).bucket(policy, { isStrict: true });
		expect(await bucket.take("a", 7)).toMatchObject({ isExceeded: false, remaining: 3 });
		expect(await bucket.take("b", 1)).toMatchObject({ isExceeded: false, remaining: 9 });
		expect(await bucket.take("a", 4)).toMatchObject({ isExceeded: true, remaining: 0 });
		await bucket.giveBack("a", 4);
		expect(await bucket.take("a", 1)).toMatchObject({ isExceeded: false, remaining: 2 });
	});
});

describe("the ledger in Redis", () => {
	let redis: BreakableServer;
	const ledgers: Ledger[] = [];
	const open = async () => {
		const ledger = new Ledger(redis.url, silent);
		ledgers.push(ledger);
		await ledger.open();
		return ledger;
	};
	beforeEach(async () => {
		redis = await BreakableServer.redis();
	});
	afterEach(async () => {
		for (const ledger of ledgers.splice(0)) ledger.close();
		await redis.stop();
	});

	it("is one for all, also for what comes at once", async () => {
		const buckets = await Promise.all(
			[0, 1].map(async () => (await open()).bucket(policy, { isStrict: true }))
		);
		const balances = await Promise.all(
			Array.from({ length: 30 }, (_, i) => buckets[i % 2]!.take("a", 1))
		);
		expect(balances.filter(({ isExceeded }) => !isExceeded)).toHaveLength(policy.points);
	});

	it("is counted strictly by Redis alone, and else by each process meanwhile", async () => {
		const ledger = await open();
		const [strict, lenient] = [true, false].map(isStrict => ledger.bucket(policy, { isStrict }));
		await redis.kill();
		await expect(strict!.take("a", 1)).rejects.toThrow(LedgerAway);
		expect(await lenient!.take("a", 1)).toMatchObject({ remaining: 9 });
		await redis.start();
		const balance = await until(
			() => strict!.take("a", 1).catch(() => undefined),
			"a point taken with Redis back"
		);
		expect(balance.remaining).toBe(9);
	});

	it("does not ask again at once what has failed, so that few wait for it", async () => {
		const ledger = await open();
		let asked = 0;
		const hang = async () => {
			asked++;
			throw new Error("Command timed out");
		};
		for (let i = 0; i < 5; i++) await expect(ledger.ask(hang)).rejects.toThrow(LedgerAway);
		expect(asked).toBe(1);
		await sleep(1_100);
		expect(await ledger.ask(async () => "answer")).toBe("answer");
	});
});

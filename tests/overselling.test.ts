/**
 * Two hundred buyers at once for fifty units, on two nodes of the catalog, one of which is killed in the
 * midst of them: round by round, each with a product of its own. `STOCK_ROUNDS` says how many rounds.
 */
import { randomUUID } from "node:crypto";
import { BreakableServer } from "../bin/breakable-server.ts";
import type { Events, Fact } from "../contracts/index.ts";
import { databaseUrl, readConfig, type Config } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import type { Envelope } from "../lib/events/envelope.ts";
import { JetStream } from "../lib/events/jetstream.ts";
import { DONE, type EventStream } from "../lib/events/stream.ts";
import { migrate } from "../lib/migrations.ts";
import { addCategory, addProduct, wrongStock } from "../services/catalog/catalog.fixtures.ts";
import { testConfig } from "./support/node.ts";
import { eventually, launch } from "./support/process.ts";
import { publish } from "./support/publisher.ts";

const ROUNDS = Number(process.env["STOCK_ROUNDS"] ?? 3);
const BUYERS = 200;
const UNITS = 50;
const ROUND_MS = 60_000;

type Answer = Extract<Fact, `inventory.${string}`>;
const LAST: readonly Answer[] = [
	"inventory.rejected.v1",
	"inventory.committed.v1",
	"inventory.released.v1"
];

/** An order of another group, as its buyer drives it. */
class Buyer {
	readonly orderId = randomUUID();
	readonly answers: Answer[] = [];
	readonly #stream: EventStream;
	readonly #items: Events["order.created.v1"]["items"];
	readonly #mood = Math.random();
	readonly #heard = new Set<string>();
	#version = 0;
	#cancelled = false;

	constructor(stream: EventStream, productId: string) {
		this.#stream = stream;
		this.#items = [{ productId, quantity: 1 }];
	}

	/** Most wait to be answered; some change their mind at once, and of a few the cancellation comes first. */
	async buy(): Promise<void> {
		if (this.#mood < 0.05) await this.#cancel();
		await this.#tell("order.created.v1", { items: this.#items, total: TOTAL });
		if (this.#mood > 0.9) await this.#cancel();
	}

	/** Of those who get one, every fourth cancels. What comes twice was heard before. */
	async hear(id: string, answer: Answer): Promise<void> {
		if (this.#heard.has(id)) return;
		this.#heard.add(id);
		this.answers.push(answer);
		if (answer !== "inventory.reserved.v1" || this.#mood < 0.05 || this.#mood > 0.9) return;
		if (Math.random() < 0.25) await this.#cancel();
		else await this.#tell("order.paid.v1", { total: TOTAL });
	}

	get isDone(): boolean {
		const last = this.answers.at(-1);
		// Whoever has cancelled is also told that nothing is held.
		const ends = this.#cancelled ? LAST.slice(1) : LAST;
		return last !== undefined && ends.includes(last);
	}

	#cancel(): Promise<unknown> {
		this.#cancelled = true;
		const undo = { stock: true, money: false };
		return this.#tell("order.cancelling.v1", { reason: "CUSTOMER", undo });
	}

	#tell<K extends "order.created.v1" | "order.paid.v1" | "order.cancelling.v1">(
		type: K,
		data: Omit<Events[K], "orderId" | "number" | "userId">
	): Promise<unknown> {
		const { orderId } = this;
		const whole = { orderId, number: "V-1", userId: orderId, ...data } as Events[K];
		const runtime = { stream: this.#stream };
		return publish({ runtime }, type, orderId, ++this.#version, whole);
	}
}
const TOTAL = { amount: 1, currency: "EUR" };

/** Everything that is not as it has to be once all buyers have been answered. */
async function findings(
	db: Database,
	productId: string,
	buyers: readonly Buyer[]
): Promise<unknown[]> {
	const count = (answer: Answer) => buyers.filter(({ answers }) => answers.includes(answer)).length;
	const bought = count("inventory.committed.v1");
	const stock = await db.one<{ onHand: number; reserved: number; sold: number }>(
		`SELECT on_hand AS "onHand", reserved, sold FROM stock WHERE product_id = $1`,
		[productId]
	);
	const ledger = await db.one<{ most: number; sales: number }>(
		`SELECT max(taken)::int AS most, count(*) FILTER (WHERE kind = 'commit')::int AS sales
		 FROM (SELECT kind, sum(reserved_delta + sold_delta) OVER (ORDER BY id) AS taken
		   FROM stock_movement WHERE product_id = $1) m`,
		[productId]
	);
	const told = buyers.flatMap(({ answers }) => answers).length;
	const recorded = await db.one<{ n: number }>(
		`SELECT count(*)::int AS n FROM outbox
		 WHERE aggregate_type = 'inventory' AND aggregate_id = ANY ($1::uuid[])`,
		[buyers.map(({ orderId }) => orderId)]
	);
	const claims: Record<string, readonly [actual: unknown, expected: unknown]> = {
		"stock is what buyers were told": [
			stock,
			{ onHand: UNITS - bought, reserved: 0, sold: bought }
		],
		"the ledger shows a sale for each": [ledger!.sales, bought],
		"all units were taken at some time, and never more": [ledger!.most, UNITS],
		"somebody went away empty-handed": [count("inventory.rejected.v1") > 0, true],
		"all that was recorded was heard": [told, recorded!.n]
	};
	return [
		...Object.entries(claims).filter(
			([, [actual, expected]]) => JSON.stringify(actual) !== JSON.stringify(expected)
		),
		...(await wrongStock(db)),
		...(await db.query("SELECT consumer, type, reason FROM dead_letter")),
		...(await db.query(
			`SELECT aggregate_id FROM outbox GROUP BY aggregate_type, aggregate_id
			 HAVING max(aggregate_version) <> count(*)`
		))
	];
}

describe("two nodes of the catalog", () => {
	let nats: BreakableServer;
	let redis: BreakableServer;
	let config: Config;
	let db: Database;
	let stream: EventStream;
	const nodes: ReturnType<typeof launch>[] = [];
	const buyersOf = new Map<string, Buyer>();

	const startNode = async (name: string) => {
		const node = launch("bin/node.ts", ["catalog"], {
			NODE_NAME: name,
			OPS_PORT: "0",
			NATS_URL: nats.url,
			REDIS_URL: redis.url,
			DATABASE_URL: config.DATABASE_URL!,
			DATA_DIR: config.DATA_DIR,
			// What a killed node had in its hands comes again soon.
			EVENT_ACK_WAIT_MS: "1000"
		});
		nodes.push(node);
		await node.says(/ready with catalog/);
	};

	beforeAll(async () => {
		[nats, redis] = await Promise.all([BreakableServer.nats(), BreakableServer.redis()]);
		config = testConfig();
		await migrate("catalog", databaseUrl(config, "catalog"));
		db = new Database("catalog", databaseUrl(config, "catalog"), { poolSize: 3 });
		await addCategory(db, "things");
		stream = await JetStream.connect(readConfig({ NATS_URL: nats.url }));
		await Promise.all([startNode("catalog-1"), startNode("catalog-2")]);
		await stream.subscribe({
			name: "buyers",
			aggregateTypes: ["inventory"],
			consume: async ({ id, type, aggregateid }: Envelope) => {
				await buyersOf.get(aggregateid)!.hear(id, type as Answer);
				return DONE;
			}
		});
	}, 120_000);
	afterAll(async () => {
		await stream.close();
		await Promise.all(nodes.map(node => node.stop("SIGKILL")));
		await Promise.all([db.close(), nats.stop(), redis.stop()]);
	}, 60_000);

	/** All buyers at once; a node dies when so many have been answered. */
	async function round(number: number): Promise<{ productId: string; buyers: Buyer[] }> {
		const productId = await addProduct(db, { category: "things", stock: UNITS });
		const buyers = Array.from({ length: BUYERS }, () => new Buyer(stream, productId));
		for (const buyer of buyers) buyersOf.set(buyer.orderId, buyer);
		const killedAfter = Math.floor(Math.random() * 150);
		const killing = (async () => {
			const answered = () => buyers.filter(({ answers }) => answers.length > 0).length;
			await eventually("some are answered", () => answered() >= killedAfter, ROUND_MS);
			await nodes.splice(Math.floor(Math.random() * 2), 1)[0]!.stop("SIGKILL");
			await startNode(`catalog-${number + 3}`);
		})();
		await Promise.all(buyers.map(buyer => buyer.buy()));
		await killing;
		await eventually("all are answered", () => buyers.every(({ isDone }) => isDone), ROUND_MS);
		return { productId, buyers };
	}

	it(
		`never sell more than there is, and account for each unit, in ${ROUNDS} rounds`,
		async () => {
			for (let number = 0; number < ROUNDS; number++) {
				const { productId, buyers } = await round(number);
				expect([number, await findings(db, productId, buyers)]).toEqual([number, []]);
			}
		},
		ROUNDS * 2 * ROUND_MS
	);

	it(
		"would be found out if they sold one too many, or one that nobody bought",
		async () => {
			const { productId, buyers } = await round(ROUNDS);
			expect(await findings(db, productId, buyers)).toEqual([]);
			const sale = `INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason,
				order_id) VALUES ($1, 'commit', -1, -1, 1, 'forged', gen_random_uuid())`;
			await db.query(sale, [productId]);
			expect(await findings(db, productId, buyers)).toEqual([
				["the ledger shows a sale for each", expect.anything()],
				expect.objectContaining({ productId })
			]);
			await db.query(
				"UPDATE stock SET on_hand = on_hand + 1, sold = sold - 1 WHERE product_id = $1",
				[productId]
			);
			expect((await findings(db, productId, buyers))[0]).toEqual([
				"stock is what buyers were told",
				expect.anything()
			]);
		},
		2 * ROUND_MS
	);
});

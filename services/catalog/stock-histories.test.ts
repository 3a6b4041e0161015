/**
 * That no order of events oversells: random histories of commands that come at the same time, once as a
 * model in which every interleaving can be played, and once on the real database. Each claim has a
 * counterpart without that on which it rests, which must fail.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Database, Tx } from "../../lib/database.ts";
import { isFailure } from "../../lib/failure.ts";
import { testDatabase } from "../../tests/support/database.ts";
import { addCategory, addProduct, wrongStock } from "./catalog.fixtures.ts";
import { expireAll } from "./inventory.service.ts";
import {
	leaseEnd,
	lockReservation,
	lockStock,
	lockStockOf,
	saveChange,
	saveMovements
} from "./inventory.store.ts";
import {
	commit,
	expire,
	release,
	reserve,
	sumByProduct,
	type Decision,
	type Line,
	type Reservation
} from "./reservation.ts";
import { adjust, moved, type Movement, type Stock } from "./stock.ts";

const LOW = 1;
const UNTIL = "2026-01-01T00:20:00.000Z";

/** Products and orders by number, so that a history can be played on any. */
type Command =
	| {
			readonly kind: "reserve" | "commit" | "release" | "expire";
			readonly order: number;
			readonly items: readonly { readonly product: number; readonly quantity: number }[];
	  }
	| { readonly kind: "adjust"; readonly product: number; readonly delta: number };

const PRODUCTS = 3;
const ORDERS = 5;
const product = fc.nat(PRODUCTS - 1);
const commands = fc.oneof(
	{
		weight: 4,
		arbitrary: fc.record({
			kind: fc.constantFrom("reserve" as const, "reserve", "commit", "release", "expire"),
			order: fc.nat(ORDERS - 1),
			items: fc.array(fc.record({ product, quantity: fc.integer({ min: 1, max: 3 }) }), {
				minLength: 1,
				maxLength: 4
			})
		})
	},
	{
		weight: 1,
		arbitrary: fc.record({
			kind: fc.constant("adjust" as const),
			product,
			delta: fc.integer({ min: -3, max: 3 }).filter(delta => delta !== 0)
		})
	}
);
const openings = fc.array(fc.nat(6), { minLength: PRODUCTS, maxLength: PRODUCTS });

/** How often a ledger, by what it leaves to be bought, should have been told to run low. */
function timesLow(availabilities: readonly number[]): number {
	let [times, low] = [0, false];
	for (const [index, available] of availabilities.entries()) {
		if (available > LOW) low = false;
		else if (!low && index > 0 && available < availabilities[index - 1]!) {
			low = true;
			times++;
		}
	}
	return times;
}

describe("as a model, any interleaving of transactions", () => {
	interface Rules {
		/** Whether a transaction waits for what another has locked. */
		readonly locks: boolean;
		/** The order in which it locks products. */
		readonly inOrder: (ids: readonly string[]) => readonly string[];
	}
	const RULES: Rules = { locks: true, inOrder: ids => ids.toSorted() };

	const idOf = (number: number): string => `p${number}`;
	const linesOf = (items: Extract<Command, { items: unknown }>["items"]): Line[] =>
		items.map(item => ({ productId: idOf(item.product), quantity: item.quantity }));

	/** What a database holds, and refuses. */
	class Books {
		readonly stocks: Map<string, Stock>;
		readonly reservations = new Map<string, Reservation>();
		readonly ledger: Movement[] = [];
		readonly sold: Line[] = [];
		readonly facts: { readonly of: string; readonly version: number; readonly type: string }[] = [];

		constructor(opening: readonly number[]) {
			this.stocks = new Map(
				opening.map((onHand, number) => {
					const productId = idOf(number);
					return [
						productId,
						{ productId, onHand, reserved: 0, sold: 0, version: 0, told: 0, low: false }
					];
				})
			);
		}

		reservationOf = (orderId: string): Reservation =>
			this.reservations.get(orderId) ?? { orderId, version: 0, status: "none" };

		/** As the store does: by what moves, with the counters as they were read. */
		write(read: ReadonlyMap<string, Stock>, movements: readonly Movement[]): void {
			for (const movement of movements) {
				const { productId } = movement;
				const before = read.get(productId)!;
				const { stock, facts } = moved(before, movement, LOW);
				const now = this.stocks.get(productId)!;
				this.stocks.set(productId, {
					...stock,
					onHand: now.onHand + movement.onHand,
					reserved: now.reserved + movement.reserved,
					sold: now.sold + movement.sold
				});
				this.ledger.push(movement);
				for (const [index, { type }] of facts.entries())
					this.facts.push({ of: productId, version: before.told + index + 1, type });
			}
		}
	}

	/** A transaction: it yields what it locks next, and then reads; `""` is a pause between reading and writing. */
	function* transact(books: Books, command: Command, { inOrder }: Rules): Generator<string> {
		if (command.kind === "adjust") {
			const productId = idOf(command.product);
			yield productId;
			const read = new Map(books.stocks);
			yield "";
			try {
				const { delta } = command;
				const reason = "correction";
				books.write(read, [adjust(read.get(productId)!, { delta, reason }, "ada")]);
			} catch (error) {
				if (!isFailure(error, "INSUFFICIENT_STOCK")) throw error;
			}
			return;
		}
		const orderId = `o${command.order}`;
		yield orderId;
		const before = books.reservationOf(orderId);
		const lines = linesOf(command.items);
		const touched = before.status === "active" ? before.lines : sumByProduct(lines);
		yield* inOrder(touched.map(({ productId }) => productId));
		const read = new Map(books.stocks);
		const decision = decide(command.kind, before, lines, read);
		yield "";
		if (decision?.outcome !== "change") return;
		if (decision.reservation.status === "committed" && before.status === "active")
			books.sold.push(...before.lines);
		books.reservations.set(orderId, decision.reservation);
		books.facts.push({
			of: orderId,
			version: decision.reservation.version,
			type: decision.fact.type
		});
		books.write(read, decision.movements);
	}

	const decide = (
		kind: string,
		reservation: Reservation,
		lines: readonly Line[],
		stocks: ReadonlyMap<string, Stock>
	): Decision | undefined => {
		if (kind === "reserve") return reserve(reservation, lines, stocks, UNTIL);
		if (kind === "commit") return commit(reservation);
		if (kind === "release") return release(reservation);
		return reservation.status === "active" ? expire(reservation) : undefined;
	};

	/** Lets the transactions go on in turns, as `turns` chooses among those that need not wait. */
	function play(books: Books, all: readonly Command[], turns: readonly number[], rules: Rules) {
		const holders = new Map<string, number>();
		const running = new Map(
			all.map((command, id) => {
				const steps = transact(books, command, rules);
				return [id, { steps, next: steps.next().value as string | undefined }];
			})
		);
		for (let turn = 0; running.size > 0; turn++) {
			const ready = [...running].filter(
				([id, { next = "" }]) => !rules.locks || (holders.get(next) ?? id) === id
			);
			if (ready.length === 0) throw new Error("They wait for each other in a circle.");
			const [id, transaction] = ready[(turns[turn % turns.length] ?? 0) % ready.length]!;
			if (transaction.next) holders.set(transaction.next, id);
			const { done, value } = transaction.steps.next();
			transaction.next = value as string | undefined;
			if (!done) continue;
			running.delete(id);
			for (const [lock, holder] of holders) if (holder === id) holders.delete(lock);
		}
	}

	const unitsOf = (productId: string, lines: readonly Line[]): number =>
		lines.filter(l => l.productId === productId).reduce((sum, { quantity }) => sum + quantity, 0);

	function expectSound(books: Books, opening: readonly number[]): void {
		const held = [...books.reservations.values()].flatMap(r =>
			r.status === "active" ? r.lines : []
		);
		for (const { productId, onHand, reserved, sold } of books.stocks.values()) {
			const own = books.ledger.filter(movement => movement.productId === productId);
			let [on, kept] = [opening[Number(productId.slice(1))]!, 0];
			const available = [on];
			for (const movement of own) {
				on += movement.onHand;
				kept += movement.reserved;
				available.push(on - kept);
				expect(kept).toBeGreaterThanOrEqual(0);
				expect(on).toBeGreaterThanOrEqual(kept);
			}
			expect({ onHand, reserved }).toEqual({ onHand: on, reserved: kept });
			expect(reserved).toBe(unitsOf(productId, held));
			expect(sold).toBe(unitsOf(productId, books.sold));
			const told = books.facts.filter(({ of }) => of === productId);
			expect(told.filter(({ type }) => type === "stock.low.v1")).toHaveLength(timesLow(available));
		}
		for (const subject of new Set(books.facts.map(({ of }) => of))) {
			const versions = books.facts.filter(({ of }) => of === subject).map(fact => fact.version);
			expect(versions).toEqual(versions.map((_, index) => index + 1));
		}
	}

	const property = (rules: Rules) =>
		fc.property(
			openings,
			fc.array(commands, { maxLength: 25 }),
			fc.array(fc.nat(100), { minLength: 1, maxLength: 60 }),
			(opening, all, turns) => {
				const books = new Books(opening);
				play(books, all, turns, rules);
				expectSound(books, opening);
			}
		);

	it("keeps stock, ledger, reservations and facts in step, and ends", () => {
		fc.assert(property(RULES), { numRuns: 3_000 });
	});

	it("would not, if they did not wait for each other", () => {
		const { failed } = fc.check(property({ ...RULES, locks: false }), { numRuns: 3_000 });
		expect(failed).toBe(true);
	});

	it("would not end, if each locked its products in an order of its own", () => {
		let turn = 0;
		const { errorInstance } = fc.check(
			property({ ...RULES, inOrder: ids => (turn++ % 2 ? ids : ids.toReversed()) }),
			{ numRuns: 3_000, endOnFailure: true }
		);
		expect(errorInstance).toEqual(new Error("They wait for each other in a circle."));
	});
});

describe("on the database, any commands that come at once", () => {
	let db: Database;
	beforeEach(async () => {
		db = await testDatabase("catalog");
		await addCategory(db, "things");
	});
	afterEach(() => db.close());

	/** How a transaction is changed, to show what would be without a part of it. */
	type Mutation = (tx: Tx) => Tx;
	const asItIs: Mutation = tx => tx;
	const withoutStockLocks: Mutation = tx => {
		const query = async (sql: string, bind: unknown[]) => {
			if (typeof sql !== "string" || !sql.includes("FROM stock")) return tx.query(sql, bind);
			const rows = await tx.query(sql.replace("FOR UPDATE", ""), bind);
			// Long enough for others to read the same before it is written.
			await sleep(2);
			return rows;
		};
		return Object.create(tx, { query: { value: query } }) as Tx;
	};

	interface World {
		readonly products: readonly string[];
		readonly orders: readonly string[];
		readonly mutate: Mutation;
	}

	async function carryOut(world: World, command: Command): Promise<void> {
		// The sweep takes what ran out, whose it may be.
		if (command.kind === "expire") return expireAll(db, LOW);
		await db.transaction(async own => {
			const tx = world.mutate(own);
			if (command.kind === "adjust") {
				const stock = (await lockStockOf(tx, world.products[command.product]!))!;
				const change = { delta: command.delta, reason: "correction" as const };
				await saveMovements(tx, [adjust(stock, change, randomUUID())], LOW);
				return;
			}
			const reservation = await lockReservation(tx, world.orders[command.order]!);
			const decision = await decide(tx, world, command, reservation);
			if (decision.outcome === "change") await saveChange(tx, decision, LOW);
		});
	}

	async function decide(
		tx: Tx,
		{ products }: World,
		{ kind, items }: Extract<Command, { items: unknown }>,
		reservation: Reservation
	): Promise<Decision> {
		if (kind === "commit") return commit(reservation);
		if (kind === "release") return release(reservation);
		const lines = items.map(item => ({
			productId: products[item.product]!,
			quantity: item.quantity
		}));
		const stocks = await lockStock(
			tx,
			lines.map(({ productId }) => productId)
		);
		// Some leases have run out as soon as they begin.
		return reserve(reservation, lines, stocks, await leaseEnd(tx, items.length === 1 ? 0 : 60_000));
	}

	/** Answers what went wrong although nothing should; refusals of adjustments are none. */
	async function play(world: World, waves: readonly (readonly Command[])[]): Promise<unknown[]> {
		const troubles: unknown[] = [];
		const attempt = (command: Command) =>
			carryOut(world, command).catch((error: unknown) => {
				if (!isFailure(error, "INSUFFICIENT_STOCK")) troubles.push(error);
			});
		for (const wave of waves) {
			// The inbox lets in one event of an order at a time; the sweep and the staff wait for nobody.
			const turns = Map.groupBy(wave, (command, index) =>
				command.kind === "adjust" || command.kind === "expire" ? -1 - index : command.order
			);
			await Promise.all(
				[...turns.values()].map(async own => {
					for (const command of own) await attempt(command);
				})
			);
		}
		return troubles;
	}

	async function newWorld(opening: readonly number[], mutate: Mutation): Promise<World> {
		const products: string[] = [];
		for (const stock of opening) products.push(await addProduct(db, { category: "things", stock }));
		return { products, orders: Array.from({ length: ORDERS }, () => randomUUID()), mutate };
	}

	const oversold = () =>
		db.query("SELECT * FROM stock WHERE least(on_hand - reserved, reserved, sold) < 0");

	/** Aggregates whose facts have not the versions from 1 on, and products that were not told of as often as they ran low. */
	async function wrongFacts(): Promise<unknown[]> {
		const gaps = await db.query(
			`SELECT aggregate_type, aggregate_id FROM outbox GROUP BY 1, 2
			 HAVING max(aggregate_version) <> count(*) OR count(DISTINCT aggregate_version) <> count(*)`
		);
		const ledgers = await db.query<{ id: string; available: number[]; told: number }>(
			`SELECT product_id AS id, array_agg(available::int ORDER BY m.id) AS available,
			   (SELECT count(*)::int FROM outbox o
			    WHERE type = 'stock.low.v1' AND o.aggregate_id = product_id) AS told
			 FROM (SELECT id, product_id, sum(on_hand_delta - reserved_delta)
			     OVER (PARTITION BY product_id ORDER BY id) AS available FROM stock_movement) m
			 GROUP BY product_id`
		);
		return [
			...gaps,
			...ledgers.filter(({ available, told }) => timesLow([0, ...available]) !== told)
		];
	}

	const histories = fc.array(fc.array(commands, { minLength: 1, maxLength: 8 }), {
		minLength: 1,
		maxLength: 4
	});
	const property = (mutate: Mutation, wrong: (troubles: unknown[]) => Promise<unknown[]>) =>
		fc.asyncProperty(openings, histories, async (opening, waves) => {
			const troubles = await play(await newWorld(opening, mutate), waves);
			expect(await wrong(troubles)).toEqual([]);
		});
	const books = async () => [...(await wrongStock(db)), ...(await oversold())];

	it("leave the books in order, and none of them fails", async () => {
		await fc.assert(
			property(asItIs, async troubles => [
				...troubles,
				...(await books()),
				...(await wrongFacts())
			]),
			{ numRuns: 25 }
		);
	});

	it("run into the database's own checks if stock is not locked, and still sell nothing twice", async () => {
		await fc.assert(property(withoutStockLocks, books), { numRuns: 10 });
		const { failed } = await fc.check(
			property(withoutStockLocks, async troubles => troubles),
			{ numRuns: 200, endOnFailure: true }
		);
		expect(failed).toBe(true);
	});

	it("would oversell without either", async () => {
		await db.query("ALTER TABLE stock DROP CONSTRAINT stock_check");
		const { failed } = await fc.check(property(withoutStockLocks, oversold), {
			numRuns: 200,
			endOnFailure: true
		});
		expect(failed).toBe(true);
	});
});

import fc from "fast-check";
import assert from "node:assert/strict";
import {
	advance,
	FACT_OF,
	isCancellable,
	isTerminal,
	REMAINING,
	type Life,
	type Signal
} from "./order.ts";
import { advancePayment, type PaymentSignal, type PaymentStatus } from "./payment.ts";

const SIGNALS: readonly Signal[] = [
	"stock-reserved",
	"stock-rejected",
	"stock-committed",
	"stock-released",
	"stock-expired",
	"stock-timeout",
	"payment-captured",
	"payment-failed",
	"payment-voided",
	"payment-refunded",
	"refund-failed",
	"payment-timeout",
	"cancel-requested"
];
const PLACED = { status: "placed" } as Life;
const undone = <S extends "cancelling" | "cancelled" | "refund_failed">(
	status: S,
	reason: Extract<Life, { reason: unknown }>["reason"],
	stock: "none" | "pending" | "done",
	money: "none" | "pending" | "voided" | "refunded" | "failed"
) => ({ status, reason, stock, money });
const cancelling = (
	stock: "none" | "pending" | "done",
	money: "none" | "pending" | "voided" | "refunded" | "failed"
) => undone("cancelling", "CUSTOMER", stock, money);

/** Every edge there is. What does not stand here is a no-op. */
const EDGES: readonly [Life, Partial<Record<Signal, Life[]>>][] = [
	[
		PLACED,
		{
			"stock-reserved": [{ status: "awaiting_payment" }],
			"stock-rejected": [
				undone("cancelling", "OUT_OF_STOCK", "none", "none"),
				undone("cancelled", "OUT_OF_STOCK", "none", "none")
			],
			"stock-timeout": [undone("cancelling", "STOCK_TIMEOUT", "pending", "none")],
			"cancel-requested": [cancelling("pending", "none")]
		}
	],
	[
		{ status: "awaiting_payment" },
		{
			"payment-captured": [{ status: "paid" }],
			"payment-failed": [undone("cancelling", "PAYMENT_FAILED", "pending", "none")],
			"payment-timeout": [undone("cancelling", "PAYMENT_TIMEOUT", "pending", "pending")],
			"cancel-requested": [cancelling("pending", "pending")],
			"stock-expired": [undone("cancelling", "RESERVATION_EXPIRED", "done", "pending")]
		}
	],
	[
		{ status: "paid" },
		{
			"stock-committed": [{ status: "confirmed" }],
			"stock-expired": [undone("cancelling", "RESERVATION_EXPIRED", "done", "pending")]
		}
	],
	[
		cancelling("pending", "pending"),
		{
			"stock-released": [cancelling("done", "pending")],
			"stock-expired": [cancelling("done", "pending")],
			"stock-rejected": [cancelling("done", "pending")],
			"payment-failed": [cancelling("pending", "voided")],
			"payment-voided": [cancelling("pending", "voided")],
			"payment-refunded": [cancelling("pending", "refunded")],
			"refund-failed": [cancelling("pending", "failed")]
		}
	],
	[
		cancelling("pending", "none"),
		{
			"stock-released": [undone("cancelled", "CUSTOMER", "done", "none")],
			"stock-expired": [undone("cancelled", "CUSTOMER", "done", "none")],
			"stock-rejected": [undone("cancelled", "CUSTOMER", "done", "none")]
		}
	],
	[
		cancelling("done", "pending"),
		{
			"payment-failed": [undone("cancelled", "CUSTOMER", "done", "voided")],
			"payment-voided": [undone("cancelled", "CUSTOMER", "done", "voided")],
			"payment-refunded": [undone("cancelled", "CUSTOMER", "done", "refunded")],
			"refund-failed": [undone("refund_failed", "CUSTOMER", "done", "failed")]
		}
	],
	[
		cancelling("pending", "failed"),
		{
			"stock-released": [undone("refund_failed", "CUSTOMER", "done", "failed")],
			"stock-expired": [undone("refund_failed", "CUSTOMER", "done", "failed")],
			"stock-rejected": [undone("refund_failed", "CUSTOMER", "done", "failed")]
		}
	],
	[{ status: "confirmed" }, {}],
	[undone("cancelled", "CUSTOMER", "done", "refunded"), {}],
	[undone("refund_failed", "CUSTOMER", "done", "failed"), {}]
];

describe("the life of an order", () => {
	const cases = EDGES.flatMap(([life, edges]) =>
		SIGNALS.map(signal => ({ life, signal, lives: edges[signal] ?? [] }))
	);
	it.each(cases)("$life + $signal → $lives", ({ life, signal, lives }) => {
		expect(advance(life, signal)).toEqual(lives);
	});

	it("can be cancelled by the customer exactly where the signal has an effect", () => {
		for (const [life] of EDGES)
			expect(isCancellable(life)).toBe(advance(life, "cancel-requested").length > 0);
	});

	it("has nothing left to do exactly where it has ended", () => {
		for (const [{ status }] of EDGES) {
			expect(REMAINING[status].length === 0).toBe(isTerminal(status));
			expect(FACT_OF[status]).toMatch(/^order\..+\.v1$/);
		}
	});
});

const NEXT: Record<Life["status"], readonly Life["status"][]> = {
	placed: ["awaiting_payment", "cancelling"],
	awaiting_payment: ["paid", "cancelling"],
	paid: ["confirmed", "cancelling"],
	cancelling: ["cancelling", "cancelled", "refund_failed"],
	confirmed: [],
	cancelled: [],
	refund_failed: []
};
const isSettled = (life: Life): boolean =>
	!("stock" in life) || (life.stock !== "pending" && life.money !== "pending");

describe("any signals in any order, however often", () => {
	it("never leave the state machine, and a cancellation ends when all is undone", () => {
		fc.assert(
			fc.property(fc.array(fc.constantFrom(...SIGNALS), { maxLength: 40 }), signals => {
				let life = PLACED;
				const seen = new Set<Signal>();
				for (const signal of signals) {
					seen.add(signal);
					for (const next of advance(life, signal)) {
						assert.ok(NEXT[life.status].includes(next.status), `${life.status} → ${next.status}`);
						if (next.status === "cancelling" && life.status === "cancelling")
							assert.notDeepEqual(next, life);
						life = next;
					}
					assert.equal(isSettled(life), life.status !== "cancelling");
					if ("money" in life && life.money === "refunded") assert.ok(seen.has("payment-refunded"));
				}
			}),
			{ numRuns: 5_000 }
		);
	});
});

/** Three services that tell each other facts; per aggregate in order, each at least once. */
class World {
	readonly facts: string[] = [];
	order: Life = PLACED;
	reservation: "none" | "rejected" | "active" | "committed" | "released" | "expired" = "none";
	payment: PaymentStatus | "absent" = "absent";
	/** What the provider has been asked for and has not answered yet. */
	effects: ("charge" | "refund")[] = [];
	charged = 0;
	refunded = 0;
	/** One for each aggregate and consumer. */
	readonly queues: Record<string, (() => void)[]> = {};
	readonly #inStock: boolean;
	readonly #declines: boolean;
	readonly #refundWorks: boolean;

	constructor(inStock: boolean, declines: boolean, refundWorks: boolean) {
		this.#inStock = inStock;
		this.#declines = declines;
		this.#refundWorks = refundWorks;
		this.#tell("order→inventory", () => this.#reserve());
	}

	/** All that can happen next. */
	choices(): (() => void)[] {
		return [
			...Object.values(this.queues)
				.filter(queue => queue.length > 0)
				.flatMap(queue => [
					() => queue.shift()!(),
					// Delivered, but the acknowledgement is lost.
					() => queue[0]!()
				]),
			...this.effects.map(effect => () => this.#answer(effect))
		];
	}

	/** Deadlines and people, at any time. */
	interruptions(): (() => void)[] {
		return [
			() => this.signal("cancel-requested"),
			() => this.signal("stock-timeout"),
			() => this.signal("payment-timeout"),
			() => this.#expire()
		];
	}

	signal(signal: Signal): void {
		const before = this.order.status;
		for (const life of advance(this.order, signal)) {
			this.order = life;
			if (life.status !== before) this.#told(life);
		}
	}

	#told(life: Life): void {
		this.facts.push(life.status);
		if (life.status === "awaiting_payment")
			this.#tell("request→payments", () => this.#pay("requested"));
		if (life.status === "paid") this.#tell("order→inventory", () => this.#commit());
		if (life.status !== "cancelling") return;
		const { stock, money } = life;
		this.#tell("order→inventory", () => stock === "pending" && this.#release());
		this.#tell("order→payments", () => money === "pending" && this.#pay("cancelled"));
	}

	#tell(queue: string, handle: () => void): void {
		(this.queues[queue] ??= []).push(handle);
	}
	#tellOrder(from: "inventory" | "payment", signal: Signal): void {
		this.#tell(`${from}→orders`, () => this.signal(signal));
	}

	#reserve(): void {
		if (this.reservation !== "none") return;
		this.reservation = this.#inStock ? "active" : "rejected";
		this.#tellOrder("inventory", this.#inStock ? "stock-reserved" : "stock-rejected");
	}
	#commit(): void {
		if (this.reservation !== "active") return;
		this.reservation = "committed";
		this.#tellOrder("inventory", "stock-committed");
	}
	#release(): void {
		if (this.reservation === "released") return;
		assert.notEqual(this.reservation, "committed");
		this.reservation = "released";
		this.#tellOrder("inventory", "stock-released");
	}
	#expire(): void {
		if (this.reservation !== "active") return;
		this.reservation = "expired";
		this.#tellOrder("inventory", "stock-expired");
	}

	#pay(signal: PaymentSignal): void {
		const step = advancePayment(this.payment, signal);
		if (!step) return;
		this.payment = step.status;
		if (step.effect) this.effects.push(step.effect);
		const told = {
			"payment.processed.v1": "payment-captured",
			"payment.failed.v1": "payment-failed",
			"payment.voided.v1": "payment-voided",
			"payment.refunded.v1": "payment-refunded",
			"payment.refund-failed.v1": "refund-failed"
		} as const;
		if (step.fact) this.#tellOrder("payment", told[step.fact]);
	}

	#answer(effect: "charge" | "refund"): void {
		this.effects.splice(this.effects.indexOf(effect), 1);
		if (effect === "charge") {
			if (!this.#declines) this.charged++;
			this.#pay(this.#declines ? "declined" : "captured");
		} else {
			if (this.#refundWorks) this.refunded++;
			this.#pay(this.#refundWorks ? "refunded" : "refund-failed");
		}
	}
}

describe("an order, its reservation and its payment, in any interleaving", () => {
	it("end confirmed or cancelled, with stock and money settled", () => {
		const ends = new Set<string>();
		fc.assert(
			fc.property(
				fc.boolean(),
				fc.boolean(),
				fc.boolean(),
				fc.array(fc.nat(1_000), { maxLength: 30 }),
				(inStock, declines, refundWorks, picks) => {
					const world = new World(inStock, declines, refundWorks);
					for (const pick of picks) {
						// Interruptions are rarer than messages, or nothing would ever be confirmed.
						const choices = [...world.choices(), ...(pick > 800 ? world.interruptions() : [])];
						choices[pick % choices.length]?.();
					}
					for (let todo = world.choices(); todo.length > 0; todo = world.choices()) todo[0]!();

					const { order, reservation, charged, refunded } = world;
					ends.add("reason" in order ? `${order.status} ${order.reason}` : order.status);
					assert.equal(new Set(world.facts).size, world.facts.length);
					assert.ok(charged <= 1);
					if (order.status === "confirmed") {
						assert.deepEqual([reservation, charged - refunded], ["committed", 1]);
						return;
					}
					assert.equal(order.status, refundWorks || charged === 0 ? "cancelled" : "refund_failed");
					assert.ok(reservation !== "active" && reservation !== "committed");
					if (order.status === "cancelled") assert.equal(charged - refunded, 0);
					assert.equal("money" in order && order.money === "refunded", refunded === 1);
				}
			),
			{ numRuns: 20_000 }
		);
		// The histories were not all the same one.
		expect([...ends].sort()).toEqual([
			"cancelled CUSTOMER",
			"cancelled OUT_OF_STOCK",
			"cancelled PAYMENT_FAILED",
			"cancelled PAYMENT_TIMEOUT",
			"cancelled RESERVATION_EXPIRED",
			"cancelled STOCK_TIMEOUT",
			"confirmed",
			"refund_failed CUSTOMER",
			"refund_failed PAYMENT_TIMEOUT",
			"refund_failed RESERVATION_EXPIRED"
		]);
	});
});

/** What a customer does, from the search to the order's end. */
import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cart } from "../../contracts/carts.ts";
import type { Order } from "../../contracts/orders.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";
import type { Product } from "../../contracts/products.ts";
import { Refusal, type Account, type Shop, type Timeline } from "./shop.ts";

/** How one order went. Without `order` it was never placed; `problem` says what went wrong for good. */
export interface Outcome {
	readonly index: number;
	readonly method: PaymentMethod;
	readonly order?: Order;
	/** From sending the checkout to seeing the order's end. */
	readonly seenMs?: number;
	readonly story?: Timeline;
	readonly problem?: string;
}

const POLL_MS = 100;
const FOLLOW_MS = 60_000;
const CARTS = 5;
/** Others were quicker: another cart may do. */
const TRY_ANOTHER_CART = [
	"CART_NOT_AVAILABLE",
	"PRODUCT_NOT_AVAILABLE",
	"TOTAL_CHANGED",
	"CART_EMPTY"
];

export const newAccount = (): Account => {
	const suffix = randomUUID().slice(0, 8);
	return {
		email: `demo-${suffix}@valence.test`,
		username: `demo-${suffix}`,
		name: `Demo Customer ${suffix}`,
		password: randomUUID()
	};
};

/** Buys something and follows the order to its end. What fails for good is in the outcome, never thrown. */
export async function buy(
	shop: Shop,
	{ index, method }: Pick<Outcome, "index" | "method">,
	wantsStory: (outcome: Outcome) => boolean
): Promise<Outcome> {
	let outcome: Outcome = { index, method };
	try {
		const { order, began } = await place(shop, method);
		outcome = { ...outcome, order };
		const end = await follow(shop, order);
		outcome = { ...outcome, order: end };
		if (isClosed(end)) outcome = { ...outcome, seenMs: performance.now() - began };
		return wantsStory(outcome) ? { ...outcome, story: await shop.timeline(end.id) } : outcome;
	} catch (error) {
		return { ...outcome, problem: (error as Error).message };
	}
}

async function place(shop: Shop, method: PaymentMethod): Promise<{ order: Order; began: number }> {
	for (let carts = 1; ; carts++) {
		try {
			const { total } = await fillCart(shop);
			const began = performance.now();
			const order = await shop.checkOut(randomUUID(), {
				shippingAddress: {
					name: "Demo Customer",
					line1: "1 Example Street",
					city: "Berlin",
					postalCode: "10115",
					country: "DE"
				},
				paymentMethod: method,
				expectedTotal: total
			});
			return { order, began };
		} catch (error) {
			const another = error instanceof Refusal && TRY_ANOTHER_CART.includes(error.code);
			if (!another || carts === CARTS) throw error;
		}
	}
}

async function fillCart(shop: Shop): Promise<Cart> {
	const [first, ...others] = shuffle(await findProducts(shop));
	if (!first) throw new Error("No product is in stock. Is the demo data loaded (DEMO_DATA=true)?");
	const chosen = [
		first,
		// A cart has one currency.
		...others.filter(({ price }) => price.currency === first.price.currency)
	].slice(0, randomInt(1, 4));
	let cart = await shop.clearCart();
	for (const { id, availability } of chosen)
		cart = await shop.setItem(id, Math.min(availability.available, randomInt(1, 3)));
	return cart;
}

/** Products in stock that have a word in common, as a customer would look for them. */
async function findProducts(shop: Shop): Promise<readonly Product[]> {
	const inStock = { inStock: "true", limit: "50" };
	const { items } = await shop.products(inStock);
	const word = shuffle(items)[0]
		?.name.split(/[^\p{L}]+/u)
		.find(part => part.length > 2);
	if (!word) return items;
	const found = await shop.products({ ...inStock, q: word });
	return found.items.length > 0 ? found.items : items;
}

async function follow(shop: Shop, { id }: Order): Promise<Order> {
	for (const until = performance.now() + FOLLOW_MS; ;) {
		const order = await shop.order(id);
		if (isClosed(order) || order.status === "refund_failed" || performance.now() > until)
			return order;
		await sleep(POLL_MS);
	}
}

/** Whether the order has come to one of its two proper ends. */
export const isClosed = ({ status }: Order): boolean =>
	status === "confirmed" || status === "cancelled";

function shuffle<T>(items: readonly T[]): T[] {
	const shuffled = [...items];
	for (let at = shuffled.length - 1; at > 0; at--) {
		const other = randomInt(at + 1);
		[shuffled[at], shuffled[other]] = [shuffled[other]!, shuffled[at]!];
	}
	return shuffled;
}

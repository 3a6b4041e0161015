/** Checkouts under load, and what became of them. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cart } from "../contracts/carts.ts";
import type { Order } from "../contracts/orders.ts";
import type { Product } from "../contracts/products.ts";
import { ADDRESS, Api, type Answer } from "../tests/support/api.ts";
import { cpuSeconds, memory, type Memory } from "./process-tree.ts";
import { percentiles, type Percentiles } from "./report.ts";
import type { Server } from "./servers.ts";

export interface Checkouts {
	/** When it was half done. */
	readonly at: number;
	readonly orders: number;
	/** Accepted per second. */
	readonly rate: number;
	/** Of the POST until its 202. */
	readonly postMs: Percentiles;
	/** Confirmed per second, from the first POST to the last confirmation. */
	readonly confirmedRate: number;
	/** From an order's creation to its confirmation, by its own timeline. */
	readonly confirmedMs: Percentiles;
	/** CPU time of the system for one order from the cart to the confirmation; null where it cannot be known. */
	readonly cpuMs: number | null;
	readonly memory: Memory | null;
}

interface Placed {
	readonly id: string;
	readonly token: string;
	readonly createdAt: number;
	readonly postMs: number;
}

interface Timeline {
	readonly items: readonly { at: string; step: string; status: Order["status"] }[];
}

/** Customers at work at once. */
export const CONCURRENCY = 8;
const CUSTOMERS = 4 * CONCURRENCY;
const WARM_UP_SECONDS = 2;
const SETTLED_WITHIN_MS = 120_000;
const POLL_MS = 100;

/** Every product that is in stock, the fullest shelf first. */
export async function findProducts({ url }: Server): Promise<string[]> {
	const api = new Api([url]);
	const found: Product[] = [];
	let cursor = "";
	do {
		const answer = await api.get<{ items: Product[]; nextCursor: string | null }>(
			`/products?inStock=true&limit=100${cursor && `&cursor=${cursor}`}`
		);
		const { items, nextCursor } = expectStatus(answer, 200);
		found.push(...items);
		cursor = nextCursor ?? "";
	} while (cursor);
	return found
		.sort((a, b) => b.availability.available - a.availability.available)
		.map(({ id }) => id);
}

/** Buys one piece after another, each of another product, for so many seconds; waits until all is confirmed. */
export async function measureCheckouts(
	{ url, pid }: Server,
	products: readonly string[],
	{ seconds }: { readonly seconds: number }
): Promise<Checkouts> {
	// The emptier shelves are left alone, so that nothing sells out.
	const shop = new Shop(url, products.slice(0, Math.ceil(products.length / 2)));
	await shop.admitCustomers();
	await shop.settle(await shop.sell(WARM_UP_SECONDS));

	const before = cpuSeconds(pid);
	const began = Date.now();
	const placed = await shop.sell(seconds);
	const sold = Date.now();
	await shop.settle(placed);
	const after = cpuSeconds(pid);
	const used = memory(pid);
	const confirmed = await shop.confirmations(placed);
	return {
		at: (began + sold) / 2,
		orders: placed.length,
		rate: (placed.length / (sold - began)) * 1_000,
		postMs: percentiles(placed.map(({ postMs }) => postMs)),
		confirmedRate: (placed.length / (confirmed.reduce((a, b) => Math.max(a, b)) - began)) * 1_000,
		confirmedMs: percentiles(placed.map(({ createdAt }, index) => confirmed[index]! - createdAt)),
		cpuMs: before === null || after === null ? null : ((after - before) / placed.length) * 1_000,
		memory: used
	};
}

/** Customers who each buy one thing at a time. */
class Shop {
	readonly #api: Api;
	readonly #products: readonly string[];
	readonly #tokens: string[] = [];
	#turn = 0;

	constructor(url: string, products: readonly string[]) {
		this.#api = new Api([url]);
		this.#products = products;
	}

	async admitCustomers(): Promise<void> {
		while (this.#tokens.length < CUSTOMERS) {
			const { registered, login, token } = await this.#api.newCustomer();
			expectStatus(registered, 201);
			expectStatus(login, 200);
			this.#tokens.push(token);
		}
	}

	/** Sells for so many seconds. The orders in the order in which they were accepted. */
	async sell(seconds: number): Promise<Placed[]> {
		const placed: Placed[] = [];
		const until = performance.now() + seconds * 1_000;
		const serve = async (tokens: readonly string[]) => {
			for (let turn = 0; performance.now() < until; turn++)
				placed.push(await this.#buy(tokens[turn % tokens.length]!));
		};
		// A customer belongs to one of the loops: nobody fills one cart twice at once.
		const share = CUSTOMERS / CONCURRENCY;
		await Promise.all(
			Array.from({ length: CONCURRENCY }, (_, index) =>
				serve(this.#tokens.slice(index * share, (index + 1) * share))
			)
		);
		return placed;
	}

	async #buy(token: string): Promise<Placed> {
		const productId = this.#products[this.#turn++ % this.#products.length]!;
		const cart = await this.#api.request<Cart>("PUT", `/cart/items/${productId}`, {
			token,
			body: { quantity: 1 }
		});
		const { total } = expectStatus(cart, 200);
		const began = performance.now();
		const answer = await this.#api.request<Order>("POST", "/checkout", {
			token,
			headers: { "Idempotency-Key": randomUUID() },
			body: { shippingAddress: ADDRESS, paymentMethod: "tok_ok", expectedTotal: total }
		});
		const postMs = performance.now() - began;
		const { id, createdAt } = expectStatus(answer, 202);
		return { id, token, createdAt: Date.parse(createdAt), postMs };
	}

	/** Waits until the newest order is confirmed. It asks rarely: whoever asks takes time from those who work. */
	async settle(placed: readonly Placed[]): Promise<void> {
		const newest = placed.at(-1);
		if (newest) await this.#confirmation(newest);
	}

	/** When each order was confirmed. Throws where one was not. */
	async confirmations(placed: readonly Placed[]): Promise<number[]> {
		const times: number[] = [];
		let next = 0;
		const ask = async () => {
			for (let index = next++; index < placed.length; index = next++)
				times[index] = await this.#confirmation(placed[index]!);
		};
		await Promise.all(Array.from({ length: CONCURRENCY }, ask));
		return times;
	}

	async #confirmation({ id, token }: Placed): Promise<number> {
		let status: string | undefined;
		for (const until = Date.now() + SETTLED_WITHIN_MS; Date.now() < until; await sleep(POLL_MS)) {
			const answer = await this.#api.get<Timeline>(`/orders/${id}/timeline`, token);
			const { items } = expectStatus(answer, 200);
			const end = items.find(({ step }) => step === "order.confirmed");
			if (end) return Date.parse(end.at);
			status = items.at(-1)?.status;
			if (status === "cancelled" || status === "refund_failed") break;
		}
		throw new Error(`The order ${id} was not confirmed but is ${status}.`);
	}
}

function expectStatus<T>({ status, body }: Answer<T>, expected: number): T {
	if (status !== expected)
		throw new Error(`Valence answered ${status} and not ${expected}: ${JSON.stringify(body)}`);
	return body;
}

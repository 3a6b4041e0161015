/** The neighbours of this group, faked, and things to buy; for its tests. */
import { randomUUID } from "node:crypto";
import type { ServiceSchema } from "moleculer";
import type { Money } from "../../contracts/common.ts";
import type { Events } from "../../contracts/index.ts";
import type { Order } from "../../contracts/orders.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";
import { products, type Product } from "../../contracts/products.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { DONE, type Verdict } from "../../lib/events/stream.ts";
import { failure } from "../../lib/failure.ts";
import type { Identity } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { somebody, type TestNode } from "../../tests/support/node.ts";
import { publish } from "../../tests/support/publisher.ts";
import { until } from "../../tests/support/until.ts";
import { isTerminal } from "./order.ts";

export function aProduct({
	price = { amount: 1_000, currency: "EUR" },
	available = 10,
	...rest
}: Partial<Pick<Product, "status" | "sku" | "name">> & {
	price?: Money;
	available?: number;
} = {}): Product {
	const id = randomUUID();
	return {
		id,
		sku: `SKU-${id.slice(0, 8)}`,
		name: "Thing",
		slug: id,
		description: "",
		price,
		categoryId: randomUUID(),
		attributes: {},
		images: [],
		availability: { inStock: available > 0, available },
		status: "active",
		version: 1,
		createdAt: "2026-01-01T00:00:00.000Z",
		updatedAt: "2026-01-01T00:00:00.000Z",
		...rest
	};
}

const unused = async () => {
	throw new Error("Nobody edits the faked catalog.");
};

/** A catalog that can be changed while it is looked at. */
export class FakeCatalog {
	readonly #products = new Map<string, Product>();
	/** Runs before the next answers, for what happens meanwhile. */
	beforeLookup: (() => Promise<void>) | undefined;

	put(product: Product): Product {
		this.#products.set(product.id, product);
		return product;
	}

	/** To be loaded into the node. */
	get service(): ServiceSchema {
		const known = this.#products;
		const meanwhile = async () => this.beforeLookup?.();
		return implement(products)({
			actions: {
				async list() {
					return { items: [...known.values()], nextCursor: null };
				},
				async get({ params: { idOrSlug } }) {
					const product = known.get(idOrSlug);
					if (!product) throw failure(products, "NOT_FOUND");
					return product;
				},
				async lookup({ params: { ids } }) {
					await meanwhile();
					return ids.flatMap(id => known.get(id) ?? []);
				},
				create: unused,
				update: unused,
				archive: unused,
				prices: unused,
				import: unused,
				export: unused
			}
		});
	}
}

/** Answers orders as the catalog's inventory would; what it does next can be set. */
export class FakeInventory {
	answer: "reserve" | "reject" | "nothing" = "reserve";
	readonly #node: TestNode;
	readonly #versions = new Map<string, number>();
	/** What became of each order's reservation, in order. */
	readonly told = new Map<string, string[]>();

	constructor(node: TestNode) {
		this.#node = node;
	}

	subscribe(): Promise<void> {
		return this.#node.runtime.stream.subscribe({
			name: "inventory",
			aggregateTypes: ["order"],
			consume: event => this.#consume(event)
		});
	}

	async tell<K extends Extract<keyof Events, `inventory.${string}`>>(
		type: K,
		data: Events[K]
	): Promise<void> {
		const { orderId } = data;
		const version = (this.#versions.get(orderId) ?? 0) + 1;
		this.#versions.set(orderId, version);
		this.told.set(orderId, [...(this.told.get(orderId) ?? []), type]);
		await publish(this.#node, type, orderId, version, data);
	}

	async #consume({ type, data }: Envelope): Promise<Verdict> {
		const { orderId } = data as { orderId: string };
		if (type === "order.created.v1") await this.#reserve(data as Events["order.created.v1"]);
		if (type === "order.paid.v1") await this.tell("inventory.committed.v1", { orderId });
		if (type === "order.cancelling.v1" && (data as Events["order.cancelling.v1"]).undo.stock)
			await this.tell("inventory.released.v1", { orderId });
		return DONE;
	}

	async #reserve({ orderId, items }: Events["order.created.v1"]): Promise<void> {
		const hour = new Date(Date.now() + 3_600_000).toISOString();
		if (this.answer === "reserve")
			await this.tell("inventory.reserved.v1", { orderId, lines: items, until: hour });
		if (this.answer === "reject")
			await this.tell("inventory.rejected.v1", {
				orderId,
				shortages: items.map(({ productId, quantity }) => ({
					productId,
					requested: quantity,
					available: 0
				}))
			});
	}
}

export const ADDRESS = {
	name: "Ada Lovelace",
	line1: "1 Analytical Row",
	city: "London",
	postalCode: "N1",
	country: "GB"
};

/** Somebody with a filled cart, and what a checkout of it asks for. */
export async function shopper(node: TestNode, catalog: FakeCatalog, quantity = 2) {
	const user = somebody();
	const product = catalog.put(aProduct());
	const { total } = await node.call("carts.setItem", { productId: product.id, quantity }, user);
	const request = (paymentMethod: PaymentMethod = "tok_ok", idempotencyKey = randomUUID()) => ({
		shippingAddress: ADDRESS,
		paymentMethod,
		expectedTotal: total,
		idempotencyKey
	});
	return {
		user,
		product,
		total,
		request,
		/** Checks out without waiting for the end. */
		buy: (paymentMethod?: PaymentMethod): Promise<Order> =>
			node.call("orders.place", request(paymentMethod), user)
	};
}

/** The order when it has ended. */
export const ended = (node: TestNode, id: string, user: Identity): Promise<Order> =>
	until(async () => {
		const order = await node.call("orders.get", { id }, user);
		return isTerminal(order.status) && order;
	}, `the order ${id} has ended`);

export const inState = (
	node: TestNode,
	id: string,
	user: Identity,
	status: Order["status"]
): Promise<Order> =>
	until(async () => {
		const order = await node.call("orders.get", { id }, user);
		return order.status === status && order;
	}, `the order ${id} is ${status}`);

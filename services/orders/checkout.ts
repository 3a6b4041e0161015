/** From a cart to an order. */
import type { Cart } from "../../contracts/carts.ts";
import type { Address, Money } from "../../contracts/common.ts";
import { orders, type Order } from "../../contracts/orders.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";
import type { Config } from "../../lib/config.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import type { Caller } from "../../lib/service.ts";
import { setTimer } from "../../mixins/timers.mixin.ts";
import { priceCart } from "./cart.ts";
import { cartIdOf, findCart, removeItems, touchCart } from "./carts.store.ts";
import { insertOrder, insertSteps } from "./orders.store.ts";
import { STOCK_TIMER, tell } from "./saga.ts";

export interface CheckoutRequest {
	readonly shippingAddress: Address;
	readonly paymentMethod: PaymentMethod;
	readonly expectedTotal: Money;
}

/** The user's cart at the prices and availability of now, never from a cache. */
export async function readCart(db: Queries, caller: Caller, userId: string): Promise<Cart> {
	const cart = await findCart(db, cartIdOf({ userId }));
	const ids = cart.lines.map(({ productId }) => productId);
	const products = ids.length > 0 ? await caller.call("products.lookup", { ids }) : [];
	return priceCart(cart, products);
}

/** Throws what keeps this cart from being bought for the expected total. */
export function requireBuyable({ items, total }: Cart, expected: Money): void {
	if (items.length === 0) throw failure(orders, "CART_EMPTY");
	if (items.some(({ notice }) => notice !== undefined)) throw failure(orders, "CART_NOT_AVAILABLE");
	if (total.amount !== expected.amount || total.currency !== expected.currency)
		throw failure(orders, "TOTAL_CHANGED");
}

/** Makes the order and empties the cart. The cart was read before; what has changed since is refused. */
export async function checkOut(
	tx: Tx,
	userId: string,
	cart: Cart,
	{ shippingAddress, paymentMethod, expectedTotal }: CheckoutRequest,
	{ STOCK_TIMEOUT_MS }: Config
): Promise<Order> {
	requireBuyable(cart, expectedTotal);
	if ((await touchCart(tx, cart.id)) !== cart.version + 1) throw failure(orders, "TOTAL_CHANGED");
	const items = cart.items.map(({ productId, sku, name, quantity, unitPrice, lineTotal }) => ({
		productId,
		sku,
		name,
		quantity,
		unitPrice,
		lineTotal
	}));
	const stored = await insertOrder(tx, {
		userId,
		items,
		total: cart.total,
		shippingAddress,
		paymentMethod
	});
	const { id, version } = stored.order;
	await insertSteps(tx, id, [{ step: "order.created", status: "placed", by: "customer" }]);
	tell(tx, stored, stored.life, version);
	await setTimer(tx, STOCK_TIMER, id, STOCK_TIMEOUT_MS);
	await removeItems(tx, cart.id);
	return stored.order;
}

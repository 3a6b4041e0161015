/** What a cart shows: its lines at the prices and availability of now. Pure. */
import type { Cart } from "../../contracts/carts.ts";
import { SHOP_CURRENCY, type Money } from "../../contracts/common.ts";
import type { Product } from "../../contracts/products.ts";
import type { StoredCart } from "./carts.store.ts";

type CartItem = Cart["items"][number];

/**
 * Prices the lines. A product that is gone or archived, or has its price in another currency than
 * those before it, stays visible, with a notice, and counts nothing.
 */
export function priceCart(
	{ id, version, updatedAt, lines }: StoredCart,
	products: readonly Product[]
): Omit<Cart, "cartToken"> {
	const byId = new Map(products.map(product => [product.id, product]));
	const currency =
		lines.map(line => byId.get(line.productId)).find(isForSale)?.price.currency ?? SHOP_CURRENCY;
	const items = lines.map(({ productId, quantity }) =>
		priceLine(productId, quantity, byId.get(productId), currency)
	);
	return {
		id,
		items,
		total: sum(
			items.map(({ lineTotal }) => lineTotal),
			currency
		),
		version,
		updatedAt
	};
}

const isForSale = (product: Product | undefined): product is Product =>
	product?.status === "active";

function priceLine(
	productId: string,
	quantity: number,
	product: Product | undefined,
	currency: string
): CartItem {
	if (!isForSale(product) || product.price.currency !== currency) {
		const nothing = { amount: 0, currency };
		return {
			productId,
			sku: product?.sku ?? "",
			name: product?.name ?? "",
			quantity,
			unitPrice: nothing,
			lineTotal: nothing,
			available: 0,
			notice: "not_available"
		};
	}
	const { sku, name, price, availability } = product;
	return {
		productId,
		sku,
		name,
		quantity,
		unitPrice: price,
		lineTotal: { amount: price.amount * quantity, currency: price.currency },
		available: availability.available,
		...(availability.available < quantity ? { notice: "not_enough" as const } : {})
	};
}

const sum = (amounts: readonly Money[], currency: string): Money => ({
	amount: amounts.reduce((total, { amount }) => total + amount, 0),
	currency
});

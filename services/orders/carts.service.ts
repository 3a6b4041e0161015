import { randomBytes } from "node:crypto";
import { carts, type Cart } from "../../contracts/carts.ts";
import type { Actions } from "../../contracts/index.ts";
import type { Tx } from "../../lib/database.ts";
import { failure, requireVersion } from "../../lib/failure.ts";
import { requireUser, type Meta } from "../../lib/identity.ts";
import { implement, type Caller } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { priceCart } from "./cart.ts";
import {
	cartIdOf,
	deleteCart,
	findCart,
	lockCart,
	putItem,
	removeItems,
	touchCart,
	type CartLine,
	type StoredCart
} from "./carts.store.ts";

interface Owner {
	readonly id: string;
	/** Told to guests alone. */
	readonly cartToken?: string;
}

/** Whose cart it is: the signed-in user's, else that of the token, else a new guest's. */
function ownerOf(
	{ user }: Meta,
	{ cartToken = randomBytes(32).toString("base64url") }: { cartToken?: string }
): Owner {
	return user ? { id: cartIdOf({ userId: user.id }) } : { id: cartIdOf({ cartToken }), cartToken };
}

async function show(
	ctx: Caller,
	cart: StoredCart,
	{ cartToken }: Omit<Owner, "id"> = {}
): Promise<Cart> {
	const ids = cart.lines.map(({ productId }) => productId);
	const products = ids.length > 0 ? await ctx.call("products.lookup", { ids }) : [];
	return { ...priceCart(cart, products), ...(cartToken ? { cartToken } : {}) };
}

type Change = Pick<Actions["carts.setItem"]["params"], "ifMatch">;

/** Throws VERSION_MISMATCH and CART_FULL. */
async function putIn(tx: Tx, id: string, { ifMatch, ...line }: Change & CartLine): Promise<void> {
	requireVersion(ifMatch, (await touchCart(tx, id)) - 1);
	if (!(await putItem(tx, id, line))) throw failure(carts, "CART_FULL");
}

/** One product, or all. Throws VERSION_MISMATCH. */
async function takeOut(
	tx: Tx,
	id: string,
	{ ifMatch, productId }: Change & { productId?: string }
): Promise<void> {
	requireVersion(ifMatch, await lockCart(tx, id));
	await removeItems(tx, id, productId);
}

/** Puts the guest's things into the user's cart and ends the guest's. Throws CART_FULL. */
async function takeOver(tx: Tx, mine: string, guests: string): Promise<void> {
	await touchCart(tx, mine);
	// Locked as well: an item put into it meanwhile would be lost.
	await touchCart(tx, guests);
	const own = (await findCart(tx, mine)).lines;
	const quantities = new Map(own.map(line => [line.productId, line.quantity]));
	for (const { productId, quantity } of (await findCart(tx, guests)).lines) {
		const larger = Math.max(quantity, quantities.get(productId) ?? 0);
		if (!(await putItem(tx, mine, { productId, quantity: larger })))
			throw failure(carts, "CART_FULL");
	}
	await deleteCart(tx, guests);
}

export default implement(carts)({
	mixins: [events("orders")],
	actions: {
		async get(ctx) {
			const owner = ownerOf(ctx.meta, ctx.params);
			return show(ctx, await findCart(this.db, owner.id), owner);
		},
		async clear(ctx) {
			const owner = ownerOf(ctx.meta, ctx.params);
			await this.transaction(tx => takeOut(tx, owner.id, ctx.params));
			return show(ctx, await findCart(this.db, owner.id), owner);
		},
		async setItem(ctx) {
			const { productId } = ctx.params;
			const owner = ownerOf(ctx.meta, ctx.params);
			const [product] = await ctx.call("products.lookup", { ids: [productId] });
			if (product?.status !== "active") throw failure(carts, "PRODUCT_NOT_AVAILABLE");
			await this.transaction(tx => putIn(tx, owner.id, ctx.params));
			return show(ctx, await findCart(this.db, owner.id), owner);
		},
		async removeItem(ctx) {
			const owner = ownerOf(ctx.meta, ctx.params);
			await this.transaction(tx => takeOut(tx, owner.id, ctx.params));
			return show(ctx, await findCart(this.db, owner.id), owner);
		},
		async merge(ctx) {
			const mine = cartIdOf({ userId: requireUser(ctx.meta).id });
			const guests = cartIdOf(ctx.params);
			await this.transaction(tx => takeOver(tx, mine, guests));
			return show(ctx, await findCart(this.db, mine));
		}
	}
});

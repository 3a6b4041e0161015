import { ordersData, type Erased } from "../../contracts/personal-data.ts";
import type { Database, Tx } from "../../lib/database.ts";
import { LAST_LOOK_MS, pageOfLists, tellErased, type DataList } from "../../lib/personal-data.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { setTimer, timers } from "../../mixins/timers.mixin.ts";
import { cartIdOf, findCart } from "./carts.store.ts";
import {
	anonymiseOrders,
	findErasureForUpdate,
	forgetUser,
	hasOpenOrders,
	insertErasure,
	markErased
} from "./erasure.store.ts";
import { listOrders } from "./orders.store.ts";

const ERASURE_TIMER = "orders.erasure";
/** How often it is looked whether the last order has come to rest. */
const LOOK_EVERY_MS = 2_000;

async function erase(tx: Tx, userId: string): Promise<Erased> {
	const orders = await anonymiseOrders(tx, userId);
	const carts = await forgetUser(tx, userId);
	const kept = {
		what: `${orders === 1 ? "1 order" : `${orders} orders`} with number, goods, amounts, times and country, without names, address and telephone`,
		why: "tax law asks us to keep them for ten years"
	};
	return { erased: { addresses: orders, carts }, kept: orders > 0 ? [kept] : [] };
}

/**
 * Erases once nothing of the user is under way, and tells so. Looks once more when no access token of
 * the user can be alive any more, for what was done with one meanwhile.
 */
async function look(tx: Tx, deletionId: string): Promise<void> {
	const erasure = await findErasureForUpdate(tx, deletionId);
	if (!erasure) return;
	const { userId, erasedAt } = erasure;
	if (await hasOpenOrders(tx, userId)) {
		await setTimer(tx, ERASURE_TIMER, deletionId, LOOK_EVERY_MS);
		return;
	}
	const erased = await erase(tx, userId);
	if (erasedAt) return;
	await markErased(tx, deletionId);
	tellErased(tx, "orders-data.erased.v1", { deletionId, userId }, erased);
	await setTimer(tx, ERASURE_TIMER, deletionId, LAST_LOOK_MS);
}

const listsOf = (db: Database, userId: string): Record<string, DataList> => ({
	orders: {
		read: async (after, limit) => {
			const before = after ?? undefined;
			const orders = await listOrders(db, { userId, status: undefined, before, limit });
			return orders.map(item => ({ key: item.id, item }));
		}
	}
});

export default implement(ordersData)({
	mixins: [events("orders", { ordered: false }), timers("orders", { [ERASURE_TIMER]: look })],
	actions: {
		async export({ params: { userId, after } }) {
			const { data, next } = await pageOfLists(listsOf(this.db, userId), after);
			if (after) return { data, next };
			const { lines, updatedAt } = await findCart(this.db, cartIdOf({ userId }));
			return { data: { ...data, cart: { lines, updatedAt } }, next };
		}
	},
	events: {
		async "user.deletion-requested.v1"({ data }, tx) {
			await insertErasure(tx, data);
			await look(tx, data.deletionId);
		}
	}
});

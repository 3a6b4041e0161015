import type { Service } from "moleculer";
import type { Actions } from "../../contracts/index.ts";
import { inventory, type Inventory } from "../../contracts/inventory.ts";
import { keyBehind, pageOf } from "../../lib/cursor.ts";
import type { Database, Tx } from "../../lib/database.ts";
import { failure, requireVersion } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement, mixin } from "../../lib/service.ts";
import { Ticker } from "../../lib/ticker.ts";
import { events } from "../../mixins/events.mixin.ts";
import {
	findInventory,
	leaseEnd,
	listMovements,
	lockExpired,
	lockReservation,
	lockStock,
	lockStockOf,
	reconcile,
	saveChange,
	saveMovements
} from "./inventory.store.ts";
import { commit, expire, release, reserve, type Decision } from "./reservation.ts";
import { adjust } from "./stock.ts";

/** How much longer stock is held than an order waits to be paid, so that a late payment still finds it. */
const GRACE_MS = 5 * 60_000;
const SWEEP_MS = 5_000;

/** Ends the leases that ran out while the node runs; nodes of the group share the work. */
const leaseSweep = () =>
	mixin<unknown>({
		created() {
			this.leases = new Ticker(
				() => expireAll(this.db as Database, lowStockOf(this as Service)),
				SWEEP_MS,
				error =>
					this.logger.error("A reservation whose lease ran out could not be released:", error)
			);
		},
		async started() {
			(this.leases as Ticker).start();
		},
		async stopped() {
			await (this.leases as Ticker).stop();
		}
	});

/** Units free to be bought at which stock is low. */
const lowStockOf = ({ broker }: Pick<Service, "broker">): number =>
	runtimeOf(broker).config.LOW_STOCK;

/** Releases every reservation whose lease ran out. Throws the last error, after all others had their turn. */
export async function expireAll(db: Database, lowStock: number): Promise<void> {
	const stuck: string[] = [];
	let error: unknown;
	for (;;) {
		let orderId: string | undefined;
		try {
			await db.transaction(async tx => {
				const reservation = await lockExpired(tx, stuck);
				orderId = reservation?.orderId;
				if (reservation) await saveChange(tx, expire(reservation), lowStock);
			});
		} catch (problem) {
			if (!orderId) throw problem;
			stuck.push(orderId);
			error = problem;
		}
		if (!orderId) break;
	}
	if (stuck.length > 0) throw error;
}

/** Does what was decided. A conflict is only logged: there is nothing to record, and no use in trying again. */
async function carryOut(
	tx: Tx,
	decision: Decision,
	service: Pick<Service, "broker" | "logger">
): Promise<void> {
	if (decision.outcome === "change") await saveChange(tx, decision, lowStockOf(service));
	if (decision.outcome === "conflict") service.logger.error(decision.why);
}

async function adjustStock(
	tx: Tx,
	{ productId, ifMatch, ...change }: Actions["inventory.adjust"]["params"],
	by: string,
	lowStock: number
): Promise<Inventory> {
	const stock = await lockStockOf(tx, productId);
	if (!stock) throw failure(inventory, "NOT_FOUND");
	requireVersion(ifMatch, stock.version);
	await saveMovements(tx, [adjust(stock, change, by)], lowStock);
	return (await findInventory(tx, productId))!;
}

const isMovement = (key: unknown): key is string =>
	typeof key === "string" && /^[1-9]\d{0,17}$/.test(key);

export default implement(inventory)({
	mixins: [events("catalog"), leaseSweep()],
	actions: {
		async get({ params }) {
			const found = await findInventory(this.db, params.productId);
			if (!found) throw failure(inventory, "NOT_FOUND");
			return found;
		},
		async movements({ params }) {
			const { productId, cursor, limit = 20 } = params;
			const listing = { list: "inventory.movements", filters: [productId] };
			const before = keyBehind(inventory, listing, cursor, isMovement);
			const found = await listMovements(this.db, productId, { before, limit: limit + 1 });
			if (!found) throw failure(inventory, "NOT_FOUND");
			const page = pageOf(listing, found, limit, ({ id }) => id);
			return { ...page, items: page.items.map(({ entry }) => entry) };
		},
		async adjust({ params, meta }) {
			const { id } = requireUser(meta);
			return this.transaction(tx => adjustStock(tx, params, id, lowStockOf(this)));
		},
		async reconcile() {
			// All of the ledger is read.
			return this.db.transaction(reconcile, undefined, { patient: true });
		}
	},
	events: {
		async "order.created.v1"({ data: { orderId, items } }, tx) {
			const { PAYMENT_TIMEOUT_MS } = runtimeOf(this.broker).config;
			const reservation = await lockReservation(tx, orderId);
			const stocks = await lockStock(
				tx,
				items.map(({ productId }) => productId)
			);
			const until = await leaseEnd(tx, PAYMENT_TIMEOUT_MS + GRACE_MS);
			await carryOut(tx, reserve(reservation, items, stocks, until), this);
		},
		async "order.paid.v1"({ data: { orderId } }, tx) {
			await carryOut(tx, commit(await lockReservation(tx, orderId)), this);
		},
		async "order.cancelling.v1"({ data: { orderId, undo } }, tx) {
			if (undo.stock) await carryOut(tx, release(await lockReservation(tx, orderId)), this);
		}
	}
});

import type { Service } from "moleculer";
import { inventory } from "../../contracts/inventory.ts";
import type { Database, Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement, mixin } from "../../lib/service.ts";
import { Ticker } from "../../lib/ticker.ts";
import { events } from "../../mixins/events.mixin.ts";
import {
	findInventory,
	leaseEnd,
	lockExpired,
	lockReservation,
	lockStock,
	saveChange
} from "./inventory.store.ts";
import { commit, expire, release, reserve, type Decision } from "./reservation.ts";

/** How much longer stock is held than an order waits to be paid, so that a late payment still finds it. */
const GRACE_MS = 5 * 60_000;
const SWEEP_MS = 5_000;

/** Ends the leases that ran out while the node runs; nodes of the group share the work. */
const leaseSweep = () =>
	mixin<unknown>({
		created() {
			this.leases = new Ticker(
				() => expireAll(this.db as Database),
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

/** Releases every reservation whose lease ran out. Throws the last error, after all others had their turn. */
export async function expireAll(db: Database): Promise<void> {
	const stuck: string[] = [];
	let error: unknown;
	for (;;) {
		let orderId: string | undefined;
		try {
			await db.transaction(async tx => {
				const reservation = await lockExpired(tx, stuck);
				orderId = reservation?.orderId;
				if (reservation) await saveChange(tx, expire(reservation));
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
async function carryOut(tx: Tx, decision: Decision, logger: Service["logger"]): Promise<void> {
	if (decision.outcome === "change") await saveChange(tx, decision);
	if (decision.outcome === "conflict") logger.error(decision.why);
}

export default implement(inventory)({
	mixins: [events("catalog"), leaseSweep()],
	actions: {
		async get({ params }) {
			const found = await findInventory(this.db, params.productId);
			if (!found) throw failure(inventory, "NOT_FOUND");
			return found;
		}
	},
	events: {
		async "order.created.v1"({ data: { orderId, items } }, tx) {
			const { PAYMENT_TIMEOUT_MS } = runtimeOf(this.broker).config;
			const reservation = await lockReservation(tx, orderId);
			const available = await lockStock(
				tx,
				items.map(({ productId }) => productId)
			);
			const until = await leaseEnd(tx, PAYMENT_TIMEOUT_MS + GRACE_MS);
			await carryOut(tx, reserve(reservation, items, available, until), this.logger);
		},
		async "order.paid.v1"({ data: { orderId } }, tx) {
			await carryOut(tx, commit(await lockReservation(tx, orderId)), this.logger);
		},
		async "order.cancelling.v1"({ data: { orderId, undo } }, tx) {
			if (undo.stock) await carryOut(tx, release(await lockReservation(tx, orderId)), this.logger);
		}
	}
});

import type { Service } from "moleculer";
import type { Events } from "../../contracts/index.ts";
import { orders, type Order } from "../../contracts/orders.ts";
import type { Config } from "../../lib/config.ts";
import { currentContext } from "../../lib/context.ts";
import { keyBehind, pageOf } from "../../lib/cursor.ts";
import type { Queries, Tx } from "../../lib/database.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { failure, requireVersion } from "../../lib/failure.ts";
import { isStaff, requireUser, type Identity } from "../../lib/identity.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement, mixin } from "../../lib/service.ts";
import { isUuid } from "../../lib/uuid.ts";
import { events } from "../../mixins/events.mixin.ts";
import { findDeadline, timers } from "../../mixins/timers.mixin.ts";
import { checkOut, readCart } from "./checkout.ts";
import { isCancellable, isTerminal, REMAINING, type Signal } from "./order.ts";
import {
	findOrder,
	findOrderForUpdate,
	countOrders,
	listOrders,
	listSteps
} from "./orders.store.ts";
import { PAYMENT_TIMER, signal, STOCK_TIMER, TIMER_OF } from "./saga.ts";
import { Waiters } from "./waiters.ts";

/** Whose orders this caller may see: staff anybody's. */
const ownerFilter = (user: Identity): string | undefined => (isStaff(user) ? undefined : user.id);

/** Seconds of `Prefer: wait=N` (RFC 7240) that we are ready to wait. */
const MAX_WAIT_SECONDS = 10;
const waitSeconds = (prefer = ""): number =>
	Math.min(MAX_WAIT_SECONDS, Number(/(?:^|[,;\s])wait\s*=\s*"?(\d{1,4})/i.exec(prefer)?.[1] ?? 0));

const timeout = (kind: Signal) => (tx: Tx, id: string, config: Config) =>
	signal(tx, id, kind, { by: "timer" }, config);

const waiting = mixin<{ readonly waiters: Waiters }>({
	created() {
		this.waiters = new Waiters();
	}
});

async function find(db: Queries, id: string, user: Identity): Promise<Order> {
	const stored = await findOrder(db, id, ownerFilter(user));
	if (!stored) throw failure(orders, "NOT_FOUND");
	return stored.order;
}

async function cancelOrder(
	tx: Tx,
	{ id, ifMatch }: { id: string; ifMatch?: number[] },
	user: Identity,
	config: Config
): Promise<Order> {
	const stored = await findOrderForUpdate(tx, id);
	if (!stored || (stored.userId !== user.id && !isStaff(user))) throw failure(orders, "NOT_FOUND");
	const { life, order } = stored;
	requireVersion(ifMatch, order.version);
	if (life.status === "cancelling" || life.status === "cancelled") return order;
	if (!isCancellable(life)) throw failure(orders, "ORDER_CLOSED");
	const by = stored.userId === user.id ? "customer" : "staff";
	return (await signal(tx, id, "cancel-requested", { by }, config))!.order;
}

/** The handler of a fact that moves an order. */
const moves = <D extends { orderId: string }>(
	kind: Signal,
	by: string,
	detailOf?: (data: D) => string
) =>
	async function (
		this: Pick<Service, "broker" | "logger">,
		{ data }: Envelope<D>,
		tx: Tx
	): Promise<void> {
		const detail = detailOf?.(data);
		const origin = { by, ...(detail ? { detail } : {}) };
		const order = await signal(tx, data.orderId, kind, origin, runtimeOf(this.broker).config);
		// Nobody but this service makes orders: the fact tells of another system's.
		if (!order) this.logger.error(`${by} speaks of an order that does not exist: ${data.orderId}`);
	};

const describeShortages = ({ shortages }: Events["inventory.rejected.v1"]): string =>
	shortages
		.map(
			({ productId, requested, available }) =>
				`${productId}: ${requested} wanted, ${available} there`
		)
		.join("; ");

/** An order has come to rest: those who wait for it look again. */
function wakeWaiters(this: { waiters: Waiters }, { aggregateid }: Envelope): void {
	this.waiters.wake(aggregateid);
}

export default implement(orders)({
	mixins: [
		events("orders", { batch: true }),
		timers("orders", {
			[STOCK_TIMER]: timeout("stock-timeout"),
			[PAYMENT_TIMER]: timeout("payment-timeout")
		}),
		waiting
	],
	actions: {
		async place(ctx) {
			const { id: userId } = requireUser(ctx.meta);
			const { prefer, ...request } = ctx.params;
			// Read before the transaction, which must not wait for another service. Where that fails, a
			// repetition is still answered: it needs no cart.
			const reading = readCart(this.db, ctx, userId);
			await reading.catch(() => {});
			const order = await this.transaction(async tx =>
				checkOut(tx, userId, await reading, request, runtimeOf(this.broker).config)
			);
			const ms = waitSeconds(prefer) * 1_000;
			const read = async () => (await findOrder(this.db, order.id, userId))!.order;
			const isAtRest = ({ status }: Order) => isTerminal(status);
			return ms === 0
				? order
				: this.waiters.wait(order.id, ms, read, isAtRest, currentContext().signal);
		},
		async list(ctx) {
			const { status, cursor, limit = 20, withTotal } = ctx.params;
			const userId = ownerFilter(requireUser(ctx.meta));
			const listing = { list: "orders.list", filters: [userId, status] };
			const before = keyBehind(orders, listing, cursor, isUuid);
			const found = await listOrders(this.db, { userId, status, before, limit: limit + 1 });
			return {
				...pageOf(listing, found, limit, ({ id }) => id),
				...(withTotal ? { total: await countOrders(this.db, { userId, status }) } : {})
			};
		},
		async get(ctx) {
			return find(this.db, ctx.params.id, requireUser(ctx.meta));
		},
		async timeline(ctx) {
			const { id, status } = await find(this.db, ctx.params.id, requireUser(ctx.meta));
			const timer = TIMER_OF[status];
			const deadline = timer && (await findDeadline(this.db, timer, id));
			return {
				items: await listSteps(this.db, id),
				remaining: REMAINING[status].map((step, index) =>
					index === 0 && deadline ? { step, deadline } : { step }
				)
			};
		},
		async follow(ctx) {
			const { id, after = 0 } = ctx.params;
			// Read before its steps: the one that ended it is then among them.
			const { status } = await find(this.db, id, requireUser(ctx.meta));
			const steps = await listSteps(this.db, id, after);
			return {
				events: steps.map((data, index) => ({ id: after + index + 1, data })),
				ended: isTerminal(status)
			};
		},
		async cancel(ctx) {
			const user = requireUser(ctx.meta);
			return this.transaction(tx =>
				cancelOrder(tx, ctx.params, user, runtimeOf(this.broker).config)
			);
		}
	},
	events: {
		"inventory.reserved.v1": moves("stock-reserved", "inventory"),
		"inventory.rejected.v1": moves("stock-rejected", "inventory", describeShortages),
		"inventory.committed.v1": moves("stock-committed", "inventory"),
		"inventory.released.v1": moves("stock-released", "inventory"),
		"inventory.expired.v1": moves("stock-expired", "inventory"),
		"payment.processed.v1": moves("payment-captured", "payments"),
		"payment.failed.v1": moves(
			"payment-failed",
			"payments",
			({ code }: { orderId: string; code: string }) => code
		),
		"payment.voided.v1": moves("payment-voided", "payments"),
		"payment.refunded.v1": moves("payment-refunded", "payments"),
		"payment.refund-failed.v1": moves(
			"refund-failed",
			"payments",
			({ code }: { orderId: string; code: string }) => code
		)
	},
	watch: {
		"order.confirmed.v1": wakeWaiters,
		"order.cancelled.v1": wakeWaiters,
		"order.refund-failed.v1": wakeWaiters
	}
});

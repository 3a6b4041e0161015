/** Gives a service its group's database, transactions that record facts, and durable event handlers. */
import type { ServiceSchema } from "moleculer";
import type { Group } from "../lib/config.ts";
import type { Database, Tx } from "../lib/database.ts";
import { Inbox, type EventHandler, type ResetProjection } from "../lib/events/inbox.ts";
import { handOutHistory } from "../lib/events/late-consumer.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { runtimeOf } from "../lib/runtime.ts";

export interface DatabaseMethods {
	/** The group's database, for reads outside a transaction. */
	readonly db: Database;
	/**
	 * Runs `work` in one transaction of the group's database. What it records is published after
	 * the commit; whatever it throws undoes all of it. `work` may be done twice, where a deadlock has undone
	 * it: it has no effect but in the transaction.
	 */
	transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface EventsOptions {
	/** False: events of one aggregate may be handled in any order. */
	readonly ordered?: boolean;
	/** True: a dead letter is about money, and it takes two people to discard it. */
	readonly critical?: boolean;
	/**
	 * True: where many events wait, several of different aggregates are handled in one transaction,
	 * which saves most of its cost. Only where their handlers never touch the same rows: two such
	 * transactions would wait for each other. What goes wrong is handled again one by one.
	 */
	readonly batch?: boolean;
	/**
	 * Empties what the handlers write, where that follows from the events alone: the service is a
	 * projection then, which `npm run events -- rebuild` makes anew.
	 */
	readonly projection?: ResetProjection;
}

/**
 * `events: { "order.paid.v1"(event, tx) {…} }` of `implement()` become a durable consumer named
 * after the service. A handler runs in the transaction that it is handed, effectively once.
 */
export const events = (
	group: Group,
	{ ordered = true, critical = false, batch = false, projection }: EventsOptions = {}
): Mixin<DatabaseMethods> =>
	mixin<DatabaseMethods>({
		created(this: any) {
			this.db = runtimeOf(this.broker).database(group);
			this.transaction = <T>(work: (tx: Tx) => Promise<T>) =>
				(this.db as Database).transaction(work, undefined, { repeatable: true });
		},
		async started(this: any) {
			const durable =
				(this.schema as ServiceSchema & { durable?: Record<string, EventHandler> }).durable ?? {};
			const types = Object.keys(durable);
			if (types.length === 0) return;
			const { stream, metrics, inboxes, database } = runtimeOf(this.broker);
			const inbox = new Inbox({
				database: this.db,
				consumer: this.name,
				handlers: new Map(types.map(type => [type, durable[type]!.bind(this)])),
				ordered,
				critical,
				batch,
				reset: projection,
				metrics: metrics.events,
				logger: this.logger
			});
			inboxes.set(this.name, inbox);
			if (stream.kind === "local") await handOutHistory(inbox, database);
			await stream.subscribe({
				name: this.name,
				aggregateTypes: inbox.aggregateTypes,
				consume: inbox.consume,
				refuse: inbox.refuse,
				join: inbox.join,
				begin: inbox.begin
			});
		},
		async stopped(this: any) {
			const { stream, inboxes } = runtimeOf(this.broker);
			await stream.unsubscribe(this.name);
			inboxes.delete(this.name);
		}
	} as Partial<ServiceSchema>);

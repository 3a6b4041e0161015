/** Gives a service its group's database, transactions that record facts, and durable event handlers. */
import type { ServiceSchema } from "moleculer";
import type { Group } from "../lib/config.ts";
import type { Database, Tx } from "../lib/database.ts";
import { aggregateType } from "../lib/events/envelope.ts";
import { createInbox, type EventHandler } from "../lib/events/inbox.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { runtimeOf } from "../lib/runtime.ts";

export interface DatabaseMethods {
	/** The group's database, for reads outside a transaction. */
	readonly db: Database;
	/**
	 * Runs `work` in one transaction of the group's database. What it records is published after
	 * the commit; whatever it throws undoes all of it.
	 */
	transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface EventsOptions {
	/** False: events of one aggregate may be handled in any order. */
	readonly ordered?: boolean;
}

/**
 * `events: { "order.paid.v1"(event, tx) {…} }` of `implement()` become a durable consumer named
 * after the service. A handler runs in the transaction that it is handed, effectively once.
 */
export const events = (
	group: Group,
	{ ordered = true }: EventsOptions = {}
): Mixin<DatabaseMethods> =>
	mixin<DatabaseMethods>({
		created(this: any) {
			this.db = runtimeOf(this.broker).database(group);
			this.transaction = <T>(work: (tx: Tx) => Promise<T>) =>
				(this.db as Database).transaction(work);
		},
		async started(this: any) {
			const durable =
				(this.schema as ServiceSchema & { durable?: Record<string, EventHandler> }).durable ?? {};
			const types = Object.keys(durable);
			if (types.length === 0) return;
			const inbox = createInbox({
				database: this.db,
				consumer: this.name,
				handlers: new Map(types.map(type => [type, durable[type]!.bind(this)])),
				ordered,
				logger: this.logger
			});
			await runtimeOf(this.broker).stream.subscribe(
				this.name,
				[...new Set(types.map(aggregateType))],
				inbox
			);
		},
		async stopped(this: any) {
			await runtimeOf(this.broker).stream.unsubscribe(this.name);
		}
	} as Partial<ServiceSchema>);

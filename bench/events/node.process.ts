/** A node of one group with some of what an event passes: `node.process.ts <group> [relay] [consumer] [timers]`. */
import pg from "pg";
import type { ServiceSchema } from "moleculer";
import { catalogEvents, ordersEvents } from "../../contracts/backbone.ts";
import { databaseUrl, readConfig } from "../../lib/config.ts";
import type { Tx } from "../../lib/database.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { startNode, type ValenceNode } from "../../lib/node.ts";
import { implement } from "../../lib/service.ts";
import { backboneService } from "../../mixins/backbone.ts";
import { events } from "../../mixins/events.mixin.ts";
import { timers } from "../../mixins/timers.mixin.ts";
import { now, type Moment } from "./clock.ts";
import { samples, SAMPLE } from "./contract.ts";
import { serve } from "./part.ts";
import { write, writeSilently, type Writing } from "./writer.ts";

/** What runs on a node. */
export type Feature = "relay" | "consumer" | "timers";

const [, , name, ...features] = process.argv;
const group = name === "catalog" ? "catalog" : "orders";
const config = readConfig();

let node: ValenceNode | undefined;
let startedAt = 0;
let handled = 0;
let lastAt = 0;
let moments: Moment[] | undefined;

const clock: ServiceSchema = {
	name: "clock",
	events: {
		// When the relays start.
		"$broker.started"() {
			startedAt = now();
		}
	}
};

const consumer = implement(samples)({
	mixins: [events(group, { batch: true })],
	actions: {},
	events: {
		async [SAMPLE](event: Envelope<{ number: number }>, tx: Tx) {
			const { number } = event.data;
			await tx.query("INSERT INTO sample (number) VALUES ($1)", [number]);
			tx.afterCommit(() => {
				handled++;
				lastAt = now();
				moments?.push([number, lastAt]);
			});
		}
		// Only facts of the registry have types.
	} as never
});

const deadlines: ServiceSchema = {
	name: "deadlines",
	mixins: [timers(group, { never: () => Promise.resolve() })]
};

const services: ServiceSchema[] = [
	clock,
	...(features.includes("relay")
		? [backboneService(group, group === "orders" ? ordersEvents : catalogEvents)]
		: []),
	...(features.includes("consumer") ? [consumer] : []),
	...(features.includes("timers") ? [deadlines] : [])
];

const methods = {
	/** Starts the node; answers when its relay began. */
	async start({ keepMoments = false } = {}): Promise<number> {
		if (keepMoments) moments = [];
		node = await startNode(config, { units: [], extra: services });
		return startedAt;
	},
	/** Records samples at a rate; answers when each was committed. */
	write: (writing: Writing): Promise<Moment[]> => write(node!.runtime.database(group), writing),
	/** The same in plain SQL, without telling anybody. */
	async writeSilently(writing: Writing): Promise<Moment[]> {
		const pool = new pg.Pool({ connectionString: databaseUrl(config, group) });
		try {
			return await writeSilently(pool, writing);
		} finally {
			await pool.end();
		}
	},
	progress: () => ({ handled, lastAt }),
	/** Deliveries that were sent back because a predecessor was still on its way. */
	async outOfOrder(): Promise<number> {
		const { values } = await node!.runtime.metrics.events.outOfOrder.get();
		return values.reduce((sum, { value }) => sum + value, 0);
	},
	/** When each sample was handled, since the last time this was asked. */
	takeMoments(): Moment[] {
		const taken = moments ?? [];
		moments = [];
		return taken;
	}
};
export type NodeMethods = typeof methods;

serve(methods, async () => node?.stop());

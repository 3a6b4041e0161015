/**
 * What the replicas of the crash matrix run. Unlike in a chaos run the reader has one consumer, so
 * that it is known whose event it dies of; and the writer does jobs and fires timers as well.
 */
import type { ServiceSchema } from "moleculer";
import { catalogEvents, ordersEvents } from "../../contracts/backbone.ts";
import { LAST_WORDS } from "../../lib/crash-point.ts";
import type { Tx } from "../../lib/database.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement } from "../../lib/service.ts";
import { backboneService } from "../../mixins/backbone.ts";
import { jobs, type JobMethods } from "../../mixins/jobs.mixin.ts";
import { setTimer, timers } from "../../mixins/timers.mixin.ts";
import { writeSync } from "node:fs";
import { OBSERVER, READER, WRITER, type Trap } from "../chaos/contract.ts";
import { consumerService, passOn, type Command } from "../chaos/services.ts";

export type Part = "writer" | "reader";
export const PARTS = ["writer", "reader"] as const satisfies readonly Part[];

const WORK = "crash-work";
/** The kind of the job and of the timer. */
const KIND = "crash-probe";

const noteOutcome = (tx: Tx, what: "job" | "timer", key: string) =>
	tx.query("INSERT INTO crash_outcome (what, key) VALUES ($1, $2)", [what, key]);

const work = implement({ name: WORK, actions: {}, events: {}, failures: {} })({
	mixins: [
		jobs("orders", ({ broker }) => ({
			[KIND]: {
				// The world outside: a database of its own, which knows a job again by its key.
				async perform(_: unknown, { key }: { key: string }) {
					await runtimeOf(broker)
						.database("catalog")
						.query(
							`INSERT INTO crash_outside (key, asked) VALUES ($1, 1)
							 ON CONFLICT (key) DO UPDATE SET asked = crash_outside.asked + 1`,
							[key]
						);
					return key;
				},
				complete: (tx: Tx, _: unknown, key: string) => noteOutcome(tx, "job", key).then(() => {})
			}
		})),
		timers("orders", { [KIND]: (tx, refId) => noteOutcome(tx, "timer", refId) })
	],
	actions: {}
});

/** Asks for what a command wants beside the posting, in its transaction. */
export async function alsoAsk(service: unknown, { asks, key }: Command, tx: Tx): Promise<void> {
	if (asks === "job") await (service as JobMethods).enqueue(tx, KIND, key, {});
	if (asks === "timer") await setTimer(tx, KIND, key, 0);
}

/** The name of the service that `alsoAsk` is handed. */
export const WORKER = WORK;

/** The reader's handlers with a fault in them, which springs the traps until it is mended. */
export class Fault {
	isMended = false;

	spring(trap: Trap | undefined): void {
		if (!trap || this.isMended) return;
		if (trap === "throws") throw new Error("The handler has a fault.");
		writeSync(2, `${LAST_WORDS}${HANDLER}\n`);
		process.kill(process.pid, "SIGKILL");
	}
}

/** Where a handler that kills its process says it died. */
export const HANDLER = "handler";

export const servicesOf = (part: Part, fault: Fault): ServiceSchema[] =>
	part === "writer"
		? [
				backboneService("orders", ordersEvents),
				consumerService(WRITER),
				consumerService(OBSERVER),
				work
			]
		: [
				backboneService("catalog", catalogEvents),
				consumerService(READER, (event, tx, position) => {
					fault.spring((event.data as { trap?: Trap }).trap);
					passOn(event, tx, position);
				})
			];

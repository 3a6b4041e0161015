/** The facts of the proving ground. They stand in no registry: only the nodes of a chaos run know them. */
import { Type } from "typebox";
import { Id } from "../../contracts/common.ts";
import type { Group } from "../../lib/config.ts";
import { contract, type EventsOf } from "../../lib/contract.ts";
import type { Tx, Versioned } from "../../lib/database.ts";
import { declareEvents } from "../../lib/events/catalog.ts";

/** `throws`: the handler fails each time. `kills`: it takes its process with it. */
export const TRAPS = ["throws", "kills"] as const;
export type Trap = (typeof TRAPS)[number];

export const provingGround = contract({
	name: "chaos",
	actions: {},
	failures: {},
	events: {
		"account.posted.v1": {
			summary: "A command took effect on an account",
			data: Type.Object({ key: Id, trap: Type.Optional(Type.Enum(TRAPS)) })
		},
		"entry.applied.v1": {
			summary: "The reader has applied what was posted",
			data: Type.Object({ key: Id })
		}
	}
});
declareEvents(provingGround);

type ProvingFacts = EventsOf<{ provingGround: typeof provingGround }>;
export type ProvingFact = keyof ProvingFacts;

/** `tx.record` for these facts, which the types of the registry do not list. */
export const record = <K extends ProvingFact>(
	tx: Tx,
	type: K,
	aggregate: Versioned,
	data: ProvingFacts[K]
): void => tx.record(type as never, aggregate, data as never);

/** A durable consumer of the proving ground: the service of this name handles the facts of `type`. */
export interface Consumer {
	readonly name: string;
	/** The group whose database keeps the effects. */
	readonly group: Group;
	readonly type: ProvingFact;
	/** The group that records the facts. */
	readonly from: Group;
	readonly ordered: boolean;
}

/** Two hops, so that relay and inbox of both groups are put to the test, and one without an order. */
export const READER: Consumer = {
	name: "chaos-reader",
	group: "catalog",
	type: "account.posted.v1",
	from: "orders",
	ordered: true
};
export const OBSERVER: Consumer = { ...READER, name: "chaos-observer", ordered: false };
export const WRITER: Consumer = {
	name: "chaos-writer",
	group: "orders",
	type: "entry.applied.v1",
	from: "catalog",
	ordered: true
};
export const CONSUMERS = [READER, OBSERVER, WRITER] as const;

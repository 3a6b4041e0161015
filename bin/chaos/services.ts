/** The services of the proving ground: thin, on the real backbone, in the databases of two real groups. */
import type { ServiceSchema } from "moleculer";
import { catalogEvents, ordersEvents } from "../../contracts/backbone.ts";
import type { Database, Tx } from "../../lib/database.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { implement } from "../../lib/service.ts";
import { backboneService } from "../../mixins/backbone.ts";
import { events } from "../../mixins/events.mixin.ts";
import { OBSERVER, READER, record, WRITER, type Consumer, type Trap } from "./contract.ts";

export type Role = "writer" | "reader";
export const ROLES = ["writer", "reader"] as const satisfies readonly Role[];

/** What clients ask of a writer. `refuse` makes it change its mind at the very end. */
export interface Command {
	readonly key: string;
	readonly account: string;
	readonly refuse: boolean;
	/** What else the command asks for; only the replicas of the crash matrix do it. */
	readonly asks?: "job" | "timer";
	/** What its event does to a reader of the crash matrix, until that is mended. */
	readonly trap?: Trap;
}

/** The writer's answer to a command that does not take effect, now or ever. */
export class Refused extends Error {}

/**
 * Posts to an account, once for each key; answers the version that this brought about, also to a
 * repetition. `also` goes on in the transaction.
 */
export const post = (
	db: Database,
	command: Command,
	also?: (command: Command, tx: Tx) => Promise<void>
): Promise<number> =>
	db.transaction(async tx => {
		const { key, account, refuse, trap } = command;
		// Locks the account: what comes at the same time waits here, and then finds the key.
		const current = await tx.one<{ version: number }>(
			"SELECT version FROM chaos_account WHERE id = $1 FOR UPDATE",
			[account]
		);
		if (!current) throw new Refused();
		const before = await tx.one<{ version: number }>(
			"SELECT version FROM chaos_command WHERE key = $1",
			[key]
		);
		if (before) return before.version;
		const version = current.version + 1;
		await tx.query("UPDATE chaos_account SET version = $2 WHERE id = $1", [account, version]);
		await tx.query("INSERT INTO chaos_command VALUES ($1, $2, $3)", [key, account, version]);
		record(tx, "account.posted.v1", { id: account, version }, { key, ...(trap && { trap }) });
		await also?.(command, tx);
		if (refuse) throw new Refused();
		return version;
	});

/** One more effect of an event; answers how many effects the account has seen. */
async function apply(
	{ name, ordered }: Consumer,
	{ id, aggregateid, aggregateversion, data }: Envelope,
	tx: Tx
): Promise<number> {
	const { key } = data as { key: string };
	const counted = ordered
		? await tx.one<{ position: number }>(
				`INSERT INTO chaos_position VALUES ($1, $2, 1)
				 ON CONFLICT (consumer, account) DO UPDATE SET position = chaos_position.position + 1
				 RETURNING position`,
				[name, aggregateid]
			)
		: undefined;
	await tx.query(
		`INSERT INTO chaos_effect (consumer, event_id, account, version, position, key)
		 VALUES ($1, $2, $3, $4, $5, $6)`,
		[name, id, aggregateid, aggregateversion, counted?.position ?? null, key]
	);
	return counted?.position ?? 0;
}

/** The service of a consumer; `then` goes on in the transaction of the effect. */
export const consumerService = (
	consumer: Consumer,
	then: (event: Envelope, tx: Tx, position: number) => void = () => {}
): ServiceSchema =>
	implement({ name: consumer.name, actions: {}, events: {}, failures: {} })({
		mixins: [events(consumer.group, { ordered: consumer.ordered, batch: true })],
		actions: {},
		events: {
			async [consumer.type](event: Envelope, tx: Tx) {
				then(event, tx, await apply(consumer, event, tx));
			}
		}
	});

/** The reader's second half: tells the writer that it has applied what was posted. */
export function passOn({ aggregateid: id, data }: Envelope, tx: Tx, version: number): void {
	const { key } = data as { key: string };
	record(tx, "entry.applied.v1", { id, version }, { key });
}

/** What a replica of this role runs. */
export const servicesOf = (role: Role): ServiceSchema[] =>
	role === "writer"
		? [backboneService("orders", ordersEvents), consumerService(WRITER)]
		: [
				backboneService("catalog", catalogEvents),
				consumerService(READER, passOn),
				consumerService(OBSERVER)
			];

/**
 * A consumer that is new where there are events already. In the cluster its durable begins with the
 * first that the stream still has. In one process only the outboxes keep events, so these hand out once
 * more what they have; all others know it already.
 */
import { GROUPS, type Group } from "../config.ts";
import type { Database } from "../database.ts";
import { takeBack } from "./healing.ts";
import type { Inbox } from "./inbox.ts";
import type { Beginning } from "./stream.ts";

/**
 * Has the outboxes hand out the history of the topics that are new to the consumer. To be called
 * before it subscribes and before the relays start: what they publish in between would pass it by.
 */
export async function handOutHistory(
	inbox: Inbox,
	databaseOf: (group: Group) => Database
): Promise<void> {
	const topics = await inbox.newTopics();
	if (topics.length === 0) return;
	const outboxes = await findOutboxes(databaseOf);
	for (const topic of topics) {
		const beginnings = (await Promise.all(outboxes.map(db => beginningsIn(db, topic)))).flat();
		for (const outbox of outboxes) await takeBack(outbox, "aggregate_type = $2", [topic]);
		// Last, so that all of it is done again where we die before.
		await inbox.join(topic, beginnings);
	}
}

/** The databases of the groups that there are; tests and tools run some of them only. */
async function findOutboxes(databaseOf: (group: Group) => Database): Promise<Database[]> {
	const databases = GROUPS.map(databaseOf);
	const found = await Promise.all(
		databases.map(db =>
			db.one<{ outbox: string | null }>("SELECT to_regclass('outbox') AS outbox").catch(error => {
				// There is no such database. Of one that does not answer the history would be missed for good.
				if ((error as { code?: unknown }).code === "3D000") return undefined;
				throw error;
			})
		)
	);
	return databases.filter((_, index) => found[index]?.outbox);
}

/** The aggregates of a topic whose first events were purged. */
const beginningsIn = (db: Database, topic: string): Promise<Beginning[]> =>
	db.transaction(
		tx =>
			tx.query<Beginning>(
				`SELECT aggregate_id AS "aggregateId", min(aggregate_version) AS version FROM outbox
				 WHERE aggregate_type = $1 GROUP BY aggregate_id HAVING min(aggregate_version) > 1`,
				[topic]
			),
		undefined,
		{ patient: true }
	);

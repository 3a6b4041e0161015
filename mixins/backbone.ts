/** The service by which a group's event backbone runs on a node, can be asked how it fares, and is operated. */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import type { BackboneStatus, usersEvents } from "../contracts/backbone.ts";
import { GROUPS, type Group } from "../lib/config.ts";
import { isRetryable, type Database } from "../lib/database.ts";
import { audited } from "../lib/events/audit.ts";
import { consumerFigures, handledEvents } from "../lib/events/consumers.ts";
import { findLetter, findLetters, isOpen, type OpenedLetter } from "../lib/events/dead-letters.ts";
import { discardLetter } from "../lib/events/discard.ts";
import type { Envelope } from "../lib/events/envelope.ts";
import { historyPage } from "../lib/events/history.ts";
import { outboxView, recordedEvents, recordedTopics, retrySetAside } from "../lib/events/outbox.ts";
import {
	keepSnapshot,
	planReplay,
	runReplay,
	select,
	snapshotOf,
	type Inboxes
} from "../lib/events/replay.ts";
import { failure } from "../lib/failure.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { implement, type Caller } from "../lib/service.ts";
import { events } from "./events.mixin.ts";
import { relay } from "./relay.mixin.ts";

type Contract = typeof usersEvents;

/** Relays the group's outbox while the node runs, and answers the actions of its contract. */
export const backboneService = (group: Group, declared: Contract | object): ServiceSchema => {
	// They differ in their names alone.
	const contract = declared as Contract;
	return implement(contract)({
		mixins: [events(group), relay(group)],
		actions: {
			async status() {
				const { stream } = runtimeOf(this.broker);
				return {
					...(await databaseStatus(this.db, this.logger)),
					stream: stream.isUp() ? "up" : "down",
					leader: this.relay.isLeader
				};
			},
			async overview() {
				const { kept } = runtimeOf(this.broker).stream;
				return {
					recorded: await recordedTopics(this.db),
					consumers: await consumerFigures(this.db, inboxesOf(this.broker, group), kept),
					stream: kept ? { ...(await kept.state()).topics } : null
				};
			},
			async letters({ params }) {
				return findLetters(this.db, params);
			},
			async letter({ params: { id } }) {
				return letterOf(contract, this.db, id);
			},
			async replay({ params: { ids, filter, snapshotId: id, dryRun, by } }) {
				const wanted = ids ? { ids } : filter && { filter };
				const numbers = await (wanted ? select(this.db, wanted) : snapshotOf(this.db, id));
				if (!numbers) throw nothingFor(contract, wanted);
				if (wanted) await keepSnapshot(this.db, { id, numbers, by });
				const inboxes = inboxesOf(this.broker, group);
				if (dryRun) return planReplay(this.db, inboxes, numbers);
				return runReplay(this.db, inboxes, { numbers, by });
			},
			async discard({ params: { id, ...discard } }) {
				const { letter } = await letterOf(contract, this.db, id);
				if (!isOpen(letter)) return letter;
				const inbox = inboxesOf(this.broker, group).get(letter.consumer);
				if (!(await discardLetter(this.db, inbox, letter, discard)))
					throw failure(contract, "SECOND_PERSON_NEEDED");
				return (await letterOf(contract, this.db, id)).letter;
			},
			async outbox() {
				const leader = this.relay.isLeader ? this.broker.nodeID : null;
				return { ...(await outboxView(this.db)), leader };
			},
			async retryOutbox({ params }) {
				const waiting = await retrySetAside(this.db, params);
				if (!waiting) throw failure(contract, "NOT_FOUND", { detail: NOT_ASIDE });
				return waiting;
			},
			async recorded({ params }) {
				return recordedEvents(this.db, params);
			},
			async handled({ params: { eventIds } }) {
				return handledEvents(this.db, [...inboxesOf(this.broker, group).keys()], eventIds);
			},
			async history({ params: { aggregateTypes, ...page } }) {
				return historyPage(this.db, aggregateTypes, page);
			},
			async rebuild(ctx) {
				const { projection: consumer, by } = ctx.params;
				const inbox = inboxesOf(this.broker, group).get(consumer);
				if (!inbox?.isProjection) throw failure(contract, "NO_SUCH_PROJECTION");
				const began = performance.now();
				const history = () => wholeHistory(contract, ctx, inbox.aggregateTypes);
				const deed = { by, action: "rebuild", detail: { consumer } } as const;
				const count = await audited(this.db, deed, () => inbox.rebuild(history), String);
				return { consumer, events: count, milliseconds: Math.round(performance.now() - began) };
			}
		}
	});
};

async function databaseStatus(
	db: Database,
	logger: Pick<ServiceBroker["logger"], "warn">
): Promise<
	Pick<BackboneStatus, "database" | "unpublished" | "oldestUnpublishedSeconds" | "deadLetters">
> {
	try {
		const row = await db.one<{ unpublished: number; oldest: number; dead: number }>(
			`SELECT count(*)::int AS unpublished,
			   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS oldest,
			   (SELECT count(*)::int FROM dead_letter WHERE state IN ('dead', 'parked')) AS dead
			 FROM outbox WHERE published_at IS NULL`
		);
		const { unpublished, oldest: oldestUnpublishedSeconds, dead: deadLetters } = row!;
		return { database: "up", unpublished, oldestUnpublishedSeconds, deadLetters };
	} catch (error) {
		logger.warn(`The database of ${db.group} does not answer: ${String(error)}`);
		return { database: "down", unpublished: 0, oldestUnpublishedSeconds: 0, deadLetters: 0 };
	}
}

/** The group's durable consumers on this node. */
const inboxesOf = (broker: ServiceBroker, group: Group): Inboxes =>
	new Map([...runtimeOf(broker).inboxes].filter(([, inbox]) => inbox.group === group));

async function letterOf(contract: Contract, db: Database, id: string): Promise<OpenedLetter> {
	const found = await findLetter(db, id);
	if (!found) throw failure(contract, "NOT_FOUND", { detail: NO_LETTER });
	return found;
}

/** What a replay is to be of is not there (any more). */
const nothingFor = (contract: Contract, wanted: object | undefined) =>
	wanted
		? failure(contract, "NOT_FOUND", { detail: NO_LETTER })
		: failure(contract, "NO_SUCH_SNAPSHOT");

const NO_LETTER = "There is no such dead letter.";
const NOT_ASIDE = "There is no event of this id that was set aside.";
const HISTORY_PAGE = 500;

/** The events of these topics from all groups; each aggregate is recorded in one of them. */
async function* wholeHistory(
	contract: Contract,
	caller: Caller,
	aggregateTypes: readonly string[]
): AsyncIterable<readonly Envelope[]> {
	for (const group of GROUPS)
		for (let after = "0"; ;) {
			const params = { aggregateTypes: [...aggregateTypes], after, limit: HISTORY_PAGE };
			const page = await caller.call(`${group}-events.history`, params).catch((error: unknown) => {
				throw isRetryable(error) ? failure(contract, "GROUP_AWAY") : error;
			});
			if (page.purged > 0) throw failure(contract, "HISTORY_PURGED");
			if (page.next === null) break;
			yield page.events as Envelope[];
			after = page.next;
		}
}

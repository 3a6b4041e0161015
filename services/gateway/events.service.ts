/** What operators see of events, and do about them: asks every group, and makes one answer of theirs. */
import type { ServiceBroker } from "moleculer";
import {
	events,
	type Handled,
	type LetterFilter,
	type OutboxView,
	type RecordedEvent,
	type ReplayItem,
	type Story
} from "../../contracts/events.ts";
import { GROUPS, type Group } from "../../lib/config.ts";
import { isRetryable } from "../../lib/database.ts";
import { parseLetterId } from "../../lib/events/dead-letters.ts";
import { aggregateTypeOf } from "../../lib/events/envelope.ts";
import { failure, isFailure } from "../../lib/failure.ts";
import { OPERATOR, requireUser, type Meta } from "../../lib/identity.ts";
import { callerOf, implement, type Caller } from "../../lib/service.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { pageOf, placeOf } from "./dead-letters.ts";
import { topicsOf } from "./topics.ts";

/** What a group answers; GROUP_AWAY where it does not. */
const ask = <T>(answer: Promise<T>): Promise<T> =>
	answer.catch((error: unknown) => {
		throw isRetryable(error) ? failure(events, "GROUP_AWAY") : error;
	});

/** What each group answers. Throws GROUP_AWAY where one does not: a view with a hole would mislead. */
const askAll = <T>(question: (group: Group) => Promise<T>): Promise<T[]> =>
	Promise.all(GROUPS.map(group => ask(question(group))));

/** What those groups answer that do. */
async function askWhoIsThere<T>(question: (group: Group) => Promise<T>): Promise<T[]> {
	const answers = await Promise.allSettled(GROUPS.map(question));
	return answers.flatMap(answer => (answer.status === "fulfilled" ? [answer.value] : []));
}

/** The group of a dead letter, or NOT_FOUND. */
function groupOf(letterId: string): Group {
	const { group } = parseLetterId(letterId);
	const known = GROUPS.find(name => name === group);
	if (!known) throw failure(events, "NOT_FOUND", { detail: "There is no such dead letter." });
	return known;
}

const nameOf = (meta: Meta): string => {
	const { id } = requireUser(meta);
	return id === OPERATOR.id ? "operator" : id;
};

interface Replaying {
	readonly ids?: readonly string[] | undefined;
	readonly filter?: LetterFilter | undefined;
	readonly snapshotId: string;
	readonly dryRun: boolean;
	readonly by: string;
}

async function replayEverywhere(
	caller: Caller,
	{ ids, filter, ...rest }: Replaying
): Promise<ReplayItem[]> {
	const named = ids && Map.groupBy(ids, groupOf);
	const items = await askAll(group =>
		caller.call(`${group}-events.replay`, {
			...rest,
			...(named ? { ids: named.get(group) ?? [] } : {}),
			...(filter ? { filter } : {})
		})
	);
	return items.flat();
}

/** Oldest first; of one moment, in the order of their ids, which follow time as well. */
const inTime = (recorded: readonly (readonly RecordedEvent[])[]): RecordedEvent[] =>
	recorded
		.flat()
		.sort((a, b) => Date.parse(a.recordedAt) - Date.parse(b.recordedAt) || (a.id < b.id ? -1 : 1));

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** Events of one story that a group is asked for. */
const STORY = 1_000;

/** The story that the event of this id belongs to; else it is taken for the name of a story. */
async function storyOf(caller: Caller, id: string): Promise<string> {
	if (!UUID.test(id)) return id;
	const found = await askAll(group =>
		caller.call(`${group}-events.recorded`, { eventId: id.toLowerCase(), limit: 1 })
	);
	return found.flat()[0]?.correlationId ?? id;
}

async function tell(caller: Caller, correlationId: string): Promise<Story> {
	const recorded = await askAll(group =>
		caller.call(`${group}-events.recorded`, { correlationId, limit: STORY })
	);
	const story = inTime(recorded);
	if (story.length === 0)
		throw failure(events, "NOT_FOUND", { detail: "No event of this id, and no story, is kept." });
	const handled: Handled[] = [];
	for (let from = 0; from < story.length; from += STORY) {
		const eventIds = story.slice(from, from + STORY).map(({ id }) => id);
		const answers = await askAll(group => caller.call(`${group}-events.handled`, { eventIds }));
		handled.push(...answers.flat());
	}
	return { correlationId, events: story, handled };
}

/** Asks each of a group's nodes until one says that it leads. */
async function leaderOf(broker: ServiceBroker, group: Group): Promise<string | null> {
	const action = `${group}-events.status` as const;
	const { endpoints = [] } = (broker as unknown as Nodes).registry.actions.get(action) ?? {};
	const leads = await Promise.all(
		endpoints.map(({ id: nodeID }) =>
			callerOf(broker)
				.call(action, {}, { nodeID, retries: 0 })
				.then(
					({ leader }) => leader === true,
					() => false
				)
		)
	);
	return endpoints[leads.indexOf(true)]?.id ?? null;
}
/** What we use of Moleculer's registry, which its types do not tell. */
interface Nodes {
	readonly registry: {
		readonly actions: {
			get(name: string): { readonly endpoints?: readonly { readonly id: string }[] } | undefined;
		};
	};
}

async function outboxOf(caller: Caller, broker: ServiceBroker, group: Group): Promise<OutboxView> {
	const view = await caller.call(`${group}-events.outbox`, {});
	return view.leader ? view : { ...view, leader: await leaderOf(broker, group) };
}

/** Does it in the one group that does not answer with the failure that there is no such thing there. */
async function inWhicheverGroup<T>(
	missing: "NOT_FOUND" | "NO_SUCH_PROJECTION",
	work: (group: Group) => Promise<T>
): Promise<T> {
	const refusals: unknown[] = [];
	for (const group of GROUPS)
		try {
			return await ask(work(group));
		} catch (error) {
			if (!isFailure(error, missing) && !isFailure(error, "GROUP_AWAY")) throw error;
			refusals.push(error);
		}
	// Where one is away, it may have been that one's.
	throw (refusals.find(error => isFailure(error, "GROUP_AWAY")) ?? refusals[0]) as Error;
}

export default implement(events)({
	actions: {
		async topics(ctx) {
			const overviews = await askAll(async group => ({
				...(await ctx.call(`${group}-events.overview`, {})),
				group
			}));
			return { items: topicsOf(overviews) };
		},
		async deadLetters(ctx) {
			const { state, cursor: _, limit = 20, ...filter } = ctx.params;
			const after = placeOf(ctx.params);
			const params = {
				filter,
				limit: limit + 1,
				...(state ? { state } : {}),
				...(after ? { after } : {})
			};
			const found = await askAll(group => ctx.call(`${group}-events.letters`, params));
			return pageOf(found, limit, ctx.params);
		},
		async replay(ctx) {
			const { ids, filter, snapshotId: shown, dryRun = false } = ctx.params;
			if ([ids, filter, shown].filter(Boolean).length !== 1)
				throw failure(events, "NOTHING_SELECTED");
			const selection = { snapshotId: shown ?? uuidv7(), by: nameOf(ctx.meta) };
			// Every group has found what it was asked for before one of them does anything.
			const plan = shown
				? []
				: await replayEverywhere(ctx, { ...selection, ids, filter, dryRun: true });
			const items = dryRun && !shown ? plan : await replayEverywhere(ctx, { ...selection, dryRun });
			return { snapshotId: selection.snapshotId, dryRun, items };
		},
		async deadLetter(ctx) {
			return ask(ctx.call(`${groupOf(ctx.params.id)}-events.letter`, ctx.params));
		},
		async discard(ctx) {
			return ask(ctx.call(`${groupOf(ctx.params.id)}-events.discard`, ctx.params));
		},
		async outbox(ctx) {
			return { items: await askAll(group => outboxOf(ctx, this.broker, group)) };
		},
		async retryOutbox(ctx) {
			return inWhicheverGroup("NOT_FOUND", group =>
				ctx.call(`${group}-events.retryOutbox`, ctx.params)
			);
		},
		async tail(ctx) {
			const { topic, since, limit = 20 } = ctx.params;
			const params = {
				limit,
				...(topic ? { aggregateType: aggregateTypeOf(topic) } : {}),
				...(since ? { since } : {})
			};
			const found = await askWhoIsThere(group => ctx.call(`${group}-events.recorded`, params));
			return { items: inTime(found).slice(-limit) };
		},
		async trace(ctx) {
			return tell(ctx, await storyOf(ctx, ctx.params.id));
		},
		async rebuild(ctx) {
			return inWhicheverGroup("NO_SUCH_PROJECTION", group =>
				ctx.call(`${group}-events.rebuild`, ctx.params)
			);
		}
	}
});

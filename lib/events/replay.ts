/** Dead letters that are handed to their handlers again: which, what that would do, and doing it. */
import type { DeadLetter, LetterFilter, ReplayItem } from "../../contracts/events.ts";
import type { Database, Queries } from "../database.ts";
import { audited } from "./audit.ts";
import { isKnown } from "./catalog.ts";
import {
	isOpen,
	lettersOf,
	openLetters,
	openLettersOfAggregates,
	parseLetterId
} from "./dead-letters.ts";
import { REASONS, type Inbox, type Replayed } from "./inbox.ts";

/** The group's consumers on this node, by name. */
export type Inboxes = ReadonlyMap<string, Inbox>;

/** What is wanted: these dead letters, or the open ones that fit. */
export type Selection = { readonly ids: readonly string[] } | { readonly filter: LetterFilter };

/**
 * The numbers of what is selected with whatever is open of the same aggregates, in the order in
 * which they are replayed. Undefined where a dead letter is named that the group does not have.
 */
export async function select(
	db: Database,
	selection: Selection
): Promise<readonly string[] | undefined> {
	if ("filter" in selection) return withAggregates(db, await openLetters(db, selection.filter));
	const names = selection.ids.map(parseLetterId);
	const numbers = names.map(({ number }) => number);
	const named = await lettersOf(db, numbers);
	if (named.length < new Set(selection.ids).size || names.some(({ group }) => group !== db.group))
		return undefined;
	const settled = named.filter(letter => !isOpen(letter)).map(({ id }) => parseLetterId(id).number);
	return [...(await withAggregates(db, numbers)), ...settled];
}

const withAggregates = async (db: Database, numbers: readonly string[]): Promise<string[]> =>
	(await openLettersOfAggregates(db, numbers)).map(({ id }) => id);

/** Keeps a selection as it was shown to somebody. */
export async function keepSnapshot(
	db: Queries,
	{
		id,
		numbers,
		by
	}: { readonly id: string; readonly numbers: readonly string[]; readonly by: string }
): Promise<void> {
	await db.query(
		`INSERT INTO replay_snapshot (id, letters, by) VALUES ($1, $2::bigint[], $3)
		 ON CONFLICT (id) DO UPDATE SET letters = excluded.letters`,
		[id, numbers, by]
	);
}

/** What was kept under this id; undefined where it is not known (any more). */
export async function snapshotOf(db: Queries, id: string): Promise<readonly string[] | undefined> {
	const row = await db.one<{ letters: string[] }>(
		"SELECT letters FROM replay_snapshot WHERE id = $1",
		[id]
	);
	return row?.letters;
}

/** What a replay of these would do. */
export async function planReplay(
	db: Database,
	inboxes: Inboxes,
	numbers: readonly string[]
): Promise<ReplayItem[]> {
	const letters = await lettersOf(db, numbers);
	const effects = await effectsOf(db, numbers);
	return letters.map(letter => {
		const { id, consumer, type, aggregate, state } = letter;
		const inbox = inboxes.get(consumer);
		return {
			id,
			consumer,
			type,
			aggregate,
			state,
			handler: inbox?.handlerOf(type) ?? null,
			effects: effects.get(parseLetterId(id).number) ?? [],
			outcome: isOpen(letter) ? "planned" : "settled-before",
			error: isOpen(letter) ? obstacleTo(letter, inbox) : null
		};
	});
}

const NO_CONSUMER = "no service of this name handles events here any more";

/** Why its replay is bound to fail. */
function obstacleTo({ reason, type }: DeadLetter, inbox: Inbox | undefined): string | null {
	if (!inbox) return NO_CONSUMER;
	if (reason === REASONS.malformed) return REASONS.malformed;
	return inbox.handlerOf(type) || isKnown(type) ? null : REASONS.unknown;
}

/** Replays these one by one. Behind one that fails, the rest of its aggregate waits. */
export async function runReplay(
	db: Database,
	inboxes: Inboxes,
	{ numbers, by }: { readonly numbers: readonly string[]; readonly by: string }
): Promise<ReplayItem[]> {
	const plan = await planReplay(db, inboxes, numbers);
	const letters = plan.filter(isOpen).map(({ id }) => id);
	if (letters.length === 0) return plan;
	return audited(
		db,
		{ by, action: "replay", detail: { letters } },
		() => replayInOrder(plan, inboxes, by),
		items => Object.fromEntries(items.map(({ id, outcome }) => [id, outcome]))
	);
}

async function replayInOrder(
	plan: readonly ReplayItem[],
	inboxes: Inboxes,
	by: string
): Promise<ReplayItem[]> {
	const stuck = new Set<string>();
	const items: ReplayItem[] = [];
	for (const item of plan) {
		const key = `${item.consumer} ${item.aggregate.type}/${item.aggregate.id}`;
		const inbox = inboxes.get(item.consumer);
		const { outcome, error } = stuck.has(key) ? WAITING : await replayOne(item, inbox, by);
		if (outcome === "failed" && inbox?.ordered) stuck.add(key);
		const state = outcome === "resolved" ? "resolved" : item.state;
		items.push({ ...item, state, outcome, error: error ?? null });
	}
	return items;
}

const WAITING: Replayed = { outcome: "waiting" };

function replayOne(
	item: ReplayItem,
	inbox: Inbox | undefined,
	by: string
): Promise<Replayed> | Replayed {
	if (!isOpen(item)) return { outcome: "settled-before" };
	return (
		inbox?.replay(parseLetterId(item.id).number, by) ?? { outcome: "failed", error: NO_CONSUMER }
	);
}

/** What there is already because of the events of these dead letters, by their numbers. */
async function effectsOf(db: Queries, numbers: readonly string[]): Promise<Map<string, string[]>> {
	const effects = new Map<string, string[]>();
	const rows = await Promise.all(
		[ENTRIES, FACTS, ...((await hasJobs(db)) ? [JOBS] : [])].map(sql =>
			db.query<{ id: string; effect: string }>(sql, [numbers])
		)
	);
	for (const { id, effect } of rows.flat()) effects.set(id, [...(effects.get(id) ?? []), effect]);
	return effects;
}

const ENTRIES = `SELECT l.id, 'handled at ' || to_json(i.processed_at)::text AS effect
	FROM dead_letter l JOIN inbox i USING (consumer, event_id) WHERE l.id = ANY ($1::bigint[])`;
const FACTS = `SELECT l.id, 'event ' || o.type || ' ' || o.event_id AS effect
	FROM dead_letter l JOIN outbox o ON o.headers->>'correlationId' = l.envelope->>'correlationid'
	  AND o.headers->>'causationId' = l.event_id::text
	WHERE l.id = ANY ($1::bigint[]) ORDER BY o.id LIMIT 5000`;
const JOBS = `SELECT l.id, 'job ' || j.kind || ' ' || j.key AS effect
	FROM dead_letter l JOIN job j ON j.context->>'causationId' = l.event_id::text
	WHERE l.id = ANY ($1::bigint[]) ORDER BY j.id LIMIT 5000`;

const hasJobs = async (db: Queries): Promise<boolean> =>
	(await db.one<{ has: boolean }>("SELECT to_regclass('job') IS NOT NULL AS has"))!.has;

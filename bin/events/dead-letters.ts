/** Dead letters by command: which ones, and to replay them. */
import { randomUUID } from "node:crypto";
import type { LetterState, ReplayItem } from "../../contracts/events.ts";
import type { Actions } from "../../contracts/index.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { show } from "../console.ts";
import type { Operator } from "../operator.ts";
import { replayView } from "./views.ts";

/** Which dead letters. */
export interface FilterOptions {
	readonly consumer?: string;
	readonly topic?: string;
	readonly type?: string;
	readonly aggregate?: string;
}
const filterOf = ({ consumer, topic, type, aggregate }: FilterOptions) => ({
	...(consumer ? { consumer } : {}),
	...(topic ? { topic } : {}),
	...(type ? { type } : {}),
	...(aggregate ? { aggregateId: aggregate } : {})
});

type LetterPage = Actions["events.deadLetters"]["result"];

export interface ListOptions extends FilterOptions {
	readonly state?: LetterState;
	readonly all?: boolean;
	readonly limit: number;
}

/** As many as are wanted, of as many pages as it takes. */
export async function listLetters(
	system: Operator,
	{ state, all, limit, ...options }: ListOptions
): Promise<Pick<LetterPage, "items">> {
	const items: LetterPage["items"] = [];
	const isWanted = (letter: LetterPage["items"][number]) =>
		all || state || letter.state === "dead" || letter.state === "parked";
	let cursor: string | null = null;
	do {
		const page: LetterPage = await system.call("events.deadLetters", {
			...filterOf(options),
			...(state ? { state } : {}),
			...(cursor ? { cursor } : {}),
			limit: 100
		});
		items.push(...page.items.filter(isWanted));
		cursor = page.nextCursor;
	} while (cursor && items.length < limit);
	return { items: items.slice(0, limit) };
}

export interface ReplayOptions extends FilterOptions {
	readonly json?: boolean;
	readonly all?: boolean;
	readonly snapshot?: string;
	readonly dryRun?: boolean;
}

/** Shows what would happen, and does just this unless it is a dry run; the exit code is 1 where one is not settled. */
export async function replay(
	system: Operator,
	ids: string[],
	options: ReplayOptions
): Promise<void> {
	const call = (params: Partial<Actions["events.replay"]["params"]>) =>
		system.call("events.replay", { ...params, idempotencyKey: randomUUID() });
	const plan = await call({ ...selectionOf(ids, options), dryRun: true });
	if (options.dryRun) {
		show(plan, options, ({ items, snapshotId }) =>
			items.length === 0
				? "There is nothing to replay."
				: `${replayView(items)}\n\nNothing was done. To do just this: npm run events -- dead-letters replay --snapshot ${snapshotId}`
		);
		return;
	}
	if (!options.json && plan.items.length > 0) console.log(`${replayView(plan.items)}\n`);
	const done = await call({ snapshotId: plan.snapshotId, dryRun: false });
	show(done, options, ({ items }) =>
		items.length === 0 ? "There is nothing to replay." : replayView(items)
	);
	if (done.items.some(isUnsettled)) process.exitCode = 1;
}

const isUnsettled = ({ outcome }: ReplayItem): boolean =>
	outcome === "failed" || outcome === "waiting";

/** The one way in which it is said which. */
function selectionOf(
	ids: string[],
	{ snapshot, all, ...options }: ReplayOptions
): Partial<Actions["events.replay"]["params"]> {
	const filter = filterOf(options);
	const isFiltered = Object.keys(filter).length > 0;
	const ways = [ids.length > 0, isFiltered, snapshot !== undefined, all === true];
	if (ways.filter(Boolean).length !== 1)
		throw new StartupError(
			"Say which, in one way: by their ids, by --consumer, --topic, --type and --aggregate, by --snapshot, or --all."
		);
	if (snapshot !== undefined) return { snapshotId: snapshot };
	return ids.length > 0 ? { ids } : { filter };
}

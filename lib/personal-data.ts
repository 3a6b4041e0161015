/** What all services that hold personal data have in common: who they are, how they answer, how they hand out lists. */
import { allContracts, type ActionName, type Events } from "../contracts/index.ts";
import type { Erased, ListKeys, PersonalData } from "../contracts/personal-data.ts";
import { ACCESS_TOKEN_SECONDS, CLOCK_TOLERANCE_SECONDS } from "./access-token.ts";
import type { ServiceContract } from "./contract.ts";
import type { Tx } from "./database.ts";
import { commonFailure } from "./failure.ts";
import { isUuid, uuidv8 } from "./uuid.ts";

/** A group that says by a contract of its own, `<group>-data`, that it holds personal data. */
export type Holder = {
	[K in ActionName]: K extends `${infer H}-data.export` ? H : never;
}[ActionName];
export type ErasedFact<H extends string = Holder> = `${H}-data.erased.v1`;

/** The holders that these contracts speak of. */
export const holdersOf = (
	contracts: readonly Pick<ServiceContract, "name" | "events">[]
): string[] =>
	contracts
		.filter(({ name, events }) => Object.hasOwn(events, `${name}.erased.v1`))
		.map(({ name }) => name.replace(/-data$/, ""));

export const HOLDERS = holdersOf(allContracts) as Holder[];

/**
 * After how long nothing can be written for somebody any more who was signed out: the last access
 * token has ended, wherever its revocation may not have been heard.
 */
export const LAST_LOOK_MS = (ACCESS_TOKEN_SECONDS + 2 * CLOCK_TOLERANCE_SECONDS + 60) * 1_000;

/** Tells that what a holder knew is gone, in the transaction in which it goes. Once for each deletion. */
export function tellErased(
	tx: Tx,
	type: ErasedFact,
	{ userId, deletionId }: Events["user.deletion-requested.v1"],
	erased: Erased
): void {
	const aggregate = { id: uuidv8(`${type} ${deletionId}`), version: 1 };
	tx.record(type, aggregate, { deletionId, userId, ...erased });
}

/** One of a holder's lists. */
export interface DataList {
	/** Items with their keys, the first ones or those that come after a key. */
	readonly read: (
		after: string | null,
		limit: number
	) => Promise<readonly { readonly key: string; readonly item: unknown }[]>;
	/** Whether a key may be one of this list: it comes from outside. A UUID, unless it says otherwise. */
	readonly isKey?: (key: string) => boolean;
}

const MAX_ITEMS = 500;
/** Of all lists of a holder: the parts of all holders have to fit into one message of NATS. */
const MAX_BYTES = 150_000;

/**
 * What fits into one answer of these lists, from their beginnings or from where the answer before
 * ended. Throws VALIDATION_ERROR for keys of no such list.
 */
export async function pageOfLists(
	lists: Readonly<Record<string, DataList>>,
	after?: ListKeys
): Promise<PersonalData> {
	const data: Record<string, unknown[]> = {};
	const next: Record<string, string> = {};
	const wanted = after ? Object.keys(after) : Object.keys(lists);
	let room = MAX_BYTES;
	for (const name of wanted) {
		const list = Object.hasOwn(lists, name) ? lists[name]! : undefined;
		const key = after?.[name] ?? null;
		if (!list || (key !== null && key !== "" && !(list.isKey ?? isUuid)(key)))
			throw commonFailure("VALIDATION_ERROR");
		const found = await list.read(key || null, MAX_ITEMS + 1);
		const taken: unknown[] = [];
		let last = key ?? "";
		for (const { key: own, item } of found.slice(0, MAX_ITEMS)) {
			const bytes = Buffer.byteLength(JSON.stringify(item));
			// One always goes, however large: a page without any would never end.
			if (bytes > room && (taken.length > 0 || room < MAX_BYTES)) break;
			room -= bytes;
			taken.push(item);
			last = own;
		}
		data[name] = taken;
		if (taken.length < found.length) next[name] = last;
	}
	return { data, next: Object.keys(next).length > 0 ? next : null };
}

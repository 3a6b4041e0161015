/** Compares what clients were told with what took effect, as the databases have it. */
import type { Group } from "../../lib/config.ts";
import type { Queries } from "../../lib/database.ts";
import type { Ledger } from "./clients.ts";
import { CONSUMERS, type Consumer, type ProvingFact } from "./contract.ts";

export type Databases = Readonly<Record<"orders" | "catalog", Queries>>;

interface CommandRow {
	readonly key: string;
	readonly account: string;
	readonly version: number;
}
interface EventRow {
	readonly event_id: string;
	readonly type: ProvingFact;
	readonly account: string;
	readonly version: number;
	readonly key: string;
	readonly published: boolean;
}
interface EffectRow {
	readonly consumer: string;
	readonly event_id: string;
	readonly account: string;
	readonly version: number;
	readonly position: number | null;
	readonly key: string;
}

/** What took effect. */
export interface Took {
	/** Version of each account. */
	readonly accounts: readonly { readonly id: string; readonly version: number }[];
	readonly commands: readonly CommandRow[];
	readonly events: readonly EventRow[];
	/** In the order in which they were written. */
	readonly effects: readonly EffectRow[];
	readonly deadLetters: readonly { readonly consumer: string; readonly reason: string }[];
}

export interface Verdict {
	/** Commands that were acknowledged or committed and did not take effect everywhere, as they were answered. */
	readonly lost: number;
	/** Commands that nobody sent or that were refused, and effects of no event, all the same there. */
	readonly phantom: number;
	/** Effects beyond the first of a command at a consumer, and repetitions that were answered differently. */
	readonly double: number;
	/** Effects that do not follow the version before theirs. */
	readonly outOfOrder: number;
	readonly deadLetters: number;
	readonly unpublished: number;
	/** The violations in words, the first of each kind. */
	readonly details: readonly string[];
}

export const isClean = ({ lost, phantom, double, outOfOrder, ...rest }: Verdict): boolean =>
	lost + phantom + double + outOfOrder + rest.deadLetters + rest.unpublished === 0;

const groupsOf = (consumers: readonly Consumer[]) => [
	...new Set(consumers.map(({ group }) => group as Group & keyof Databases))
];

/** Reads everything that a run has left in the databases. */
export async function readTook(databases: Databases): Promise<Took> {
	const groups = groupsOf(CONSUMERS);
	const inEach = async <Row extends object>(sql: string) =>
		(await Promise.all(groups.map(group => databases[group].query<Row>(sql)))).flat();
	return {
		accounts: await databases.orders.query("SELECT id, version FROM chaos_account"),
		commands: await databases.orders.query("SELECT key, account, version FROM chaos_command"),
		events: await inEach(
			`SELECT event_id, type, aggregate_id AS account, aggregate_version AS version,
			   payload->>'key' AS key, published_at IS NOT NULL AS published
			 FROM outbox ORDER BY id`
		),
		effects: await inEach(
			"SELECT consumer, event_id, account, version, position, key FROM chaos_effect ORDER BY id"
		),
		deadLetters: await inEach("SELECT consumer, reason FROM dead_letter WHERE state <> 'resolved'")
	};
}

/** Finds every violation; `ledger` is what the clients know. */
export function check(ledger: Ledger, took: Took): Verdict {
	const found = new Findings();
	checkCommands(ledger, took, found);
	checkEvents(took, found);
	for (const consumer of CONSUMERS) checkEffects(consumer, took, found);
	for (const contradiction of ledger.contradictions) found.add("double", contradiction);
	for (const { consumer, reason } of took.deadLetters)
		found.add("deadLetters", `${consumer} has a dead letter: ${reason}`);
	for (const { type, event_id: id, published } of took.events)
		if (!published) found.add("unpublished", `${type} ${id} is still in the outbox`);
	return found.verdict();
}

/** The writer did what it acknowledged and nothing else, and counted it without a gap. */
function checkCommands({ told }: Ledger, { accounts, commands }: Took, found: Findings): void {
	const done = new Map(commands.map(command => [command.key, command]));
	for (const { command, outcome } of told.values()) {
		if (typeof outcome !== "object") continue;
		const version = done.get(command.key)?.version;
		if (version !== outcome.version)
			found.add(
				"lost",
				`${command.key} was acknowledged as version ${outcome.version} of ${command.account}; the writer has ${version ?? "nothing"}`,
				command.key
			);
	}
	for (const { key } of commands) {
		const asked = told.get(key);
		if (!asked || asked.command.refuse || asked.outcome === "refused")
			found.add("phantom", `${key} was ${asked ? "refused" : "sent by nobody"} and is done`, key);
	}
	const versions = Map.groupBy(commands, ({ account }) => account);
	for (const { id, version } of accounts) {
		const counted = (versions.get(id) ?? []).map(command => command.version).sort((a, b) => a - b);
		const isContiguous = counted.every((value, index) => value === index + 1);
		if (!isContiguous || counted.length !== version)
			found.add(
				"outOfOrder",
				`account ${id} of version ${version} has the commands ${counted.join()}`
			);
	}
}

/** An event exists if and only if what it tells of was committed. */
function checkEvents({ commands, events, effects }: Took, found: Findings): void {
	const causes: Record<ProvingFact, ReadonlySet<string>> = {
		"account.posted.v1": new Set(commands.map(({ key }) => key)),
		"entry.applied.v1": new Set(
			effects.filter(({ consumer }) => consumer === "chaos-reader").map(({ key }) => key)
		)
	};
	for (const type of Object.keys(causes) as ProvingFact[]) {
		const keys = new Set(events.filter(event => event.type === type).map(({ key }) => key));
		for (const key of causes[type])
			if (!keys.has(key)) found.add("lost", `${key} was committed without its ${type}`, key);
		for (const key of keys)
			if (!causes[type].has(key))
				found.add("phantom", `there is a ${type} of ${key}, which was not committed`, key);
	}
}

/** A consumer applied every event once, and in order where it keeps one. */
function checkEffects({ name, type, ordered }: Consumer, took: Took, found: Findings): void {
	const events = new Map(
		took.events.filter(event => event.type === type).map(event => [event.event_id, event])
	);
	const effects = took.effects.filter(({ consumer }) => consumer === name);
	const keys = new Set<string>();
	for (const { key, event_id: id } of effects) {
		if (!events.has(id)) found.add("phantom", `${name} applied ${key} of no event`, key);
		if (keys.has(key)) found.add("double", `${name} applied ${key} once more`);
		keys.add(key);
	}
	const applied = new Set(effects.map(effect => effect.event_id));
	for (const [id, { key }] of events)
		if (!applied.has(id)) found.add("lost", `${name} did not apply ${type} of ${key}`, key);
	if (!ordered) return;
	for (const [account, own] of Map.groupBy(effects, effect => effect.account)) {
		// What comes a second time is counted as a double, not as out of order too.
		const seen = new Set<string>();
		let before = 0;
		for (const { event_id: id, version } of own.toSorted((a, b) => a.position! - b.position!)) {
			if (seen.has(id)) continue;
			seen.add(id);
			if (version !== before + 1)
				found.add("outOfOrder", `${name} applied version ${version} of ${account} after ${before}`);
			before = version;
		}
	}
}

type Kind = Exclude<keyof Verdict, "details">;
const DETAILS_OF_A_KIND = 4;

class Findings {
	readonly #counts: Record<Kind, number> = {
		lost: 0,
		phantom: 0,
		double: 0,
		outOfOrder: 0,
		deadLetters: 0,
		unpublished: 0
	};
	readonly #seen = new Set<string>();
	readonly #details: string[] = [];

	/** Counts it; of several findings with the same kind and key only the first. */
	add(kind: Kind, detail: string, key?: string): void {
		const id = `${kind}/${key}`;
		if (key !== undefined && this.#seen.has(id)) return;
		this.#seen.add(id);
		if (++this.#counts[kind] <= DETAILS_OF_A_KIND) this.#details.push(`${kind}: ${detail}`);
	}

	verdict(): Verdict {
		return { ...this.#counts, details: this.#details };
	}
}

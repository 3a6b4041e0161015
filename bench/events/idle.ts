/** What nodes cost that have nothing to do. */
import { setTimeout as sleep } from "node:timers/promises";
import { cpuSeconds } from "../process-tree.ts";
import type { NodeMethods } from "./node.process.ts";
import type { Part } from "./part.ts";
import type { Servers } from "./servers.ts";

/** One process of a node. */
export interface IdleNode {
	readonly name: string;
	/** Of one core; null where it cannot be known. */
	readonly cpuPercent: number | null;
}

export interface Idle {
	readonly seconds: number;
	/** Transactions per second of the group's database, single statements included. */
	readonly transactions: number;
	/** The leader, its standby, and a node with nothing of events on it. */
	readonly nodes: readonly IdleNode[];
}

/** The start's own work has to be over. */
const SETTLE_MS = 3_000;
const FEATURES = ["relay", "consumer", "timers"] as const;

export async function measureIdle(
	servers: Servers,
	seconds: number,
	say: (text: string) => void
): Promise<Idle> {
	say("  at rest");
	await using stack = new AsyncDisposableStack();
	const nodes: Part<NodeMethods>[] = [];
	for (const [name, features] of [
		["leader", FEATURES],
		["standby", FEATURES],
		["empty", []]
	] as const) {
		const node = stack.use(await servers.node(name, "orders", ...features));
		await node.ask("start");
		nodes.push(node);
	}
	// Not to the database that is measured: its own queries do not count.
	const client = stack.use(await servers.connect("postgres"));
	const look = async () => {
		const { rows } = await client.query<{ transactions: number }>(
			`SELECT (xact_commit + xact_rollback)::float8 AS transactions
			 FROM pg_stat_database WHERE datname = 'orders'`
		);
		const cpu = nodes.map(({ pid }) => cpuSeconds(pid));
		return { at: performance.now(), transactions: rows[0]!.transactions, cpu };
	};
	await sleep(SETTLE_MS);
	const before = await look();
	await sleep(seconds * 1_000);
	const after = await look();
	const took = (after.at - before.at) / 1_000;
	return {
		seconds: took,
		transactions: (after.transactions - before.transactions) / took,
		nodes: nodes.map(({ name }, index) => {
			const [from, to] = [before.cpu[index] ?? null, after.cpu[index] ?? null];
			const cpuPercent = from === null || to === null ? null : (100 * (to - from)) / took;
			return { name, cpuPercent };
		})
	};
}

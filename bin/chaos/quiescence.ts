/** Waits until a healed proving ground has nothing left to do. */
import type { NatsConnection } from "nats";
import { setTimeout as sleep } from "node:timers/promises";
import { connectNats } from "../../lib/nats.ts";
import { STREAM } from "../../lib/events/jetstream.ts";
import type { Databases } from "./checker.ts";
import { CONSUMERS } from "./contract.ts";

export interface Quiescence {
	/** How long it took; null where there was still something to do at the end of the time. */
	readonly ms: number | null;
	/** What there was to do when it was last looked at; empty when it is quiet. */
	readonly pending: readonly string[];
}

const TIMEOUT_MS = 2_000;
const LOOK_MS = 250;
const LOOK_RARELY = 8;
const TELL_MS = 10_000;
/** So many looks in a row have to find nothing to do and nothing new. */
const LOOKS = 4;

/** Waits at most so long; `tell` is told now and then what there still is to do. */
export async function untilQuiet(
	databases: Databases,
	natsUrl: string,
	withinMs: number,
	{ lookMs = LOOK_MS, looks = LOOKS, tell = (_pending: string) => {} } = {}
): Promise<Quiescence> {
	const began = performance.now();
	const elapsed = () => Math.round(performance.now() - began);
	const nats = await connectNats(natsUrl, "chaos");
	try {
		let pending: string[] = [];
		let [before, quiet, quietSince, toldAt] = ["", 0, 0, 0];
		while (elapsed() < withinMs) {
			const { todo, state } = await look(databases);
			todo.push(...(await waiting(nats)));
			pending = todo;
			if (elapsed() > toldAt + TELL_MS) {
				toldAt = elapsed();
				tell(todo.join("; "));
			}
			if (todo.length > 0 || state !== before) [quiet, quietSince] = [0, elapsed()];
			else if (++quiet === looks) return { ms: quietSince, pending };
			before = state;
			// Looking costs those who work; what is quiet is looked at closely.
			await sleep(todo.length > 0 ? LOOK_RARELY * lookMs : lookMs);
		}
		return { ms: null, pending: pending.length > 0 ? pending : ["effects still come about"] };
	} finally {
		await nats.close();
	}
}

/** What the stream still has for its consumers; one that was lost may not be made anew yet. */
async function waiting(nats: NatsConnection): Promise<string[]> {
	const todo: string[] = [];
	try {
		const manager = await nats.jetstreamManager({ timeout: TIMEOUT_MS });
		for await (const { name, num_pending: ahead, num_ack_pending: out } of manager.consumers.list(
			STREAM
		))
			if (ahead + out > 0) todo.push(`${name} has ${ahead} events ahead and ${out} unacknowledged`);
	} catch (error) {
		todo.push(`the stream does not answer: ${String(error)}`);
	}
	return todo;
}

/** What is left to do as the databases have it, and a state that changes with every effect. */
async function look(databases: Databases): Promise<{ todo: string[]; state: string }> {
	const todo: string[] = [];
	const counts: number[] = [];
	const groups = [...new Set(CONSUMERS.map(({ from }) => from))] as (keyof Databases)[];
	for (const group of groups) {
		const row = await databases[group].one<{ unpublished: number; events: number }>(
			"SELECT count(*) FILTER (WHERE published_at IS NULL)::int AS unpublished, count(*)::int AS events FROM outbox"
		);
		if (row!.unpublished > 0) todo.push(`the outbox of ${group} holds ${row!.unpublished} events`);
		counts.push(row!.events);
	}
	for (const { name, group, from } of CONSUMERS) {
		const row = await databases[group as keyof Databases].one<{
			effects: number;
			applied: number;
			dead: number;
		}>(
			`SELECT count(*)::int AS effects, count(DISTINCT event_id)::int AS applied,
			   (SELECT count(*)::int FROM dead_letter WHERE consumer = $1) AS dead
			 FROM chaos_effect WHERE consumer = $1`,
			[name]
		);
		const events = counts[groups.indexOf(from as keyof Databases)]!;
		const missing = events - row!.applied - row!.dead;
		if (missing > 0) todo.push(`${name} has not handled ${missing} of ${events} events`);
		counts.push(row!.effects, row!.dead);
	}
	return { todo, state: counts.join() };
}

/** What a command has left behind, as databases and stream have it. */
import { connectNats } from "../../lib/nats.ts";
import { durableName, STREAM } from "../../lib/events/jetstream.ts";
import { READER } from "../chaos/contract.ts";
import type { Scene } from "./ground.ts";

export interface Traces {
	/** Committed by the writer. */
	readonly command: boolean;
	readonly outbox: "none" | "unpublished" | "published";
	/** How often the stream has its event. */
	readonly copies: number;
	/** What the reader's inbox and tables have. */
	readonly inbox: boolean;
	readonly effects: number;
	/** Whether the reader's acknowledgement has arrived. */
	readonly acknowledged: boolean;
	/** States of the account's dead letters, those of later commands included. */
	readonly letters: readonly string[];
	readonly job: "none" | "waiting" | "leased" | "done";
	readonly timer: "none" | "set" | "leased" | "done";
	/** Effects of the job in the world outside. */
	readonly outside: number;
	/** How often the world outside was asked for it. */
	readonly asked: number;
	/** Outcomes recorded by job or timer. */
	readonly outcomes: number;
}

interface EventRow {
	readonly id: string;
	readonly published: boolean;
}

/** Reads the traces of the command with this key. */
export async function tracesOf(scene: Scene, key: string, account: string): Promise<Traces> {
	const { orders, catalog } = scene.databases;
	const count = async (db: typeof orders, sql: string, bind: readonly unknown[]) =>
		(await db.one<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`, bind))!.n;
	const event = await orders.one<EventRow>(
		"SELECT event_id AS id, published_at IS NOT NULL AS published FROM outbox WHERE payload->>'key' = $1",
		[key]
	);
	const [job] = await orders.query<{ state: Traces["job"] }>(
		`SELECT CASE WHEN done_at IS NOT NULL THEN 'done' WHEN lease_until > clock_timestamp() THEN 'leased'
		   ELSE 'waiting' END AS state FROM job WHERE key = $1`,
		[key]
	);
	const [timer] = await orders.query<{ state: Traces["timer"] }>(
		`SELECT CASE WHEN done_at IS NOT NULL THEN 'done' WHEN lease_until > clock_timestamp() THEN 'leased'
		   ELSE 'set' END AS state FROM timer WHERE ref_id = $1`,
		[key]
	);
	const outside = await catalog.query<{ asked: number }>(
		"SELECT asked FROM crash_outside WHERE key = $1",
		[key]
	);
	const letters = await catalog.query<{ state: string }>(
		"SELECT state FROM dead_letter WHERE aggregate_id = $1 ORDER BY aggregate_version",
		[account]
	);
	return {
		command: (await count(orders, "chaos_command WHERE key = $1", [key])) > 0,
		outbox: event ? (event.published ? "published" : "unpublished") : "none",
		...(await inStream(scene.nats.url, event?.id)),
		inbox:
			(await count(catalog, "inbox WHERE consumer = $1 AND event_id = $2", [
				READER.name,
				event?.id ?? null
			])) > 0,
		effects: await count(catalog, "chaos_effect WHERE consumer = $1 AND key = $2", [
			READER.name,
			key
		]),
		letters: letters.map(({ state }) => state),
		job: job?.state ?? "none",
		timer: timer?.state ?? "none",
		outside: outside.length,
		asked: outside[0]?.asked ?? 0,
		outcomes: await count(orders, "crash_outcome WHERE key = $1", [key])
	};
}

/** The stream is asked message by message: this is for streams of a few. */
async function inStream(
	natsUrl: string,
	id: string | undefined
): Promise<Pick<Traces, "copies" | "acknowledged">> {
	const nats = await connectNats(natsUrl, "crash-matrix");
	try {
		const manager = await nats.jetstreamManager({ timeout: 2_000 });
		const { state, created } = await manager.streams.info(STREAM);
		let [copies, at] = [0, 0];
		for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
			const message = await manager.streams.getMessage(STREAM, { seq });
			if (message.header.get("Nats-Msg-Id") !== id) continue;
			copies++;
			at = seq;
		}
		const reader = await manager.consumers
			.info(STREAM, durableName(READER.name, "account", created))
			.catch(() => undefined);
		return { copies, acknowledged: at > 0 && (reader?.ack_floor.stream_seq ?? 0) >= at };
	} finally {
		await nats.close();
	}
}

/**
 * PostgreSQL, not the stream, is the record of truth: what a stream has lost (a wiped or corrupted
 * disk, a restored backup, a power cut) is published again from the outbox.
 */
import type { Queries } from "../database.ts";
import type { EventStream, KeptStream, StreamState } from "./stream.ts";

const BATCH = 5_000;
/** How many of the newest published rows are looked for in the stream. */
const SAMPLE = 20;

interface PublishedRow {
	readonly event_id: string;
	readonly seq: string;
	readonly epoch: string;
}

/**
 * Compares the outbox with the stream, and marks as unpublished whatever the stream does not have.
 * Answers how many events that were. Publish nothing while it runs: a new event could take the place
 * of a lost one and hide it.
 */
export async function healOutbox(
	db: Pick<Queries, "query">,
	{ kept }: EventStream
): Promise<number> {
	if (!kept) {
		await setEpoch(db, "local");
		return 0;
	}
	const rows = await db.query<{ epoch: string }>("SELECT epoch FROM outbox_stream");
	const before = rows[0]?.epoch;
	// Before the stream is asked: what is published meanwhile is no loss.
	const newest = await newestPublished(db);
	const state = await kept.state();
	if (before !== state.epoch) {
		const lost = await takeBack(db, "stream_epoch <> 'local' AND stream_epoch <> $2", [
			state.epoch
		]);
		await setEpoch(db, state.epoch);
		return lost;
	}
	const last = await lastIntact(db, kept, state, newest);
	return last === undefined
		? 0
		: takeBack(db, "stream_epoch = $2 AND stream_seq > $3", [state.epoch, last]);
}

/** The epoch that receipts must bear from now on. */
const setEpoch = (db: Pick<Queries, "query">, epoch: string) =>
	db.query(
		`INSERT INTO outbox_stream (epoch) VALUES ($1)
		 ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, healed_at = clock_timestamp()
		 WHERE outbox_stream.epoch <> excluded.epoch`,
		[epoch]
	);

async function newestPublished(db: Pick<Queries, "query">): Promise<PublishedRow[]> {
	const rows = await db.query<PublishedRow>(
		`SELECT event_id, stream_seq AS seq, stream_epoch AS epoch FROM outbox
		 WHERE published_at IS NOT NULL ORDER BY id DESC LIMIT 1000`
	);
	return rows;
}

/**
 * Up to which place the stream has what was put there; undefined where nothing is missing. A stream
 * of the same life may lack its newest part: an older copy of it was restored.
 */
async function lastIntact(
	db: Pick<Queries, "query">,
	kept: KeptStream,
	state: StreamState,
	newest: readonly PublishedRow[]
): Promise<number | undefined> {
	const published = newest
		.filter(({ seq, epoch }) => epoch === state.epoch && Number(seq) >= state.firstSequence)
		.sort((a, b) => Number(a.seq) - Number(b.seq));
	const isThere = async ({ event_id, seq }: PublishedRow) =>
		Number(seq) <= state.lastSequence && (await kept.messageIdAt(Number(seq))) === event_id;
	// The newest ones, and some that are a while older: new ones may hide what is missing before them.
	const sample = [...published.slice(-SAMPLE), ...published.slice(0, SAMPLE)];
	const intact = await Promise.all(sample.map(isThere));
	if (intact.every(Boolean)) return undefined;
	// What was restored is whole up to some place, and then another one.
	const all = await db.query<PublishedRow>(
		`SELECT event_id, stream_seq AS seq, stream_epoch AS epoch FROM outbox
		 WHERE stream_epoch = $1 AND stream_seq >= $2 ORDER BY stream_seq`,
		[state.epoch, state.firstSequence]
	);
	let [from, to] = [0, all.length];
	while (from < to) {
		const middle = (from + to) >> 1;
		if (await isThere(all[middle]!)) from = middle + 1;
		else to = middle;
	}
	return from === 0 ? 0 : Number(all[from - 1]!.seq);
}

/** Marks as unpublished what was published and meets the condition; answers how many events that were. */
export async function takeBack(
	db: Pick<Queries, "query">,
	condition: string,
	bind: readonly unknown[]
): Promise<number> {
	let [lost, last] = [0, "0"];
	for (;;) {
		const rows = await db.query<{ id: string }>(
			`WITH batch AS (
			   SELECT id FROM outbox WHERE id > $1 AND published_at IS NOT NULL AND ${condition}
			   ORDER BY id LIMIT ${BATCH})
			 UPDATE outbox o SET published_at = NULL, stream_seq = NULL, stream_epoch = NULL
			 FROM batch WHERE o.id = batch.id RETURNING o.id`,
			[last, ...bind]
		);
		if (rows.length === 0) return lost;
		lost += rows.length;
		last = rows.reduce((most, { id }) => (BigInt(id) > BigInt(most) ? id : most), last);
	}
}

/** Transactions that record samples, each after its aggregate's row was written, as a service does it. */
import type pg from "pg";
import type { Fact } from "../../contracts/index.ts";
import type { Database } from "../../lib/database.ts";
import { aggregateType } from "../../lib/events/envelope.ts";
import { uuidv7 } from "../../lib/uuid.ts";
import { atRate, now, type Moment } from "./clock.ts";
import { SAMPLE, TEXT } from "./contract.ts";

export interface Writing {
	readonly rate: number;
	readonly count: number;
	/** The number of the first sample. */
	readonly from: number;
}

const SOURCES = 100;
const NEW_SOURCES = `INSERT INTO sample_source (id, version)
	SELECT gen_random_uuid(), 0 FROM generate_series(1, ${SOURCES}) RETURNING id`;
const NEXT_VERSION =
	"UPDATE sample_source SET version = version + 1 WHERE id = $1 RETURNING version";

/** As services do it: whoever relays is told. */
export async function write(database: Database, { rate, count, from }: Writing): Promise<Moment[]> {
	const sources = await database.query<{ id: string }>(NEW_SOURCES);
	const committed: Moment[] = [];
	await atRate(rate, count, async index => {
		const { id } = sources[index % SOURCES]!;
		const number = from + index;
		await database.transaction(async tx => {
			const source = await tx.one<{ version: number }>(NEXT_VERSION, [id]);
			// Only facts of the registry have types.
			const data = { number, text: TEXT } as never;
			tx.record(SAMPLE as Fact, { id, version: source!.version }, data);
			tx.afterCommit(() => committed.push([number, now()]));
		});
	});
	return committed;
}

/** As no service does it: nobody is told, so that the relay has to look for itself. */
export async function writeSilently(
	pool: pg.Pool,
	{ rate, count, from }: Writing
): Promise<Moment[]> {
	const sources = (await pool.query<{ id: string }>(NEW_SOURCES)).rows;
	const committed: Moment[] = [];
	await atRate(rate, count, async index => {
		const { id } = sources[index % SOURCES]!;
		const number = from + index;
		const client = await pool.connect();
		await client.query("BEGIN");
		const { rows } = await client.query<{ version: number }>(NEXT_VERSION, [id]);
		await client.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, headers)
			 VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb)`,
			[
				uuidv7(),
				SAMPLE,
				aggregateType(SAMPLE),
				id,
				rows[0]!.version,
				JSON.stringify({ number, text: TEXT }),
				JSON.stringify({ correlationId: id })
			]
		);
		await client.query("COMMIT");
		committed.push([number, now()]);
		client.release();
	});
	return committed;
}

import type { Migration } from "../../../lib/migrations.ts";

/** What the consumer `notifications` has copied until now, `recipients` goes on with. */
export const up: Migration = async ({ query }) => {
	await query(`INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version)
		SELECT 'recipients', 'user', user_id, 1 FROM recipient ON CONFLICT DO NOTHING`);
};

export const down: Migration = async ({ query }) => {
	for (const table of ["inbox", "inbox_cursor", "inbox_attempt", "dead_letter"])
		await query(`DELETE FROM ${table} WHERE consumer = 'recipients'`);
};

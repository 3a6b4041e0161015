import type { Migration } from "../../../lib/migrations.ts";

/** Who is to be forgotten, and since when nothing is known of them any more. */
export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE erasure (
		deletion_id uuid PRIMARY KEY,
		user_id uuid NOT NULL,
		requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		erased_at timestamptz)`);
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE erasure");
};

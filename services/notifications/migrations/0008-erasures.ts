import type { Migration } from "../../../lib/migrations.ts";

/** Who is to be forgotten; the address is kept only until the receipt is written. */
export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE erasure (
		user_id uuid PRIMARY KEY,
		deletion_id uuid NOT NULL,
		email text,
		username text,
		name text,
		requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		CHECK ((email IS NULL) = (username IS NULL)),
		CHECK (email IS NOT NULL OR name IS NULL))`);
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE erasure");
};

import type { Migration } from "../../../lib/migrations.ts";

/** A message may bear a link whose secret is asked for at the moment when it is sent. */
export const up: Migration = async ({ query }) => {
	await query("ALTER TABLE message ADD COLUMN token_id uuid");
};

export const down: Migration = async ({ query }) => {
	await query("ALTER TABLE message DROP COLUMN token_id");
};

import type { Migration } from "../../../lib/migrations.ts";
import { createJobTable, dropJobTable } from "../../../mixins/jobs.mixin.ts";

export const up: Migration = async context => {
	const { query } = context;
	await createJobTable(context);
	// Our own copy of what users tell of themselves: nobody is asked when a mail is due.
	await query(`CREATE TABLE recipient (
		user_id uuid PRIMARY KEY,
		email text NOT NULL,
		username text NOT NULL,
		name text,
		updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	await query(`CREATE TABLE message (
		id uuid PRIMARY KEY,
		kind text NOT NULL,
		ref_id uuid NOT NULL,
		channel text NOT NULL CHECK (channel IN ('email')),
		user_id uuid NOT NULL,
		recipient text NOT NULL,
		subject text NOT NULL,
		body_text text NOT NULL,
		body_html text NOT NULL,
		status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		sent_at timestamptz CHECK ((sent_at IS NOT NULL) = (status = 'sent')),
		error text CHECK ((error IS NOT NULL) = (status = 'failed')),
		UNIQUE (kind, ref_id, channel))`);
	await query("CREATE INDEX message_of_user ON message (user_id, id DESC)");
};

export const down: Migration = async context => {
	await context.query("DROP TABLE message, recipient");
	await dropJobTable(context);
};

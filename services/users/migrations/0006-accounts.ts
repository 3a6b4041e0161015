import type { Migration } from "../../../lib/migrations.ts";
import { createJobTable, dropJobTable } from "../../../mixins/jobs.mixin.ts";

export const up: Migration = async context => {
	const { query } = context;
	// `facts` counts what was told of a user: log-ins too, which leave the version of the profile alone.
	await query(`ALTER TABLE users
		ADD COLUMN facts int NOT NULL DEFAULT 1,
		ADD COLUMN locale text NOT NULL DEFAULT 'en',
		ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
		ADD COLUMN currency text NOT NULL DEFAULT 'EUR',
		ADD COLUMN preferences_version int NOT NULL DEFAULT 1`);
	await query("UPDATE users SET facts = version");
	await query(`CREATE TABLE one_time_token (
		id uuid PRIMARY KEY,
		hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		purpose text NOT NULL CHECK (purpose IN ('verify-email', 'reset-password')),
		email_normalized text NOT NULL,
		expires_at timestamptz NOT NULL,
		UNIQUE (user_id, purpose))`);
	await query(`CREATE TABLE security_event (
		position bigint PRIMARY KEY,
		id uuid NOT NULL UNIQUE,
		type text NOT NULL,
		-- No reference: what happened stays when the account has gone, under a number that nobody knows any more.
		user_id uuid,
		by_id uuid,
		at timestamptz NOT NULL,
		-- json and not jsonb: the commitment is to its very bytes.
		detail json,
		salt bytea,
		commitment bytea NOT NULL,
		previous bytea NOT NULL,
		hash bytea NOT NULL,
		CHECK ((detail IS NULL) = (salt IS NULL)))`);
	await query("CREATE INDEX security_event_of_user ON security_event (user_id, position DESC)");
	await query(`CREATE TABLE security_chain (
		only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
		position bigint NOT NULL,
		previous bytea NOT NULL,
		hash bytea NOT NULL)`);
	await query(
		`INSERT INTO security_chain (position, previous, hash)
		 VALUES (0, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))`
	);
	await createJobTable(context);
};

export const down: Migration = async context => {
	const { query } = context;
	await dropJobTable(context);
	await query("DROP TABLE security_chain, security_event, one_time_token");
	await query(`ALTER TABLE users DROP COLUMN facts, DROP COLUMN locale, DROP COLUMN time_zone,
		DROP COLUMN currency, DROP COLUMN preferences_version`);
};

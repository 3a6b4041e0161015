import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE totp (
		user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
		-- Encrypted, as is what waits to be confirmed.
		secret bytea,
		enabled_at timestamptz,
		-- The step of the code that was taken last: it and those before it are used up.
		last_step bigint NOT NULL DEFAULT 0,
		-- Wrong codes in a row.
		failures int NOT NULL DEFAULT 0,
		failed_at timestamptz,
		pending bytea,
		pending_since timestamptz,
		CHECK ((secret IS NULL) = (enabled_at IS NULL)),
		CHECK ((pending IS NULL) = (pending_since IS NULL)))`);
	await query(`CREATE TABLE recovery_code (
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		hash bytea NOT NULL CHECK (octet_length(hash) = 32),
		PRIMARY KEY (user_id, hash))`);
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE recovery_code, totp");
};

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
	await query(`CREATE TABLE passkey (
		id uuid PRIMARY KEY,
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		credential_id text NOT NULL CONSTRAINT passkey_credential UNIQUE,
		public_key bytea NOT NULL,
		-- How often the authenticator has signed; 0 where it does not count.
		counter bigint NOT NULL,
		transports text[] NOT NULL,
		backed_up boolean NOT NULL,
		name text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		last_used_at timestamptz)`);
	await query("CREATE INDEX passkey_of_user ON passkey (user_id, id)");
	await query(`CREATE TABLE passkey_challenge (
		challenge text PRIMARY KEY,
		-- Who adds a passkey, in which session; null for a sign-in.
		user_id uuid REFERENCES users (id) ON DELETE CASCADE,
		session_id uuid,
		expires_at timestamptz NOT NULL,
		CHECK ((user_id IS NULL) = (session_id IS NULL)))`);
	await query("CREATE INDEX passkey_challenge_age ON passkey_challenge (expires_at)");
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE passkey_challenge, passkey, recovery_code, totp");
};

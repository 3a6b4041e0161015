import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE users (
		id uuid PRIMARY KEY,
		email text NOT NULL,
		email_normalized text NOT NULL CONSTRAINT users_email_taken UNIQUE,
		username text NOT NULL,
		username_normalized text NOT NULL CONSTRAINT users_username_taken UNIQUE,
		name text,
		phone text,
		avatar_url text,
		password_hash text,
		roles text[] NOT NULL CHECK (roles <@ ARRAY['customer', 'staff', 'admin']),
		status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
		email_verified boolean NOT NULL DEFAULT false,
		version int NOT NULL DEFAULT 1,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	await query(`CREATE TABLE session (
		id uuid PRIMARY KEY,
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		device text NOT NULL,
		address text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		expires_at timestamptz NOT NULL,
		revoked_at timestamptz,
		revoked_until timestamptz,
		revoked_reason text,
		version int NOT NULL DEFAULT 0)`);
	await query("CREATE INDEX session_alive ON session (user_id) WHERE revoked_at IS NULL");
	await query(
		"CREATE INDEX session_revoked ON session (revoked_until) WHERE revoked_at IS NOT NULL"
	);
	await query(`CREATE TABLE refresh_token (
		hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
		session_id uuid NOT NULL REFERENCES session (id) ON DELETE CASCADE,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		expires_at timestamptz NOT NULL,
		used_at timestamptz,
		successor_hash bytea,
		CHECK ((used_at IS NULL) = (successor_hash IS NULL)))`);
	// A family has one living branch: the database itself refuses a second.
	await query(
		"CREATE UNIQUE INDEX refresh_token_live ON refresh_token (session_id) WHERE used_at IS NULL"
	);
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE refresh_token, session, users");
};

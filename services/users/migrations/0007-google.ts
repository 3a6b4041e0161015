import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE federated_identity (
		issuer text NOT NULL,
		subject text NOT NULL,
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		-- As the provider named it when it was linked; nobody is known by it.
		email text,
		linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (issuer, subject),
		UNIQUE (user_id, issuer))`);
	// Of ten minutes, so without references: who has gone meanwhile links nothing.
	await query(`CREATE TABLE pending_sign_in (
		state_hash bytea PRIMARY KEY CHECK (octet_length(state_hash) = 32),
		browser_hash bytea NOT NULL CHECK (octet_length(browser_hash) = 32),
		nonce text NOT NULL,
		verifier text NOT NULL,
		return_to text,
		code_challenge text,
		link_user_id uuid,
		link_session_id uuid,
		expires_at timestamptz NOT NULL,
		CHECK ((link_user_id IS NULL) = (link_session_id IS NULL)))`);
	await query("CREATE INDEX pending_sign_in_age ON pending_sign_in (expires_at)");
	await query(`CREATE TABLE sign_in_code (
		hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
		user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
		code_challenge text,
		expires_at timestamptz NOT NULL)`);
	await query("CREATE INDEX sign_in_code_age ON sign_in_code (expires_at)");
	await query("CREATE INDEX sign_in_code_of_user ON sign_in_code (user_id)");
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE sign_in_code, pending_sign_in, federated_identity");
};

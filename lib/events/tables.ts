/** The tables of the event backbone, one set in each group's database. */
import type { Migration } from "../migrations.ts";

export const createEventTables: Migration = async ({ query }) => {
	await query(`CREATE TABLE outbox (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		event_id uuid NOT NULL UNIQUE,
		type text NOT NULL,
		aggregate_type text NOT NULL,
		aggregate_id uuid NOT NULL,
		aggregate_version int NOT NULL,
		payload jsonb NOT NULL,
		headers jsonb NOT NULL DEFAULT '{}',
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		published_at timestamptz,
		stream_seq bigint,
		stream_epoch text,
		attempts int NOT NULL DEFAULT 0,
		last_error text,
		UNIQUE (aggregate_type, aggregate_id, aggregate_version))`);
	await query("CREATE INDEX outbox_todo ON outbox (id) WHERE published_at IS NULL");
	await query(`CREATE TABLE inbox (
		consumer text NOT NULL,
		event_id uuid NOT NULL,
		processed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (consumer, event_id))`);
	await query(`CREATE TABLE inbox_cursor (
		consumer text NOT NULL,
		aggregate_type text NOT NULL,
		aggregate_id uuid NOT NULL,
		version int NOT NULL,
		blocked boolean NOT NULL DEFAULT false,
		PRIMARY KEY (consumer, aggregate_type, aggregate_id))`);
	// Counts the tries of an event that has failed or crashed before; the first try writes nothing.
	await query(`CREATE TABLE inbox_attempt (
		consumer text NOT NULL,
		event_id uuid NOT NULL,
		attempts int NOT NULL,
		last_error text,
		PRIMARY KEY (consumer, event_id))`);
	await query(`CREATE TABLE dead_letter (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		consumer text NOT NULL,
		event_id uuid NOT NULL,
		type text NOT NULL,
		aggregate_type text NOT NULL,
		aggregate_id uuid NOT NULL,
		aggregate_version int NOT NULL,
		envelope jsonb NOT NULL,
		reason text NOT NULL,
		error jsonb,
		deliveries int NOT NULL,
		state text NOT NULL DEFAULT 'dead'
			CHECK (state IN ('dead', 'parked', 'replaying', 'resolved', 'discarded')),
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		UNIQUE (consumer, event_id))`);
};

export const dropEventTables: Migration = async ({ query }) => {
	await query("DROP TABLE dead_letter, inbox_attempt, inbox_cursor, inbox, outbox");
};

/** What it takes to operate the backbone: rows set aside, replays with a dry run, an audit, retention, healing. */
export const addEventOperations: Migration = async ({ query }) => {
	// Set aside: it can never be published, and holds up its aggregate until somebody has looked at it.
	await query("ALTER TABLE outbox ADD COLUMN failed_at timestamptz");
	await query(
		"CREATE INDEX outbox_failed ON outbox (aggregate_type, aggregate_id) WHERE failed_at IS NOT NULL"
	);
	await query("CREATE INDEX outbox_story ON outbox ((headers->>'correlationId'))");
	// Whether it was the turn of the event that came last; see MOVE_CURSOR in inbox.ts.
	await query("ALTER TABLE inbox_cursor ADD COLUMN moved boolean NOT NULL DEFAULT false");
	await query("CREATE INDEX inbox_cursor_blocked ON inbox_cursor (consumer) WHERE blocked");
	await query("CREATE INDEX inbox_age ON inbox (processed_at)");
	// The topics that a consumer has begun with: one that is new begins with what there still is.
	await query(`CREATE TABLE inbox_topic (
		consumer text NOT NULL,
		aggregate_type text NOT NULL,
		since timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (consumer, aggregate_type))`);
	await query(
		"INSERT INTO inbox_topic (consumer, aggregate_type) SELECT DISTINCT consumer, aggregate_type FROM inbox_cursor"
	);
	await query(`ALTER TABLE dead_letter
		ADD COLUMN replays int NOT NULL DEFAULT 0,
		ADD COLUMN settled_at timestamptz,
		ADD COLUMN settled_by text,
		ADD COLUMN note text`);
	await query(`CREATE INDEX dead_letter_open ON dead_letter (consumer, aggregate_type, aggregate_id, aggregate_version)
		WHERE state IN ('dead', 'parked')`);
	// What an operator was shown by a dry run, so that it is just this that is replayed.
	await query(`CREATE TABLE replay_snapshot (
		id uuid PRIMARY KEY,
		letters bigint[] NOT NULL,
		by text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	await query(`CREATE TABLE event_audit (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		at timestamptz NOT NULL DEFAULT clock_timestamp(),
		by text NOT NULL,
		action text NOT NULL,
		detail jsonb NOT NULL)`);
	// How much of each topic is no longer here: a projection cannot be rebuilt from what was purged.
	await query(`CREATE TABLE outbox_purge (
		aggregate_type text PRIMARY KEY,
		events bigint NOT NULL,
		newest timestamptz NOT NULL)`);
	// The life of the stream that all published rows are known to be in.
	await query(`CREATE TABLE outbox_stream (
		one boolean PRIMARY KEY DEFAULT true CHECK (one),
		epoch text NOT NULL,
		healed_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
};

export const dropEventOperations: Migration = async ({ query }) => {
	await query("DROP TABLE outbox_stream, outbox_purge, event_audit, replay_snapshot, inbox_topic");
	await query(
		"DROP INDEX dead_letter_open, inbox_age, inbox_cursor_blocked, outbox_story, outbox_failed"
	);
	await query(
		"ALTER TABLE dead_letter DROP COLUMN replays, DROP COLUMN settled_at, DROP COLUMN settled_by, DROP COLUMN note"
	);
	await query("ALTER TABLE inbox_cursor DROP COLUMN moved");
	await query("ALTER TABLE outbox DROP COLUMN failed_at");
};

/** Leads the relay from one aggregate that has something to publish to the next, however long the backlog is. */
export const addOutboxHeads: Migration = async ({ query }) => {
	await query(
		"CREATE INDEX outbox_head ON outbox (aggregate_type, aggregate_id, aggregate_version) WHERE published_at IS NULL"
	);
};

export const dropOutboxHeads: Migration = async ({ query }) => {
	await query("DROP INDEX outbox_head");
};

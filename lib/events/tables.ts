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

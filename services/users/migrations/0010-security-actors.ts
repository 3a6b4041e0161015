import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	// What an admin has done goes with the admin.
	await query(
		"CREATE INDEX security_event_by_actor ON security_event (by_id) WHERE by_id IS NOT NULL"
	);
	// Whose details have been kept long enough is asked every hour, on every node.
	await query(
		"CREATE INDEX security_event_detailed ON security_event (at) WHERE detail IS NOT NULL"
	);
	await query(`CREATE INDEX security_event_of_nobody ON security_event (at)
		WHERE detail IS NOT NULL AND user_id IS NULL AND by_id IS NULL`);
};

export const down: Migration = async ({ query }) => {
	await query(
		"DROP INDEX security_event_by_actor, security_event_detailed, security_event_of_nobody"
	);
};

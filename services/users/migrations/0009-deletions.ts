import type { Migration } from "../../../lib/migrations.ts";
import {
	addTimerLease,
	createTimerTable,
	dropTimerLease,
	dropTimerTable
} from "../../../mixins/timers.mixin.ts";

export const up: Migration = async context => {
	await createTimerTable(context);
	await addTimerLease(context);
	// No reference, and nothing personal: it says that somebody was forgotten, long after.
	await context.query(`CREATE TABLE deletion (
		id uuid PRIMARY KEY,
		user_id uuid NOT NULL UNIQUE,
		status text NOT NULL DEFAULT 'requested' CHECK (status IN ('requested', 'finished')),
		answers jsonb NOT NULL DEFAULT '{}',
		requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		finished_at timestamptz,
		CHECK ((finished_at IS NOT NULL) = (status = 'finished')))`);
};

export const down: Migration = async context => {
	await context.query("DROP TABLE deletion");
	await dropTimerLease(context);
	await dropTimerTable(context);
};

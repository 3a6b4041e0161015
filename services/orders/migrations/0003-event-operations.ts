import { addEventOperations, dropEventOperations } from "../../../lib/events/tables.ts";
import type { Migration } from "../../../lib/migrations.ts";
import { addTimerLease, dropTimerLease } from "../../../mixins/timers.mixin.ts";

export const up: Migration = async context => {
	await addEventOperations(context);
	await addTimerLease(context);
};

export const down: Migration = async context => {
	await dropTimerLease(context);
	await dropEventOperations(context);
};

import {
	addOpenAnswers,
	createIdempotencyTable,
	dropIdempotencyTable
} from "../../../lib/idempotency.ts";
import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async context => {
	await createIdempotencyTable(context);
	await addOpenAnswers(context);
};

export const down: Migration = dropIdempotencyTable;

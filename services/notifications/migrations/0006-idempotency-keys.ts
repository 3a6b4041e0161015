export {
	addIdempotencyKeys as up,
	dropIdempotencyTable as down
} from "../../../lib/idempotency.ts";

export {
	addEventOperations as up,
	dropEventOperations as down
} from "../../../lib/events/tables.ts";

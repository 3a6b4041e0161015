export { addOutboxHeads as up, dropOutboxHeads as down } from "../../../lib/events/tables.ts";

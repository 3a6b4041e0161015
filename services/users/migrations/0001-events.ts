export { createEventTables as up, dropEventTables as down } from "../../../lib/events/tables.ts";

import { contract } from "../lib/contract.ts";

/** The copy of what users tell of themselves that notifications are addressed from; it only listens. */
export const recipients = contract({ name: "recipients", failures: {}, actions: {}, events: {} });

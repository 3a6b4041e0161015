export { addOpenAnswers as up, dropOpenAnswers as down } from "../../../lib/idempotency.ts";

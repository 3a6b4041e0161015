/** How a deletion comes to its end: every holder answers, in whatever order. Pure. */
import type { Events } from "../../contracts/index.ts";
import type { Erased } from "../../contracts/personal-data.ts";

/** What the holders have answered so far. */
export type Answers = Readonly<Record<string, Erased>>;

/** The group that carries the deletion through, and so erases last: until then it knows whom it is about. */
export const LAST = "users";

/** With the answer of a holder; its first one counts. */
export const withAnswer = (answers: Answers, holder: string, answer: Erased): Answers =>
	Object.hasOwn(answers, holder) ? answers : { ...answers, [holder]: answer };

/** The holders that are still waited for. */
export const awaited = (answers: Answers, holders: readonly string[]): string[] =>
	holders.filter(holder => holder !== LAST && !Object.hasOwn(answers, holder));

/** What the person is told. Of what nobody had anything, nothing is said. */
export const receiptOf = (answers: Answers): Events["user.deleted.v1"]["receipt"] =>
	Object.entries(answers).map(([holder, { erased, kept }]) => ({
		holder,
		erased: Object.fromEntries(Object.entries(erased).filter(([, count]) => count > 0)),
		kept
	}));

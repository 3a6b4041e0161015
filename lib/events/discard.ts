/** Dead letters that are given up. */
import type { DeadLetter } from "../../contracts/events.ts";
import type { Database, Queries } from "../database.ts";
import { audited, noteDeed } from "./audit.ts";
import { parseLetterId } from "./dead-letters.ts";
import type { Inbox } from "./inbox.ts";

export interface Discard {
	readonly by: string;
	readonly reason: string;
}

/**
 * Gives an open dead letter up. False where it is about money and nobody else has asked for it
 * before: then it is written down who asks now. `inbox` is undefined where its consumer is no more.
 */
export async function discardLetter(
	db: Database,
	inbox: Inbox | undefined,
	{ id, settledBy, note }: DeadLetter,
	{ by, reason }: Discard
): Promise<boolean> {
	const { number } = parseLetterId(id);
	if (inbox?.critical && !(await isSecond(db, number, { by, reason }))) return false;
	const why = settledBy ? `${reason} (asked for by ${settledBy}: ${note})` : reason;
	await audited(db, { by, action: "discard", detail: { letter: id, reason: why } }, () =>
		inbox ? inbox.discard(number, by, why) : settle(db, number, { by, reason: why })
	);
	return true;
}

/** Whether somebody else has asked for it before. The first who asks is kept. */
async function isSecond(db: Database, number: string, { by, reason }: Discard): Promise<boolean> {
	const first = await db.transaction(async tx => {
		const detail = { letter: `${db.group}-${number}`, reason };
		await noteDeed(tx, { by, action: "discard-asked", detail });
		return tx.one<{ by: string }>(
			`UPDATE dead_letter SET settled_by = coalesce(settled_by, $2),
			   note = CASE WHEN settled_by IS NULL THEN $3 ELSE note END
			 WHERE id = $1 AND state IN ('dead', 'parked') RETURNING settled_by AS by`,
			[number, by, reason]
		);
	});
	return first !== undefined && first.by !== by;
}

/** Without a consumer there is no order to keep. */
async function settle(db: Queries, number: string, { by, reason }: Discard): Promise<void> {
	await db.query(
		`UPDATE dead_letter SET state = 'discarded', settled_at = clock_timestamp(), settled_by = $2, note = $3
		 WHERE id = $1 AND state IN ('dead', 'parked')`,
		[number, by, reason]
	);
}

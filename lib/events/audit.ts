/** Who did what about events. */
import type { Queries } from "../database.ts";

export interface Deed {
	readonly by: string;
	readonly action: "replay" | "discard" | "discard-asked" | "outbox-retry" | "rebuild";
	readonly detail: object;
}

/** Writes it down; answers the entry's number. In a transaction it stands and falls with what is done there. */
export async function noteDeed(db: Queries, { by, action, detail }: Deed): Promise<string> {
	const entry = await db.one<{ id: string }>(
		"INSERT INTO event_audit (by, action, detail) VALUES ($1, $2, $3::jsonb) RETURNING id",
		[by, action, JSON.stringify(detail)]
	);
	return entry!.id;
}

/**
 * For work that takes transactions of its own: writes it down before, so that nothing is done
 * unseen, and afterwards how it ended.
 */
export async function audited<T>(
	db: Queries,
	deed: Deed,
	work: () => Promise<T>,
	outcomeOf: (result: T) => unknown = () => "done"
): Promise<T> {
	const entry = await noteDeed(db, deed);
	const end = (outcome: object) =>
		db.query("UPDATE event_audit SET detail = detail || $2::jsonb WHERE id = $1", [
			entry,
			JSON.stringify(outcome)
		]);
	try {
		const result = await work();
		await end({ outcome: outcomeOf(result) });
		return result;
	} catch (error) {
		await end({ error: String(error) }).catch(() => {});
		throw error;
	}
}

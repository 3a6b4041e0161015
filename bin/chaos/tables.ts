/** The proving ground's own tables, beside those of the event backbone. */
import type { Queries } from "../../lib/database.ts";

/** Made in the database of either group, before any node starts. */
export async function createEffectTables(db: Queries): Promise<void> {
	// Nothing unique: an effect that happens twice has to be visible.
	await db.query(`CREATE TABLE chaos_effect (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		consumer text NOT NULL,
		event_id uuid NOT NULL,
		account uuid NOT NULL,
		version int NOT NULL,
		position int,
		key uuid NOT NULL)`);
	// Counts the effects on an account; its row's lock makes `position` the order in which they were committed.
	await db.query(`CREATE TABLE chaos_position (
		consumer text NOT NULL,
		account uuid NOT NULL,
		position int NOT NULL,
		PRIMARY KEY (consumer, account))`);
}

/** Made in the writer's database; accounts are never added later. */
export async function createAccountTables(db: Queries, accounts: readonly string[]): Promise<void> {
	await db.query("CREATE TABLE chaos_account (id uuid PRIMARY KEY, version int NOT NULL)");
	await db.query(
		"CREATE TABLE chaos_command (key uuid PRIMARY KEY, account uuid NOT NULL, version int NOT NULL)"
	);
	await db.query("INSERT INTO chaos_account SELECT unnest($1::uuid[]), 0", [accounts]);
}

import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	// `told` counts the facts about the stock, `low` is that it was told to be low since it last was not.
	await query(`ALTER TABLE stock
		ADD COLUMN version int NOT NULL DEFAULT 0,
		ADD COLUMN told int NOT NULL DEFAULT 0,
		ADD COLUMN low boolean NOT NULL DEFAULT false,
		ADD CONSTRAINT stock_on_hand_most CHECK (on_hand <= 1000000000)`);
	await query(`ALTER TABLE stock_movement
		ADD COLUMN note text CHECK (char_length(note) <= 500),
		ADD COLUMN by uuid,
		ADD CHECK (kind = 'adjust' OR (note IS NULL AND by IS NULL))`);
	await query("CREATE INDEX stock_movement_by ON stock_movement (by, id) WHERE by IS NOT NULL");
};

export const down: Migration = async ({ query }) => {
	await query("ALTER TABLE stock_movement DROP COLUMN note, DROP COLUMN by");
	await query(`ALTER TABLE stock
		DROP CONSTRAINT stock_on_hand_most, DROP COLUMN version, DROP COLUMN told, DROP COLUMN low`);
};

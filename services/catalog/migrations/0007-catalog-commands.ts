import type { Migration } from "../../../lib/migrations.ts";

/** What a statement has added to or taken from each category, as its trigger sees it. */
const TRIGGERS = {
	INSERT: { sees: "NEW TABLE AS entered", counts: [["entered", 1]] },
	UPDATE: {
		sees: "OLD TABLE AS gone NEW TABLE AS entered",
		counts: [
			["entered", 1],
			["gone", -1]
		]
	},
	DELETE: { sees: "OLD TABLE AS gone", counts: [["gone", -1]] }
} as const;

export const up: Migration = async ({ query }) => {
	// Facts are counted apart from versions, which also change where nobody is told.
	await query("ALTER TABLE product ADD COLUMN facts int NOT NULL DEFAULT 0");
	await query(`ALTER TABLE category ADD COLUMN facts int NOT NULL DEFAULT 0,
		ADD COLUMN active_products int NOT NULL DEFAULT 0 CHECK (active_products >= 0)`);

	// The first row is the price that a product came with.
	await query(`CREATE TABLE price_history (
		product_id uuid NOT NULL REFERENCES product ON DELETE CASCADE,
		version int NOT NULL CHECK (version > 0),
		amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
		currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
		"from" timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (product_id, version))`);
	await query(`INSERT INTO price_history (product_id, version, amount, currency, "from")
		SELECT id, 1, price_amount, price_currency, created_at FROM product`);

	// Each category counts its own active products, so that no reader has to. By triggers, since a count that
	// one writer forgets is wrong for ever; for whole statements, and the categories locked in the order of
	// their ids, so that no two writers wait for each other.
	await query(`UPDATE category SET active_products = counted.products
		FROM (SELECT category_id, count(*) AS products FROM product WHERE status = 'active' GROUP BY category_id) counted
		WHERE id = category_id`);
	for (const [event, { sees, counts }] of Object.entries(TRIGGERS)) {
		const change = `SELECT category_id, sum(n) AS n FROM (
			${counts.map(([table, n]) => `SELECT category_id, ${n} AS n FROM ${table} WHERE status = 'active'`).join(" UNION ALL ")}
			) AS counted GROUP BY category_id HAVING sum(n) <> 0`;
		const name = `count_products_${event.toLowerCase()}`;
		await query(`CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM FROM category WHERE id IN (SELECT category_id FROM (${change}) AS change)
				ORDER BY id FOR NO KEY UPDATE;
			UPDATE category SET active_products = active_products + n FROM (${change}) AS change
				WHERE id = category_id;
			RETURN NULL; END $$`);
		await query(`CREATE TRIGGER ${name} AFTER ${event} ON product
			REFERENCING ${sees} FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`);
	}
};

export const down: Migration = async ({ query }) => {
	for (const event of Object.keys(TRIGGERS))
		await query(`DROP FUNCTION count_products_${event.toLowerCase()} CASCADE`);
	await query("DROP TABLE price_history");
	await query("ALTER TABLE category DROP COLUMN facts, DROP COLUMN active_products");
	await query("ALTER TABLE product DROP COLUMN facts");
};

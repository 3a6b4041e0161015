import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	await query(`CREATE TABLE stock (
		product_id uuid PRIMARY KEY REFERENCES product,
		on_hand int NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
		reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		sold int NOT NULL DEFAULT 0 CHECK (sold >= 0),
		updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		CHECK (on_hand >= reserved))`);

	await query(`CREATE TABLE reservation (
		order_id uuid PRIMARY KEY,
		status text NOT NULL
			CHECK (status IN ('active', 'committed', 'released', 'expired', 'rejected', 'tombstone')),
		version int NOT NULL CHECK (version > 0),
		until timestamptz(3),
		created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		CHECK (status <> 'active' OR until IS NOT NULL))`);
	await query("CREATE INDEX reservation_lease ON reservation (until) WHERE status = 'active'");
	await query(`CREATE TABLE reservation_line (
		order_id uuid NOT NULL REFERENCES reservation,
		product_id uuid NOT NULL REFERENCES stock,
		quantity int NOT NULL CHECK (quantity > 0),
		PRIMARY KEY (order_id, product_id))`);
	await query("CREATE INDEX reservation_line_product ON reservation_line (product_id)");

	// The ledger. The sums of a product's deltas are its row in `stock`; what a kind may move is checked here.
	await query(`CREATE TABLE stock_movement (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		product_id uuid NOT NULL REFERENCES stock,
		kind text NOT NULL,
		on_hand_delta int NOT NULL,
		reserved_delta int NOT NULL,
		sold_delta int NOT NULL,
		reason text NOT NULL,
		order_id uuid,
		CHECK ((kind IN ('receipt', 'adjust')) = (order_id IS NULL)),
		CHECK (CASE kind
			WHEN 'receipt' THEN on_hand_delta > 0 AND reserved_delta = 0 AND sold_delta = 0
			WHEN 'adjust' THEN on_hand_delta <> 0 AND reserved_delta = 0 AND sold_delta = 0
			WHEN 'reserve' THEN on_hand_delta = 0 AND reserved_delta > 0 AND sold_delta = 0
			WHEN 'release' THEN on_hand_delta = 0 AND reserved_delta < 0 AND sold_delta = 0
			WHEN 'expire' THEN on_hand_delta = 0 AND reserved_delta < 0 AND sold_delta = 0
			WHEN 'commit' THEN sold_delta > 0 AND on_hand_delta = -sold_delta AND reserved_delta = -sold_delta
			ELSE false END))`);
	await query("CREATE INDEX stock_movement_product ON stock_movement (product_id, id)");
	// An order moves a product at most once in each way.
	await query(
		"CREATE UNIQUE INDEX stock_movement_order ON stock_movement (order_id, product_id, kind)"
	);
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE stock_movement, reservation_line, reservation, stock");
};

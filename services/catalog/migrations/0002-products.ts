import type { Migration } from "../../../lib/migrations.ts";

export const up: Migration = async ({ query }) => {
	// A slug that looked like an id could never be found by it.
	const slug = `slug text NOT NULL UNIQUE CHECK (char_length(slug) <= 120
			AND slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'
			AND slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')`;
	await query(`CREATE TABLE category (
		id uuid PRIMARY KEY,
		name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
		${slug},
		parent_id uuid REFERENCES category,
		path text[] NOT NULL CHECK (path[cardinality(path)] = slug),
		version int NOT NULL DEFAULT 1,
		created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp())`);
	await query("CREATE INDEX category_parent ON category (parent_id)");
	await query("CREATE INDEX category_path ON category USING gin (path)");

	// Milliseconds are all that a JavaScript date holds: a finer time in a page's cursor would skip rows.
	// `sort_name` is bounded so that it fits into a cursor, too.
	await query(`CREATE TABLE product (
		id uuid PRIMARY KEY,
		sku text NOT NULL UNIQUE CHECK (char_length(sku) BETWEEN 1 AND 64),
		name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
		${slug},
		description text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
		price_amount bigint NOT NULL CHECK (price_amount BETWEEN 0 AND 1000000000000),
		price_currency text NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
		category_id uuid NOT NULL REFERENCES category,
		attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
		images text[] NOT NULL DEFAULT '{}',
		status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
		version int NOT NULL DEFAULT 1,
		created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
		sort_name text COLLATE "und-x-icu" NOT NULL GENERATED ALWAYS AS (left(name, 60)) STORED,
		search tsvector NOT NULL GENERATED ALWAYS AS (
			setweight(to_tsvector('english', name), 'A') ||
			setweight(to_tsvector('english', sku || ' ' || coalesce(attributes->>'brand', '')), 'B') ||
			setweight(to_tsvector('english', description), 'C')) STORED)`);
	await query("CREATE INDEX product_search ON product USING gin (search)");
	await query("CREATE INDEX product_category ON product (category_id)");
	await query("CREATE INDEX product_newest ON product (created_at, id) WHERE status = 'active'");
	await query("CREATE INDEX product_price ON product (price_amount, id) WHERE status = 'active'");
	await query("CREATE INDEX product_name ON product (sort_name, id) WHERE status = 'active'");
};

export const down: Migration = async ({ query }) => {
	await query("DROP TABLE product, category");
};

import type { Migration } from "../../../lib/migrations.ts";

/** Brings the entries of the products in `changed` up to date, and the words that typing errors are set right by. */
const ENTER = `
	DELETE FROM search_entry USING changed WHERE product_id = changed.id AND changed.status <> 'active';
	INSERT INTO search_entry (product_id, category_id, price, created_at, sort_name, in_stock, attributes, names, words)
	SELECT id, category_id, price_amount, created_at, left(name, 60),
		-- Stock looks after an entry that is there. For a new one it is locked: it may be changing just now.
		CASE WHEN EXISTS (SELECT FROM search_entry e WHERE e.product_id = id) THEN false
			ELSE coalesce((SELECT on_hand > reserved FROM stock s WHERE s.product_id = id FOR SHARE), false) END,
		attributes, names,
		setweight(names, 'A')
			|| setweight(to_tsvector('catalog', sku || ' ' || text_of(attributes)), 'B')
			|| setweight(to_tsvector('catalog', description), 'C')
	FROM changed, LATERAL (
		SELECT to_tsvector('catalog', name) || to_tsvector('catalog_plain', name) AS names) AS indexed
	WHERE status = 'active'
	ORDER BY id
	ON CONFLICT (product_id) DO UPDATE SET category_id = excluded.category_id, price = excluded.price,
		created_at = excluded.created_at, sort_name = excluded.sort_name, attributes = excluded.attributes,
		names = excluded.names, words = excluded.words;
	INSERT INTO search_word (word)
	SELECT DISTINCT word FROM changed,
		unnest(tsvector_to_array(to_tsvector('catalog_plain', name || ' ' || text_of(attributes)))) AS word
	WHERE status = 'active' AND word ~ '^[[:alpha:]]{3,30}$'
	ORDER BY word
	ON CONFLICT DO NOTHING;`;

const ENTRY = `
	product_id uuid PRIMARY KEY,
	category_id uuid NOT NULL,
	price bigint NOT NULL,
	created_at timestamptz(3) NOT NULL,
	sort_name text COLLATE "und-x-icu" NOT NULL,
	in_stock boolean NOT NULL,
	attributes jsonb NOT NULL,
	names tsvector NOT NULL,
	words tsvector NOT NULL`;

/** Each with the end of an id that is no more in it. */
const SAMPLES = [
	["search_sample_256", "01"],
	["search_sample_16", "10"]
] as const;

export const up: Migration = async ({ query }) => {
	// Both are trusted: who may create in the database may create them.
	await query("CREATE EXTENSION IF NOT EXISTS pg_trgm");
	await query("CREATE EXTENSION IF NOT EXISTS unaccent");

	await query("CREATE TEXT SEARCH CONFIGURATION catalog (COPY = english)");
	await query(`ALTER TEXT SEARCH CONFIGURATION catalog
		ALTER MAPPING FOR hword, hword_part, word WITH unaccent, english_stem`);
	// Words as they are written, for those that are only half typed.
	await query("CREATE TEXT SEARCH CONFIGURATION catalog_plain (COPY = simple)");
	await query(`ALTER TEXT SEARCH CONFIGURATION catalog_plain
		ALTER MAPPING FOR hword, hword_part, word WITH unaccent, simple`);
	await query(`CREATE FUNCTION text_of(attributes jsonb) RETURNS text LANGUAGE sql IMMUTABLE
		RETURN (SELECT coalesce(string_agg(value, ' '), '') FROM jsonb_each_text(attributes))`);

	// What a search reads of each active product, apart from the rest of it: narrow, and written by stock
	// only where a product sells out or comes back, which no index is concerned with.
	await query(`CREATE TABLE search_entry (${ENTRY},
		FOREIGN KEY (product_id) REFERENCES product ON DELETE CASCADE) WITH (fillfactor = 90)`);
	await query("CREATE TABLE search_word (word text PRIMARY KEY)");

	// One product in 256, by which a search estimates what it will find before it decides how to look for
	// it, and one in 16, which is counted where more is found than can be. Ids end at random.
	await query(`CREATE FUNCTION keep_search_sample() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		EXECUTE format('DELETE FROM %I WHERE product_id = $1', TG_ARGV[0])
			USING coalesce(NEW.product_id, OLD.product_id);
		IF TG_OP <> 'DELETE' THEN EXECUTE format('INSERT INTO %I SELECT $1.*', TG_ARGV[0]) USING NEW; END IF;
		RETURN NULL; END $$`);
	for (const [sample, below] of SAMPLES) {
		await query(`CREATE TABLE ${sample} (${ENTRY})`);
		await query(`CREATE TRIGGER keep_${sample} AFTER INSERT OR UPDATE ON search_entry
			FOR EACH ROW WHEN (right(NEW.product_id::text, 2) < '${below}')
			EXECUTE FUNCTION keep_search_sample(${sample})`);
		await query(`CREATE TRIGGER drop_${sample} AFTER DELETE ON search_entry
			FOR EACH ROW WHEN (right(OLD.product_id::text, 2) < '${below}')
			EXECUTE FUNCTION keep_search_sample(${sample})`);
	}

	await query(`CREATE FUNCTION keep_search_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		${ENTER}
		RETURN NULL; END $$`);
	for (const event of ["INSERT", "UPDATE"])
		await query(`CREATE TRIGGER keep_search_entry_${event.toLowerCase()} AFTER ${event} ON product
			REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION keep_search_entry()`);

	await query(`CREATE FUNCTION keep_search_stock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE search_entry SET in_stock = TG_OP <> 'DELETE' AND NEW.on_hand > NEW.reserved
		WHERE product_id = coalesce(NEW.product_id, OLD.product_id);
		RETURN NULL; END $$`);
	for (const [event, when] of [
		["INSERT", "NEW.on_hand > NEW.reserved"],
		["UPDATE", "(OLD.on_hand > OLD.reserved) <> (NEW.on_hand > NEW.reserved)"],
		["DELETE", "OLD.on_hand > OLD.reserved"]
	])
		await query(`CREATE TRIGGER keep_search_stock_${event!.toLowerCase()} AFTER ${event} ON stock
			FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION keep_search_stock()`);

	await query(`DO $$ BEGIN
		CREATE TEMP TABLE changed ON COMMIT DROP AS SELECT * FROM product;
		${ENTER}
		DROP TABLE changed; END $$`);

	// The category as an array of one: then a tree of categories is looked for in one scan, and not in as many.
	for (const table of ["search_entry", ...SAMPLES.map(([sample]) => sample)])
		await query(`CREATE INDEX ${table}_match ON ${table}
			USING gin (words, names, attributes jsonb_path_ops, (ARRAY[category_id]))`);
	for (const key of ["created_at", "price", "sort_name"]) {
		await query(`CREATE INDEX search_entry_${key} ON search_entry (${key}, product_id)`);
		await query(
			`CREATE INDEX search_entry_category_${key} ON search_entry (category_id, ${key}, product_id)`
		);
	}
	await query("CREATE INDEX search_word_similar ON search_word USING gin (word gin_trgm_ops)");
	// The limit of pg_trgm is meant for long texts: of four letters one wrong leaves less than that.
	await query(`CREATE FUNCTION similar_words(typed text) RETURNS SETOF text LANGUAGE sql STABLE
		SET pg_trgm.similarity_threshold = 0.15
		AS $$ SELECT word FROM search_word WHERE word % typed ORDER BY similarity(word, typed) DESC, word LIMIT 50 $$`);
};

export const down: Migration = async ({ query }) => {
	await query("DROP FUNCTION similar_words");
	await query("DROP FUNCTION keep_search_stock, keep_search_entry, keep_search_sample CASCADE");
	await query("DROP TABLE search_word, search_sample_256, search_sample_16, search_entry");
	await query("DROP FUNCTION text_of");
	await query("DROP TEXT SEARCH CONFIGURATION catalog, catalog_plain");
	// The extensions stay: others may use them, or an administrator have put them there.
};

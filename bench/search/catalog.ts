/** A catalog of any size to search in, made by the database itself: categories three levels deep, products, stock. */
import pg from "pg";

const BATCH = 20_000;

// prettier-ignore
const DEPARTMENTS = ["Home", "Kitchen", "Garden", "Office", "Electronics", "Outdoor", "Fashion", "Beauty", "Toys", "Tools"];
const RANGES = ["Essentials", "Classics", "Studio", "Workshop"];
// prettier-ignore
const THINGS = [
	"Lamp", "Chair", "Table", "Shelf", "Rug", "Mirror", "Sofa", "Bench", "Pan", "Knife", "Grinder", "Kettle", "Plate", "Bowl", "Mug",
	"Bottle", "Planter", "Hose", "Lantern", "Hammock", "Notebook", "Pen", "Stand", "Tray", "Headphones", "Speaker", "Keyboard", "Monitor",
	"Charger", "Backpack", "Tent", "Jacket", "Shirt", "Scarf", "Shoes", "Cream", "Puzzle", "Drill", "Hammer", "Wrench"
];
const KINDS = ["Compact", "Folding", "Travel", "Heavy", "Soft"];
// prettier-ignore
const MATERIALS = ["Oak", "Walnut", "Ash", "Beech", "Steel", "Aluminium", "Brass", "Copper", "Glass", "Ceramic", "Linen", "Wool", "Cotton", "Leather", "Nylon", "Bamboo"];
// prettier-ignore
const COLOURS = ["Black", "White", "Grey", "Sand", "Navy", "Rust", "Mustard", "Charcoal", "Amber", "Ivory", "Olive", "Crimson", "Teal", "Coral", "Natural", "Smoked"];
// prettier-ignore
const SENTENCES = [
	"Made to last and easily repaired.", "The colour goes through and stays.", "Glazed by hand, so no two are the same.", "Packs down to the size of a loaf.",
	"Works on every hob, induction too.", "Balanced where it is held.", "Clear at low volume, calm at high.", "Every wearing part can be replaced.",
	"Dims in four steps and remembers the last one.", "Joined without a visible screw.", "Keeps its shape full and half empty.", "Tried in a week of rain.",
	"Washed soft in a small mill.", "Goes up in ten minutes with one tool.", "A gift that is used every day.", "Refills of every common make fit."
];
const SYLLABLES = [
	"al",
	"va",
	"bir",
	"ka",
	"du",
	"ne",
	"fjor",
	"li",
	"mo",
	"ra",
	"so",
	"ti",
	"un",
	"wel",
	"yr",
	"zen"
];

/**
 * Adds the categories and so many products, into an empty catalog that is yet without the tables of its search: to
 * fill those at once, as their migration does, takes a tenth of the time. Tells how many there are after each batch.
 */
export async function fillCatalog(
	url: string,
	products: number,
	onProgress: (done: number) => void
): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		await client.query("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'");
		const { rows } = await client.query<{ name: string; definition: string }>(SLOW_INDEXES);
		for (const { name } of rows) await client.query(`DROP INDEX ${name}`);
		for (const [sql, ...bind] of CATEGORIES) await client.query(sql, bind);
		await client.query("SELECT setseed(0.42)");
		for (let done = 0; done < products; done += BATCH) {
			const until = Math.min(done + BATCH, products);
			const wanted = [done, until - 1, products, MATERIALS, COLOURS, SENTENCES, SYLLABLES];
			await client.query(PRODUCTS, wanted);
			onProgress(until);
		}
		for (const { definition } of rows) await client.query(definition);
	} finally {
		await client.end();
	}
}

const SLOW_INDEXES = `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
	WHERE schemaname = 'public' AND tablename = 'product' AND indexdef LIKE '%USING gin%'`;

// Each department has all ranges, each range one thing of all kinds: 10, 40, 200 categories.
const CATEGORIES: readonly [sql: string, ...bind: string[][]][] = [
	[
		`INSERT INTO category (id, name, slug, path)
		SELECT gen_random_uuid(), name, lower(name), ARRAY[lower(name)] FROM unnest($1::text[]) AS name`,
		DEPARTMENTS
	],
	[
		`INSERT INTO category (id, name, slug, parent_id, path)
		SELECT gen_random_uuid(), c.name || ' ' || range, below, c.id, c.path || below
		FROM category c, unnest($1::text[]) AS range, lower(c.name || '-' || range) AS below
		WHERE cardinality(c.path) = 1`,
		RANGES
	],
	[
		`INSERT INTO category (id, name, slug, parent_id, path)
		SELECT gen_random_uuid(), kind || ' ' || thing || 's', below, c.id, c.path || below
		FROM (SELECT *, row_number() OVER (ORDER BY slug) AS n FROM category WHERE cardinality(path) = 2) c,
			unnest($2::text[]) AS kind, LATERAL (SELECT ($1::text[])[n] AS thing) AS t, lower(kind || '-' || thing) AS below`,
		THINGS,
		KINDS
	]
];

// Skewed by squares, as shops are: few categories, colours and makers have most of the products.
const PRODUCTS = `
	WITH leaf AS (
		SELECT array_agg(id ORDER BY slug) AS ids, array_agg(rtrim(name, 's') ORDER BY slug) AS names
		FROM category WHERE cardinality(path) = 3),
	die AS MATERIALIZED (
		SELECT n, (random() ^ 2 * 199.49)::int + 1 AS leaf, ($4::text[])[(random() * 15.49)::int + 1] AS material,
			($5::text[])[(random() ^ 2 * 15.49)::int + 1] AS colour, (random() ^ 2 * 60)::int AS maker,
			initcap(($7::text[])[(random() * 15.49)::int + 1] || ($7::text[])[(random() * 15.49)::int + 1]
				|| CASE WHEN random() < 0.5 THEN ($7::text[])[(random() * 15.49)::int + 1] ELSE '' END) AS series,
			($6::text[])[(random() * 15.49)::int + 1] || ' ' || ($6::text[])[(random() * 15.49)::int + 1] AS about,
			random() AS dear, CASE WHEN random() < 0.06 THEN 0 ELSE (random() * 200)::int END AS stock,
			now() - ($3::int - n) * interval '60 seconds' AS at
		FROM generate_series($1::int, $2::int) AS n),
	added AS (
		INSERT INTO product (id, sku, name, slug, description, price_amount, price_currency, category_id, attributes,
			images, created_at, updated_at)
		SELECT uuidv7(at - now()), 'SKU-' || lpad(n::text, 8, '0'), series || ' ' || thing || ', ' || material || ', ' || colour,
			'product-' || n, thing || ' by Maker ' || maker || ' in ' || lower(material) || '. ' || about,
			-- What is at the end of the list of categories is dearer.
			(500 + dear ^ 3 * 200 * (50 + 5 * leaf))::bigint / 100 * 100 + 90, 'EUR', ids[leaf],
			jsonb_build_object('brand', 'Maker ' || maker, 'colour', colour, 'material', material, 'size', (leaf % 7 + n % 5) || '0 cm'),
			ARRAY['https://images.example/products/' || n || '.jpg'], at, at
		FROM die CROSS JOIN leaf, LATERAL (SELECT names[leaf] AS thing) AS named
		RETURNING id, sku)
	INSERT INTO stock (product_id, on_hand)
	SELECT id, stock FROM added JOIN die ON die.n = right(sku, 8)::int`;

/** What a search has found, counted by what one could choose next. */
import type { Facets } from "../../contracts/products.ts";
import type { Queries } from "../../lib/database.ts";
import { COARSE, shareCounted } from "./product-search.ts";
import { Bind, conditionsOf, isVain, where, type Search } from "./product-filters.store.ts";

/** Where each band of prices begins, in minor units: 0, 1000, 2000, 5000, 10000 and so on. */
export const BANDS: readonly number[] = [
	0,
	...Array.from({ length: 9 }, (_, zeros) =>
		[1, 2, 5].map(digit => digit * 10 ** (zeros + 3))
	).flat()
];

/**
 * Counts of the products that the search finds, all its filters included. Of many a sample is
 * counted, so that it takes no longer the more there are.
 */
export async function countFacets(db: Queries, { filters, estimate }: Search): Promise<Facets> {
	const isIndexed = filters.query ?? filters.categories ?? filters.attributes;
	// Without an index the fine sample would be read as a whole.
	const share = isIndexed || shareCounted(estimate) === 1 ? shareCounted(estimate) : COARSE;
	const approximate = share > 1;
	if (isVain(filters)) return { approximate, ...NONE };
	const bind = new Bind();
	const entries = share === 1 ? "search_entry" : `search_sample_${share}`;
	const row = await db.one<Counted>(
		`WITH hit AS MATERIALIZED (
			SELECT category_id, price, in_stock, attributes FROM ${entries} e ${where(conditionsOf(filters, bind))})
		SELECT (${CATEGORY}) AS category, (${priceBands(bind)}) AS price, (${AVAILABILITY}) AS availability,
			(${ATTRIBUTES}) AS attributes`,
		bind.values
	);
	return { approximate, ...scaled(row!, share) };
}

const scaled = (counted: Counted, share: number): Counted => {
	const { category, price, availability, attributes } = counted;
	const times = <T extends { count: number }>(all: T[]) =>
		all.map(one => ({ ...one, count: one.count * share }));
	return {
		category: times(category),
		price: times(price),
		availability: {
			inStock: availability.inStock * share,
			outOfStock: availability.outOfStock * share
		},
		attributes: Object.fromEntries(
			Object.entries(attributes).map(([name, answers]) => [name, times(answers)])
		)
	};
};

type Counted = Omit<Facets, "approximate">;

const NONE: Counted = {
	category: [],
	price: [],
	availability: { inStock: 0, outOfStock: 0 },
	attributes: {}
};

// Each product counts for every category on the path to its own.
const CATEGORY = `
	SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'count', n) ORDER BY n DESC, name, id), '[]')
	FROM (
		SELECT c.id, c.name, sum(own.n) AS n
		FROM (SELECT category_id, count(*) AS n FROM hit GROUP BY category_id) AS own
		JOIN category o ON o.id = own.category_id, unnest(o.path) AS step JOIN category c ON c.slug = step
		GROUP BY c.id ORDER BY n DESC, c.name, c.id LIMIT 50) AS counted`;

const priceBands = (bind: Bind): string => {
	const bands = `${bind.to(BANDS)}::bigint[]`;
	return `
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'from', (${bands})[band], 'to', (${bands})[band + 1] - 1, 'count', n) ORDER BY band), '[]')
	FROM (SELECT width_bucket(price, ${bands}) AS band, count(*) AS n FROM hit GROUP BY band) AS counted`;
};

const AVAILABILITY = `
	SELECT jsonb_build_object('inStock', count(*) FILTER (WHERE in_stock), 'outOfStock', count(*) FILTER (WHERE NOT in_stock))
	FROM hit`;

const ATTRIBUTES = `
	SELECT coalesce(jsonb_object_agg(name, answers), '{}')
	FROM (
		SELECT name, jsonb_agg(jsonb_build_object('value', value, 'count', n) ORDER BY n DESC, value)
			FILTER (WHERE place <= 20) AS answers
		FROM (
			SELECT name, value, n, row_number() OVER (PARTITION BY name ORDER BY n DESC, value) AS place
			FROM (
				SELECT name, value, count(*) AS n FROM hit, jsonb_each_text(attributes) AS a(name, value)
				GROUP BY name, value) AS counted) AS placed
		GROUP BY name ORDER BY sum(n) DESC, name LIMIT 20) AS chosen`;

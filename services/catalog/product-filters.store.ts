/** What a search looks for, in SQL, and about how much it will find. */
import type { Queries } from "../../lib/database.ts";
import { idOrSlug } from "./id-or-slug.ts";
import { wordsOf, type Estimate, type SearchParams, type Words } from "./product-search.ts";
import { meant, swapped } from "./spelling.ts";

/** What a product has to be. Each that is there is a condition. */
export interface Filters {
	/** As text of a tsquery; empty where `q` has nothing to look for in it. */
	readonly query?: string | undefined;
	/** Of these one. */
	readonly categories?: readonly string[] | undefined;
	readonly minPrice?: number | undefined;
	readonly maxPrice?: number | undefined;
	readonly inStock?: boolean | undefined;
	readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** A search, as far as it is the same for its pages, its facets and its total. */
export interface Search {
	readonly filters: Filters;
	/** Of what it will find. */
	readonly estimate: Estimate;
	/** The words that it looks for, where nothing has those that were asked for. */
	readonly correction?: string;
}

/** Collects the values of a statement; answers how each is referred to. */
export class Bind {
	readonly values: unknown[] = [];
	to(value: unknown): string {
		return `$${this.values.push(value)}`;
	}
}

/** The conditions of filters on `e`, an entry of the search or of its sample. */
export function conditionsOf(filters: Filters, bind: Bind): string[] {
	const { query, categories, minPrice, maxPrice, inStock, attributes } = filters;
	return [
		query !== undefined && `e.words @@ ${bind.to(query)}::tsquery`,
		categories && `ARRAY[e.category_id] && ${bind.to(categories)}::uuid[]`,
		minPrice !== undefined && `e.price >= ${bind.to(minPrice)}::bigint`,
		maxPrice !== undefined && `e.price <= ${bind.to(maxPrice)}::bigint`,
		inStock !== undefined && `e.in_stock = ${bind.to(inStock)}::boolean`,
		attributes && `e.attributes @> ${bind.to(JSON.stringify(attributes))}::jsonb`
	].filter(condition => typeof condition === "string");
}

export const where = (conditions: readonly string[]): string =>
	conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";

/** Whether it is plain that nothing fits: there is no such category, or no word in `q`. */
export const isVain = ({ query, categories }: Filters): boolean =>
	query === "" || categories?.length === 0;

const NOTHING: Estimate = { hits: 0, named: 0 };

/** Finds out what the parameters stand for, and about how much they will find. */
export async function readSearch(db: Queries, params: SearchParams): Promise<Search> {
	const { q, category, minPrice, maxPrice, inStock, attributes } = params;
	const words = q === undefined ? undefined : wordsOf(q);
	const filters: Filters = {
		query: words && (await queryOf(db, words)),
		categories: category === undefined ? undefined : await categoriesOf(db, category),
		minPrice,
		maxPrice,
		inStock,
		attributes
	};
	if (isVain(filters)) return { filters, estimate: NOTHING };
	const estimate = await estimateOf(db, filters);
	if (!words?.isPlain || estimate.hits > 0 || (await isFound(db, filters.query!)))
		return { filters, estimate };
	const corrected = await correct(db, words);
	if (!corrected) return { filters, estimate };
	const other = { ...filters, query: await queryOf(db, corrected.words) };
	return { filters: other, estimate: await estimateOf(db, other), correction: corrected.text };
}

/**
 * All words as one query; of the half one, what begins like it is found as well. Words like "the" are
 * nothing to look for, but where there is no other the last may become "theatre".
 */
async function queryOf(db: Queries, { all, half }: Words): Promise<string> {
	const row = await db.one<{ query: string }>(
		`SELECT coalesce(string_agg('(' || term || ')', ' & ' ORDER BY n), max(beginning), '') AS query
		FROM (SELECT to_tsquery('catalog_plain', '''' || $2::text || ''':*')::text AS beginning) AS half LEFT JOIN (
			SELECT n, (CASE WHEN n = cardinality($1::text[]) AND $2::text IS NOT NULL
				THEN exact || to_tsquery('catalog_plain', '''' || $2::text || ''':*') ELSE exact END)::text AS term
			FROM unnest($1::text[]) WITH ORDINALITY AS word(typed, n),
				websearch_to_tsquery('catalog', typed) AS exact
			WHERE numnode(exact) > 0) AS terms ON true`,
		[all, half]
	);
	return row!.query;
}

/** The category and all below it. */
async function categoriesOf(db: Queries, category: string): Promise<string[]> {
	const { id, slug } = idOrSlug(category);
	const rows = await db.query<{ id: string }>(
		`SELECT below.id FROM category c JOIN category below ON below.path @> ARRAY[c.slug]
		WHERE c.id = $1::uuid OR c.slug = $2`,
		[id, slug]
	);
	return rows.map(row => row.id);
}

async function estimateOf(db: Queries, filters: Filters): Promise<Estimate> {
	const bind = new Bind();
	const conditions = conditionsOf(filters, bind);
	const named =
		filters.query === undefined ? "0" : `count(*) FILTER (WHERE ${isNamed(filters.query, bind)})`;
	const row = await db.one<Estimate>(
		`SELECT count(*)::int AS hits, (${named})::int AS named FROM search_sample_256 e ${where(conditions)}`,
		bind.values
	);
	return row!;
}

/** Whether the name of an entry `e` has the words. */
export const isNamed = (query: string, bind: Bind): string =>
	`e.names @@ ${bind.to(query)}::tsquery`;

/** Whether any product has the words, whatever else was asked for. */
async function isFound(db: Queries, query: string): Promise<boolean> {
	// The sample first: it knows what is frequent, of which the whole index has to read much. Of a limit
	// the planner would think that it makes up for reading everything.
	const row = await db.one<{ found: boolean }>(
		`WITH entry AS MATERIALIZED (SELECT 1 FROM search_entry WHERE words @@ $1::tsquery)
		SELECT EXISTS (SELECT 1 FROM search_sample_256 WHERE words @@ $1::tsquery) OR EXISTS (SELECT 1 FROM entry) AS found`,
		[query]
	);
	return row!.found;
}

/** Words like those that nothing has; undefined where there are none. */
async function correct(
	db: Queries,
	{ all, half }: Words
): Promise<{ words: Words; text: string } | undefined> {
	const typed = all.map(word => word.toLowerCase());
	const rows = await db.query<{ n: number; isKnown: boolean; candidates: string[] }>(
		`SELECT n::int, EXISTS (SELECT 1 FROM search_word WHERE word = typed) AS "isKnown",
			ARRAY(SELECT similar_words(typed)
				UNION SELECT word FROM search_word WHERE word = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb -> (n::int - 1))))
				ORDER BY 1) AS candidates
		FROM unnest($1::text[]) WITH ORDINALITY AS word(typed, n) ORDER BY n`,
		[typed, JSON.stringify(typed.map(swapped))]
	);
	const others = rows.map(({ n, isKnown, candidates }) =>
		isKnown ? [] : meant(typed[n - 1]!, candidates, { isHalf: half !== null && n === typed.length })
	);
	if (others.every(words => words.length === 0)) return undefined;
	return {
		words: {
			// "lmap" or "lamp": a description may have the word that nothing else has.
			all: all.map((word, index) => [word, ...others[index]!].join(" or ")),
			half,
			isPlain: true
		},
		text: all.map((word, index) => others[index]![0] ?? word).join(" ")
	};
}

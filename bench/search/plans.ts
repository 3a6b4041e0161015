/** How PostgreSQL goes about the statements of a search. */
import type { Prepared, Queries } from "../../lib/database.ts";
import { countFacets } from "../../services/catalog/product-facets.store.ts";
import { readSearch } from "../../services/catalog/product-filters.store.ts";
import { searchProducts } from "../../services/catalog/product-search.store.ts";
import { positionOf, sortOf, type SearchParams } from "../../services/catalog/product-search.ts";

export interface Plan {
	readonly sql: string;
	readonly plan: string;
}

/** The plans of all statements that answer a request, each executed. */
export async function plansOf(db: Queries, params: SearchParams): Promise<Plan[]> {
	const plans: Plan[] = [];
	const explained: Queries = {
		async query<Row extends object>(sql: string | Prepared, bind?: readonly unknown[]) {
			const text = typeof sql === "string" ? sql : sql.text;
			const lines = await db.query<{ "QUERY PLAN": string }>(
				`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) ${text}`,
				bind
			);
			plans.push({ sql: text, plan: lines.map(line => line["QUERY PLAN"]).join("\n") });
			return db.query<Row>(sql, bind);
		},
		async one<Row extends object>(sql: string | Prepared, bind?: readonly unknown[]) {
			return (await this.query<Row>(sql, bind))[0];
		}
	};
	const search = await readSearch(explained, params);
	await searchProducts(explained, search, {
		sort: sortOf(params),
		after: positionOf(params),
		limit: 21
	});
	if (params.facets) await countFacets(explained, search);
	return plans;
}

/** Whether it reads all products one after the other; the samples and the categories are few. */
export const readsAll = ({ plan }: Plan): boolean =>
	/Seq Scan on (?:product|search_entry)\b/.test(plan);

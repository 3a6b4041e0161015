import { products } from "../../contracts/products.ts";
import { failure } from "../../lib/failure.ts";
import { keyBehind, pageOf } from "../../lib/cursor.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { importProducts } from "./import.ts";
import { exportProducts } from "./import.store.ts";
import { archiveProduct, changeProduct, createProduct } from "./product-editing.ts";
import { listPrices } from "./product-editing.store.ts";
import { cursorTo, positionOf, sortOf } from "./product-search.ts";
import { countFacets } from "./product-facets.store.ts";
import { readSearch } from "./product-filters.store.ts";
import { countProducts, searchProducts } from "./product-search.store.ts";
import { findProduct, lookupProducts } from "./products.store.ts";

const MAX_INT = 2 ** 31 - 1;
/** Of a price, among those of its product. */
const isNumber = (key: unknown): key is number =>
	Number.isInteger(key) && (key as number) >= 1 && (key as number) <= MAX_INT;

export default implement(products)({
	mixins: [events("catalog")],
	actions: {
		async list({ params }) {
			const { limit = 20, facets, withTotal } = params;
			const order = { sort: sortOf(params), after: positionOf(params) };
			const search = await readSearch(this.db, params);
			const [page, counted, total] = await Promise.all([
				// One more than asked for tells whether there is another page.
				searchProducts(this.db, search, { ...order, limit: limit + 1 }),
				facets && countFacets(this.db, search),
				withTotal && countProducts(this.db, search)
			]);
			const last = page.length > limit ? page[limit - 1]! : undefined;
			return {
				items: page.slice(0, limit).map(({ product }) => product),
				...(counted ? { facets: counted } : {}),
				...(total === undefined || total === false ? {} : { total }),
				...(search.correction === undefined ? {} : { correction: search.correction }),
				nextCursor: last ? cursorTo(params, last.position) : null
			};
		},
		async get({ params }) {
			const product = await findProduct(this.db, params.idOrSlug);
			if (!product) throw failure(products, "NOT_FOUND");
			return product;
		},
		lookup({ params }) {
			return lookupProducts(this.db, params.ids);
		},
		create({ params }) {
			return this.transaction(tx => createProduct(tx, params));
		},
		update({ params }) {
			return this.transaction(tx => changeProduct(tx, params));
		},
		archive({ params }) {
			return this.transaction(tx => archiveProduct(tx, params));
		},
		async prices({ params: { id, cursor, limit = 20 } }) {
			const listing = { list: "products.prices", filters: [id] };
			const before = keyBehind(products, listing, cursor, isNumber);
			const found = await listPrices(this.db, id, { before, limit: limit + 1 });
			if (found.length === 0 && !(await findProduct(this.db, id)))
				throw failure(products, "NOT_FOUND");
			const page = pageOf(listing, found, limit, ({ version }) => version);
			return { ...page, items: page.items.map(({ past }) => past) };
		},
		async import({ params }) {
			const outcomes = await this.transaction(tx => importProducts(tx, params));
			if (params.makeCategories) await this.broker.cacher?.clean("categories.list:**");
			return { outcomes };
		},
		export({ params }) {
			return exportProducts(this.db, params.after);
		}
	}
});

import { products } from "../../contracts/products.ts";
import { failure } from "../../lib/failure.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { cursorTo, positionOf, sortOf } from "./product-search.ts";
import { countProducts, findProduct, lookupProducts, searchProducts } from "./products.store.ts";

export default implement(products)({
	mixins: [events("catalog")],
	actions: {
		async list({ params }) {
			const { limit = 20 } = params;
			const order = { sort: sortOf(params), after: positionOf(params) };
			// One more than asked for tells whether there is another page.
			const found = await searchProducts(this.db, params, { ...order, limit: limit + 1 });
			const last = found.length > limit ? found[limit - 1]! : undefined;
			return {
				items: found.slice(0, limit).map(({ product }) => product),
				...(params.withTotal ? { total: await countProducts(this.db, params) } : {}),
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
		}
	}
});

import { categories } from "../../contracts/categories.ts";
import { failure } from "../../lib/failure.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { findCategory, listCategories } from "./categories.store.ts";
import { toTree } from "./category.ts";

export default implement(categories)({
	mixins: [events("catalog")],
	actions: {
		async list({ params }) {
			const items = await listCategories(this.db);
			return { items: params.tree ? toTree(items) : items, nextCursor: null };
		},
		async get({ params }) {
			const category = await findCategory(this.db, params.idOrSlug);
			if (!category) throw failure(categories, "NOT_FOUND");
			return category;
		}
	}
});

import type { ServiceBroker } from "moleculer";
import { categories } from "../../contracts/categories.ts";
import type { Tx } from "../../lib/database.ts";
import { failure } from "../../lib/failure.ts";
import { implement } from "../../lib/service.ts";
import { events, type DatabaseMethods } from "../../mixins/events.mixin.ts";
import { findCategory, listCategories } from "./categories.store.ts";
import { changeCategory, createCategory, removeCategory } from "./category-editing.ts";
import { toTree } from "./category.ts";

/** Changes the tree. Who has the answer finds the change in the lists, too. */
async function edit<T>(
	{
		broker,
		transaction
	}: Pick<DatabaseMethods, "transaction"> & { readonly broker: ServiceBroker },
	work: (tx: Tx) => Promise<T>
): Promise<T> {
	const answer = await transaction(work);
	await broker.cacher?.clean("categories.list:**");
	return answer;
}

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
		},
		create({ params }) {
			return edit(this, tx => createCategory(tx, params));
		},
		update({ params }) {
			return edit(this, tx => changeCategory(tx, params));
		},
		remove({ params }) {
			return edit(this, tx => removeCategory(tx, params));
		}
	}
});

import { catalogData, type Erased } from "../../contracts/personal-data.ts";
import type { Database, Queries } from "../../lib/database.ts";
import { forgetKeys } from "../../lib/idempotency.ts";
import { pageOfLists, tellErased, type DataList } from "../../lib/personal-data.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { countAdjustmentsBy, listAdjustmentsBy } from "./inventory.store.ts";

const listsOf = (db: Database, userId: string): Record<string, DataList> => ({
	stockAdjustments: {
		isKey: key => /^[1-9]\d{0,17}$/.test(key),
		read: async (after, limit) => {
			const rows = await listAdjustmentsBy(db, userId, { after, limit });
			return rows.map(({ id, productId, entry }) => ({ key: id, item: { productId, ...entry } }));
		}
	}
});

/** The ledger stays as it is: who took stock away is part of the books. */
async function keptOf(db: Queries, userId: string): Promise<Erased["kept"]> {
	const count = await countAdjustmentsBy(db, userId);
	const what = `${count === 1 ? "1 adjustment" : `${count} adjustments`} of stock, with the number of the account that made them and its notes`;
	return count > 0 ? [{ what, why: "the ledger of the stock is part of our books" }] : [];
}

/** Of people the catalog knows what it has answered to their commands, for a day, and who of the staff has adjusted stock. */
export default implement(catalogData)({
	mixins: [events("catalog", { ordered: false })],
	actions: {
		async export({ params: { userId, after } }) {
			return pageOfLists(listsOf(this.db, userId), after);
		}
	},
	events: {
		async "user.deletion-requested.v1"({ data }, tx) {
			const erased = { "answers to commands": await forgetKeys(tx, data.userId) };
			const kept = await keptOf(tx, data.userId);
			tellErased(tx, "catalog-data.erased.v1", data, { erased, kept });
		}
	}
});

import { catalogData } from "../../contracts/personal-data.ts";
import { forgetKeys } from "../../lib/idempotency.ts";
import { tellErased } from "../../lib/personal-data.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";

/** Of people the catalog knows only what it has answered to their commands, for a day. */
export default implement(catalogData)({
	mixins: [events("catalog", { ordered: false })],
	actions: {
		async export() {
			return { data: {}, next: null };
		}
	},
	events: {
		async "user.deletion-requested.v1"({ data }, tx) {
			const answers = await forgetKeys(tx, data.userId);
			const erased = { "answers to commands": answers };
			tellErased(tx, "catalog-data.erased.v1", data, { erased, kept: [] });
		}
	}
});

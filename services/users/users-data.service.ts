import { usersData } from "../../contracts/personal-data.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { exportOf } from "./erasure.ts";

/** Erases last, when all others have: deletions.service.ts. */
export default implement(usersData)({
	mixins: [events("users")],
	actions: {
		async export({ params: { userId, after } }) {
			return exportOf(this.db, userId, after);
		}
	}
});

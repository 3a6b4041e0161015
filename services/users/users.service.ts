import { User, users } from "../../contracts/users.ts";
import { commonFailure } from "../../lib/failure.ts";
import { requireUser } from "../../lib/identity.ts";
import { implement } from "../../lib/service.ts";
import { repository } from "../../mixins/repository.mixin.ts";
import { userModel } from "./users.store.ts";

export default implement(users)({
	mixins: [
		repository({
			group: "users",
			model: userModel,
			fields: Object.keys(User.properties) as (keyof User)[],
			filters: {},
			sorts: [],
			maxLimit: 100
		})
	],
	actions: {
		async me({ meta }) {
			const user = await this.findById(requireUser(meta).id);
			// A token may outlive its account by some minutes.
			if (!user) throw commonFailure("UNAUTHENTICATED");
			return user;
		}
	}
});

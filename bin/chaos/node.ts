/**
 * One replica of the proving ground: a real node, configured by its environment as `npm run node` is.
 * `node bin/chaos/node.ts writer` answers commands (POST /post) on PORT; `reader` has none to answer.
 * Tells its parent, where there is one, when it is ready and how many deliveries it absorbed.
 */
import { die } from "../console.ts";
import { runReplica } from "./replica-process.ts";
import { post, ROLES, servicesOf, type Role } from "./services.ts";

try {
	const [role] = process.argv.slice(2);
	if (!ROLES.some(known => known === role))
		throw new Error(`There is no role '${role}'; name one of ${ROLES.join(", ")}.`);
	await runReplica({
		services: servicesOf(role as Role),
		post:
			role === "writer"
				? ({ runtime }, command) => post(runtime.database("orders"), command)
				: undefined
	});
} catch (error) {
	die(error);
}

import { routes, type RouteView } from "../../contracts/routes.ts";
import { implement } from "../../lib/service.ts";
import type { LiveContracts } from "./live-contracts.ts";

/** The table of a gateway, for those who operate it. */
function viewOf(live: LiveContracts): RouteView[] {
	const refused = Map.groupBy(live.refused, ({ action }) => action);
	const routed = new Map(live.routes.map(({ action, rest }) => [action, rest.route]));
	return [...new Set([...routed.keys(), ...refused.keys()])].map(action => ({
		action,
		route: routed.get(action) ?? null,
		state: refused.has(action) ? "refused" : live.isPresent(action) ? "routed" : "away",
		refusals: (refused.get(action) ?? []).map(({ node, reasons }) => ({
			node,
			reasons: [...reasons]
		}))
	}));
}

export default implement(routes)({
	actions: {
		async list() {
			const gateway = this.broker.getLocalService("gateway") as unknown as { live: LiveContracts };
			return { items: viewOf(gateway.live) };
		}
	}
});

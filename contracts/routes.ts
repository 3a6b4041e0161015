import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Nullable, Params } from "./common.ts";

export const RouteView = Type.Object({
	action: Type.String(),
	route: Nullable(Type.String({ description: "Null where it never had one here" })),
	state: Type.Enum(["routed", "away", "refused"], {
		description:
			"`away`: no node has it now. `refused`: a node announces something else under this name than what is published; it is not called"
	}),
	refusals: Type.Array(Type.Object({ node: Type.String(), reasons: Type.Array(Type.String()) }))
});
export type RouteView = Static<typeof RouteView>;

export const routes = contract({
	name: "routes",
	failures: {},
	actions: {
		list: {
			summary: "What this gateway leads to, and which contracts it refuses",
			access: "admin",
			rest: { route: "GET /admin/routes", tag: "Administration" },
			idempotent: true,
			params: Params({}),
			result: Type.Object({ items: Type.Array(RouteView) })
		}
	},
	events: {}
});

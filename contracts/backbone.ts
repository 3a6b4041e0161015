import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Nullable, Params } from "./common.ts";

/** The state of one group's database and event tables, as any node of the group sees it. */
export const BackboneStatus = Type.Object({
	database: Type.Enum(["up", "down"]),
	/** Events that are committed but not in the stream yet. */
	unpublished: Type.Integer(),
	oldestUnpublishedSeconds: Type.Number(),
	deadLetters: Type.Integer(),
	stream: Type.Enum(["up", "down"]),
	leader: Nullable(Type.Boolean({ description: "Whether this node relays the group's events" }))
});

/** Every group with a database carries this service; it speaks for the group's part of the event backbone. */
const backbone = <const N extends string>(name: N) =>
	contract({
		name,
		failures: {},
		actions: {
			status: {
				summary: "State of the group's database and events",
				access: "internal",
				idempotent: true,
				timeout: 2_000,
				params: Params({}),
				result: BackboneStatus
			}
		},
		events: {}
	});

export const usersEvents = backbone("users-events");
export const catalogEvents = backbone("catalog-events");
export const ordersEvents = backbone("orders-events");
export const notificationsEvents = backbone("notifications-events");

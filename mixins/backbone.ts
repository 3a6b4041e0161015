/** The service by which a group's event backbone runs on a node and can be asked how it fares. */
import type { ServiceSchema } from "moleculer";
import type { usersEvents } from "../contracts/backbone.ts";
import type { Group } from "../lib/config.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { implement } from "../lib/service.ts";
import { events } from "./events.mixin.ts";
import { relay } from "./relay.mixin.ts";

/** Relays the group's outbox while the node runs, and answers `<group>-events.status`. */
export const backboneService = (
	group: Group,
	contract: typeof usersEvents | object
): ServiceSchema =>
	implement(contract as typeof usersEvents)({
		mixins: [events(group), relay(group)],
		actions: {
			async status() {
				const { stream } = runtimeOf(this.broker);
				const shared = {
					stream: stream.isUp() ? ("up" as const) : ("down" as const),
					leader: this.relay.isLeader
				};
				try {
					const row = await this.db.one<{ unpublished: number; oldest: number; dead: number }>(
						`SELECT count(*)::int AS unpublished,
						   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS oldest,
						   (SELECT count(*)::int FROM dead_letter WHERE state IN ('dead', 'parked')) AS dead
						 FROM outbox WHERE published_at IS NULL`
					);
					return {
						...shared,
						database: "up",
						unpublished: row!.unpublished,
						oldestUnpublishedSeconds: row!.oldest,
						deadLetters: row!.dead
					};
				} catch (error) {
					this.logger.warn(`The database of ${group} does not answer: ${String(error)}`);
					return {
						...shared,
						database: "down",
						unpublished: 0,
						oldestUnpublishedSeconds: 0,
						deadLetters: 0
					};
				}
			}
		}
	});

/** What runs beside a group's services for its events: the relay, the housekeeping, the figures. */
import type { ServiceSchema } from "moleculer";
import type { Group } from "../lib/config.ts";
import { addEventFigures } from "../lib/events/figures.ts";
import { tidyUp } from "../lib/events/housekeeping.ts";
import { Relay } from "../lib/events/relay.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { mixin } from "../lib/service.ts";
import { Ticker } from "../lib/ticker.ts";

const TIDY_EVERY_MS = 60_000;

/** Relays the group's outbox while the node runs, and keeps its tables small. */
export const relay = (group: Group) =>
	mixin<{ readonly relay: Relay }>({
		created(this: any) {
			const runtime = runtimeOf(this.broker);
			const { stream, metrics, config } = runtime;
			const database = runtime.database(group);
			this.relay = new Relay({
				database,
				stream,
				metrics: metrics.events,
				logger: this.logger,
				onPublished: event => void this.broker.broadcast(event.type, event)
			});
			this.housekeeping = new Ticker(
				() =>
					tidyUp({
						database,
						inboxes: [...runtime.inboxes.values()].filter(inbox => inbox.group === group),
						isLeader: this.relay.isLeader,
						config,
						logger: this.logger
					}),
				TIDY_EVERY_MS,
				error =>
					this.logger.warn(`The event tables of ${group} are tidied up later: ${String(error)}`)
			);
			addEventFigures(runtime, group, this.relay);
		},
		// Not before every consumer has subscribed: the local stream remembers nothing for late ones.
		events: {
			"$broker.started"(this: any) {
				this.relay.start();
				this.housekeeping.start();
			}
		},
		async stopped(this: any) {
			await this.housekeeping.stop();
			await this.relay.stop();
		}
	} as Partial<ServiceSchema>);

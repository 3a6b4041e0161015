/**
 * Deletes sessions and tokens that are over, and erases details that were kept long enough. Any node
 * does: what one has deleted, the others do not find.
 */
import type { Service } from "moleculer";
import { runtimeOf } from "../../lib/runtime.ts";
import { mixin } from "../../lib/service.ts";
import { Ticker } from "../../lib/ticker.ts";
import { purgeDetails } from "./security-details.ts";
import { purgeSessions } from "./sessions.store.ts";

interface Purging extends Service {
	purgeTicker?: Ticker;
}

const EVERY_MS = 3_600_000;

export const sessionPurge = () =>
	mixin<unknown>({
		created(this: Purging) {
			const database = runtimeOf(this.broker).database("users");
			this.purgeTicker = new Ticker(
				async () => {
					await purgeSessions(database);
					await purgeDetails(database);
				},
				EVERY_MS,
				error => this.logger.warn(`Old sessions and details are purged later: ${String(error)}`)
			);
		},
		events: {
			"$broker.started"(this: Purging) {
				this.purgeTicker?.start();
			}
		},
		async stopped(this: Purging) {
			await this.purgeTicker?.stop();
		}
	});

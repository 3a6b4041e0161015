/** How each kind of fault is done to the proving ground, and undone. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Ground } from "./ground.ts";
import type { Disturbance } from "./proxy.ts";
import type { Fault } from "./schedule.ts";

/** Does it and undoes it; answers what it hit, or nothing where there was nothing to hit. */
export async function inject(
	ground: Ground,
	{ kind, target, durationMs, delayMs }: Fault
): Promise<string | undefined> {
	switch (kind) {
		case "nats-5s":
		case "nats-35s":
			await ground.killNats(durationMs);
			return "it is back";
		case "nats-emptied":
			await ground.killNats(durationMs, { emptied: true });
			return "it is back, empty";
		case "postgres":
			await ground.killPostgres();
			return "it has recovered";
	}
	const [name, link] = target.split(":") as [string, "nats" | "postgres" | undefined];
	const replica = ground.replicas.find(each => each.name === name)!;
	// One that was just started again has nothing to lose yet.
	await replica.untilReady();
	switch (kind) {
		case "kill-writer":
		case "kill-reader":
			replica.kill();
			return "it is started again";
		case "pause":
		case "long-pause":
			replica.pause();
			await sleep(durationMs);
			replica.resume();
			return "it goes on";
		default:
			return disturb(replica.links[link!], kind, durationMs, delayMs);
	}
}

async function disturb(
	proxy: Ground["replicas"][number]["links"]["nats"],
	disturbance: Disturbance,
	durationMs: number,
	delayMs: number
): Promise<string | undefined> {
	const before = proxy.hits;
	proxy.disturb(disturbance, delayMs);
	await sleep(durationMs);
	proxy.heal();
	const hits = proxy.hits - before;
	return hits > 0 ? `it hit ${hits} times` : undefined;
}

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
			return emptyNats(ground, durationMs);
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

const PILE_UP_MS = 1_500;

/** Readers are cut off before, so that the store holds events that nobody has handled when it is lost. */
async function emptyNats(ground: Ground, durationMs: number): Promise<string> {
	const links = ground.replicas
		.filter(({ role }) => role === "reader")
		.map(each => each.links.nats);
	for (const link of links) link.disturb("cut");
	await sleep(PILE_UP_MS);
	const back = ground.killNats(durationMs, { emptied: true });
	await sleep(durationMs / 2);
	// Before it is back, so that readers and relays come upon the empty store together.
	for (const link of links) link.heal();
	await back;
	return "it is back, empty";
}

const AT_LEAST_ONE_WITHIN_MS = 10_000;

async function disturb(
	proxy: Ground["replicas"][number]["links"]["nats"],
	disturbance: Disturbance,
	durationMs: number,
	delayMs: number
): Promise<string | undefined> {
	const before = proxy.hits;
	proxy.disturb(disturbance, delayMs);
	await sleep(durationMs);
	// The replica may have been killed meanwhile and have nothing to say yet.
	for (let waited = 0; proxy.hits === before && waited < AT_LEAST_ONE_WITHIN_MS; waited += 50)
		await sleep(50);
	proxy.heal();
	const hits = proxy.hits - before;
	return hits > 0 ? `it hit ${hits} times` : undefined;
}

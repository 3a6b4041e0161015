/** Which faults a run injects, and when: all of it follows from the seed. */
import { Random } from "./random.ts";

export type Profile = "small" | "full";

/** Every kind of fault, in words. */
export const FAULTS = {
	"kill-writer": "a writer is killed (SIGKILL)",
	"kill-reader": "a reader is killed (SIGKILL)",
	pause: "a replica stands still (SIGSTOP)",
	"long-pause": "a replica stands still for longer than ack_wait",
	delay: "a link is slow",
	"black-hole": "a link swallows everything",
	"lost-answers": "a link swallows answers",
	cut: "a link is cut",
	"nats-5s": "NATS is killed and is away for 5 s",
	"nats-35s": "NATS is killed and is away for 35 s",
	"nats-emptied": "NATS is killed and has lost its store",
	postgres: "PostgreSQL is killed (immediate shutdown)"
} as const;
export type FaultKind = keyof typeof FAULTS;

export interface Fault {
	/** Milliseconds after the load has begun. */
	readonly atMs: number;
	readonly kind: FaultKind;
	/** A replica (`writer-1`), one of its links (`writer-1:nats`, `writer-1:postgres`), or a server. */
	readonly target: string;
	/** How long it is disturbed; for a process that is killed, 0. */
	readonly durationMs: number;
	/** Only of `delay`. */
	readonly delayMs: number;
}

/** How many replicas of each role a profile has. */
export const replicasOf = (profile: Profile): number => (profile === "small" ? 2 : 3);

/** After how long an unacknowledged event is delivered again. */
export const ackWaitMs = (profile: Profile): number => (profile === "small" ? 2_000 : 10_000);

/** The kinds that a run of this profile injects at least once. */
export const kindsOf = (profile: Profile): FaultKind[] =>
	(Object.keys(FAULTS) as FaultKind[]).filter(kind => kind !== "nats-35s" || profile === "full");

/** Far apart enough for a process to come back. */
const REST_MS = 2_500;
const FIRST_AT_MS = 1_500;
const MEAN_GAP_MS = 3_000;
/** As long as faults last that begin last, so that they too end within the run. */
const TAIL_MS = 5_000;

/**
 * Every kind once, in random order, then random ones until the time is over. A
 * short run has the same faults closer together. No target suffers from two faults at once; a fault
 * of one and a fault of another may well meet.
 */
export function scheduleOf(
	seed: number,
	profile: Profile,
	seconds: number,
	kinds: readonly FaultKind[] = kindsOf(profile)
): Fault[] {
	const random = new Random(seed);
	const required = random.shuffle(kinds);
	// The longest absence has to end before the run does.
	const first = required.filter(kind => kind === "nats-35s");
	const order = [...first, ...required.filter(kind => kind !== "nats-35s")];
	const lastMs = seconds * 1_000 - TAIL_MS;
	const gapMs = Math.min(MEAN_GAP_MS, (lastMs - FIRST_AT_MS) / order.length);
	const freeFrom = new Map<string, number>();
	const faults: Fault[] = [];
	for (let atMs = FIRST_AT_MS; order.length > 0 || atMs < lastMs;) {
		const kind = order.shift() ?? random.pick(kinds);
		const durationMs = durationOf(kind, profile, random);
		const targets = targetsOf(kind, profile);
		const free = targets.filter(target => (freeFrom.get(target) ?? 0) <= atMs);
		const soonest = Math.min(...targets.map(target => freeFrom.get(target) ?? 0));
		const target = random.pick(
			free.length > 0 ? free : targets.filter(each => freeFrom.get(each) === soonest)
		);
		const startMs = Math.max(atMs, freeFrom.get(target) ?? 0);
		freeFrom.set(target, startMs + durationMs + REST_MS);
		faults.push({
			atMs: startMs,
			kind,
			target,
			durationMs,
			delayMs: kind === "delay" ? random.int(20, 400) : 0
		});
		atMs += Math.round(gapMs * (0.4 + 1.2 * random.next()));
	}
	return faults.sort((a, b) => a.atMs - b.atMs);
}

function targetsOf(kind: FaultKind, profile: Profile): string[] {
	const replicas = (role: string) =>
		Array.from({ length: replicasOf(profile) }, (_, index) => `${role}-${index + 1}`);
	const all = [...replicas("writer"), ...replicas("reader")];
	switch (kind) {
		case "kill-writer":
			return replicas("writer");
		case "kill-reader":
			return replicas("reader");
		case "pause":
		case "long-pause":
			return all;
		case "delay":
		case "black-hole":
		case "lost-answers":
		case "cut":
			return all.flatMap(replica => [`${replica}:nats`, `${replica}:postgres`]);
		case "nats-5s":
		case "nats-35s":
		case "nats-emptied":
			return ["nats"];
		case "postgres":
			return ["postgres"];
	}
}

function durationOf(kind: FaultKind, profile: Profile, random: Random): number {
	const longest = profile === "small" ? 1 : 4;
	switch (kind) {
		case "kill-writer":
		case "kill-reader":
		case "postgres":
			return 0;
		case "pause":
			return random.int(200, 1_500);
		case "long-pause":
			return ackWaitMs(profile) + random.int(800, 2_500 * longest);
		case "delay":
			return random.int(2_000, 4_000 * longest);
		case "black-hole":
		case "lost-answers":
			return random.int(1_500, 3_500 * longest);
		case "cut":
			return random.int(500, 2_500 * longest);
		case "nats-5s":
			return 5_000;
		case "nats-35s":
			return 35_000;
		case "nats-emptied":
			return random.int(50, 800);
	}
}

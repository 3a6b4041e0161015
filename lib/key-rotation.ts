/**
 * How the keys of AUTH_KEYS follow each other. A new key is published before it signs, since every
 * gateway and node has to know it first; an old one is kept until nothing of it can be alive.
 */
import { CLOCK_TOLERANCE_SECONDS } from "./access-token.ts";
import { inForce, signsFrom, withdrawnAt, type KeySet, type PrivateKey } from "./signing-keys.ts";

/** For how long a new key is published before it signs, unless told otherwise. */
export const OVERLAP_SECONDS = 60;

/**
 * For how long a key is kept once it signs no more: longer than its last access token may be taken, and
 * than a link works that it was derived from and that a mail has still to bring.
 */
export const AFTERLIFE_SECONDS = 1_800 + 2 * CLOCK_TOLERANCE_SECONDS;

/**
 * The set with `next`, which signs `overlapSeconds` from now. It is the last to begin, whatever waits
 * already. Keys that nobody has followed yet are withdrawn when nothing of theirs can be alive; withdrawn
 * ones are left out.
 */
export function rotated(
	set: KeySet,
	next: PrivateKey,
	now: Date,
	overlapSeconds = OVERLAP_SECONDS
): KeySet {
	const kept = inForce(set, now);
	const from = Math.max(now.getTime() + overlapSeconds * 1_000, ...kept.map(signsFrom));
	const until = new Date(from + AFTERLIFE_SECONDS * 1_000).toISOString();
	return {
		keys: [
			{ ...next, signsFrom: new Date(from).toISOString() },
			...kept.map(key => ({ ...key, until: key.until ?? until }))
		]
	};
}

/** What a key does at a moment; nothing of it is secret. */
export interface KeyState {
	readonly kid: string;
	/** `waiting` until `signsFrom`; `signing`; `verifying` what it has signed; `withdrawn` since `until`. */
	readonly state: "waiting" | "signing" | "verifying" | "withdrawn";
	readonly signsFrom: string | null;
	readonly until: string | null;
}

/** What each key of a set does, in the order of the set. */
export function keyStates(set: KeySet, now: Date): KeyState[] {
	const [signing] = inForce(set, now);
	return set.keys.map(key => ({
		kid: key.kid,
		state: key === signing ? "signing" : idleState(key, now.getTime()),
		signsFrom: key.signsFrom ?? null,
		until: key.until ?? null
	}));
}

function idleState(key: PrivateKey, at: number): KeyState["state"] {
	if (withdrawnAt(key) <= at) return "withdrawn";
	return signsFrom(key) > at ? "waiting" : "verifying";
}

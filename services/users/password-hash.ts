/** Hashes of passwords as text: of which kind they are, and which of another system's are taken over. */
import { type Algorithm, parseOptions, type Version } from "@node-rs/argon2";

/** What an Argon2id hash is made with. */
export interface Argon2Cost {
	/** KiB */
	readonly memoryCost: number;
	readonly timeCost: number;
	readonly parallelism: number;
}

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

// Each log-in pays for it until the first one: about half a second of a core for bcrypt at 13, and a
// fifth of that for Argon2 with PHP's 64 MiB and four passes.
const MAX_BCRYPT_COST = 13;
const MAX_MEMORY = 65_536;
const MAX_WORK = 4 * MAX_MEMORY;
const MAX_LANES = 8;

export const isBcrypt = (hash: string): boolean => BCRYPT.test(hash);

const argon2idOf = (hash: string): ReturnType<typeof parseOptions> | undefined => {
	try {
		const parsed = parseOptions(hash);
		const { algorithm, version } = parsed;
		return algorithm === (2 satisfies Algorithm.Argon2id) && version === (1 satisfies Version.V0x13)
			? parsed
			: undefined;
	} catch {
		return undefined;
	}
};

/**
 * Whether it is an Argon2id hash of just this cost. A dearer one is not: as long as an account has it, an
 * unknown login could be told by the time that it takes.
 */
export function isMadeBy(hash: string, cost: Argon2Cost): boolean {
	const parsed = argon2idOf(hash);
	return (
		parsed?.memoryCost === cost.memoryCost &&
		parsed.timeCost === cost.timeCost &&
		parsed.parallelism === cost.parallelism &&
		parsed.outputLen >= 32 &&
		parsed.saltLen >= 16
	);
}

/** Why a hash of another system cannot be taken over; undefined where it can. */
export function problemOf(hash: string): string | undefined {
	const cost = Number(BCRYPT.exec(hash)?.[1] ?? Number.NaN);
	if (cost >= 4)
		return cost <= MAX_BCRYPT_COST ? undefined : `is of cost ${cost}, above ${MAX_BCRYPT_COST}`;
	const parsed = argon2idOf(hash);
	if (!parsed) return "is neither bcrypt ($2a$, $2b$ or $2y$) nor Argon2id of version 19";
	const { memoryCost, timeCost, parallelism } = parsed;
	const isAffordable =
		memoryCost <= MAX_MEMORY && memoryCost * timeCost <= MAX_WORK && parallelism <= MAX_LANES;
	return isAffordable
		? undefined
		: `takes m=${memoryCost}, t=${timeCost}, p=${parallelism}, above m=${MAX_MEMORY} (and m·t=${MAX_WORK}), p=${MAX_LANES}`;
}
